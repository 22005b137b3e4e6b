/* SPDX-License-Identifier: Apache-2.0 */
package app;

import io.micronaut.http.annotation.Controller;
import io.micronaut.http.annotation.Get;
import io.micronaut.runtime.Micronaut;

import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

@Controller
public class Application {

    private final AtomicLong served = new AtomicLong();

    public static void main(String[] args) {
        Micronaut.run(Application.class, args);
    }

    @Get("/greeting/{name}")
    public Map<String, Object> greeting(String name) {
        return Map.of("greeting", "Hello, " + name, "served", served.incrementAndGet());
    }
}
