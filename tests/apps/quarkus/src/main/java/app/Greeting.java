/* SPDX-License-Identifier: Apache-2.0 */
package app;

import jakarta.ws.rs.GET;
import jakarta.ws.rs.Path;
import jakarta.ws.rs.PathParam;

import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

@Path("/greeting")
public class Greeting {

    private final AtomicLong served = new AtomicLong();

    @GET
    @Path("/{name}")
    public Map<String, Object> greeting(@PathParam("name") String name) {
        return Map.of("greeting", "Hello, " + name, "served", served.incrementAndGet());
    }
}
