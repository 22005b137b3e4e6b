/* SPDX-License-Identifier: Apache-2.0 */
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A virtual thread for each connection, parked in a read between requests: it echoes lines, and answers "stats" with how
 * many connections are open and how many have ended.
 */
public final class VirtualService {

    private final AtomicInteger open = new AtomicInteger();
    private final AtomicInteger ended = new AtomicInteger();

    private VirtualService() {
    }

    private void serve(Socket connection) {
        open.incrementAndGet();
        try (connection) {
            BufferedReader input = new BufferedReader(
                    new InputStreamReader(connection.getInputStream(), StandardCharsets.UTF_8));
            for (String line = input.readLine(); line != null; line = input.readLine()) {
                String answer = line.equals("stats") ? open.get() + " " + ended.get() : line;
                connection.getOutputStream().write((answer + "\n").getBytes(StandardCharsets.UTF_8));
            }
        } catch (IOException thrown) {
            System.out.println("a read failed: " + thrown);
        } finally {
            open.decrementAndGet();
            ended.incrementAndGet();
        }
    }

    /** By reflection: these tests are compiled for JDK 17, too. */
    private static ExecutorService virtualThreads() throws ReflectiveOperationException {
        return (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
    }

    public static void main(String[] args) throws Exception {
        VirtualService service = new VirtualService();
        ExecutorService threads = virtualThreads();

        try (ServerSocket server = new ServerSocket(0, 100, InetAddress.getByName("127.0.0.1"))) {
            System.out.println("ready " + server.getLocalPort());
            while (true) {
                Socket connection = server.accept();
                threads.execute(() -> service.serve(connection));
            }
        }
    }
}
