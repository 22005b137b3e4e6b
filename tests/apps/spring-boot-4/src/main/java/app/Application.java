/* SPDX-License-Identifier: Apache-2.0 */
package app;

import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RestController;

@SpringBootApplication
@RestController
public class Application {

    private final AtomicLong served = new AtomicLong();

    public static void main(String[] args) {
        SpringApplication.run(Application.class, args);
    }

    @GetMapping("/greeting/{name}")
    public Map<String, Object> greeting(@PathVariable("name") String name) {
        return Map.of("greeting", "Hello, " + name, "served", served.incrementAndGet(), "words",
                List.of(name.toLowerCase(), name.toUpperCase(), String.valueOf(name.hashCode())));
    }
}
