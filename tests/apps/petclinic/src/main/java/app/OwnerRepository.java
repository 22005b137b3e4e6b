/* SPDX-License-Identifier: Apache-2.0 */
package app;

import java.util.List;

import org.springframework.data.jpa.repository.JpaRepository;

public interface OwnerRepository extends JpaRepository<Owner, Long> {

    List<Owner> findByCity(String city);
}
