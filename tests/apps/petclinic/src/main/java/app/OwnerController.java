/* SPDX-License-Identifier: Apache-2.0 */
package app;

import jakarta.validation.Valid;

import java.util.List;
import java.util.Map;

import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RestController;

@RestController
public class OwnerController {

    private final OwnerRepository owners;

    public OwnerController(OwnerRepository owners) {
        this.owners = owners;
    }

    @GetMapping("/owners/{city}")
    public List<Owner> byCity(@PathVariable("city") String city) {
        return owners.findByCity(city);
    }

    @PostMapping("/owners")
    public Map<String, Long> add(@Valid @RequestBody Owner owner) {
        return Map.of("id", owners.save(owner).getId());
    }
}
