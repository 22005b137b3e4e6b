/* SPDX-License-Identifier: Apache-2.0 */
package app;

import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;

import java.io.IOException;
import java.nio.file.Files;
import java.util.concurrent.atomic.AtomicLong;

import org.apache.catalina.Context;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Tomcat;

/** Embedded Tomcat without any hooks: it goes on listening, and the engine rebuilds its sockets. */
public final class Application extends HttpServlet {

    private static final long serialVersionUID = 1L;

    private final AtomicLong served = new AtomicLong();

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        String name = request.getPathInfo() == null ? "world" : request.getPathInfo().substring(1);
        response.setContentType("application/json");
        response.getWriter().printf("{\"greeting\":\"Hello, %s\",\"served\":%d}%n", name, served.incrementAndGet());
    }

    public static void main(String[] args) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(Files.createTempDirectory("tomcat").toString());
        Connector connector = new Connector();
        connector.setPort(Integer.getInteger("server.port", 8080));
        connector.setProperty("address", "127.0.0.1");
        tomcat.setConnector(connector);
        Context context = tomcat.addContext("", null);
        Tomcat.addServlet(context, "greeting", new Application());
        context.addServletMappingDecoded("/greeting/*", "greeting");
        tomcat.start();
        tomcat.getServer().await();
    }
}
