/* SPDX-License-Identifier: Apache-2.0 */
package app;

import org.springframework.boot.CommandLineRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;

@SpringBootApplication
public class Application {

    public static void main(String[] args) {
        SpringApplication.run(Application.class, args);
    }

    @Bean
    CommandLineRunner sampleData(OwnerRepository owners) {
        return args -> {
            for (int i = 0; i < 200; i++) {
                Owner owner = new Owner("owner" + i, "city" + i % 10);
                owner.add(new Pet("pet" + i, i % 15));
                owner.add(new Pet("other" + i, i % 7));
                owners.save(owner);
            }
        };
    }
}
