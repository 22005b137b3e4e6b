/* SPDX-License-Identifier: Apache-2.0 */
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;

import org.crac.CheckpointException;
import org.crac.Context;
import org.crac.Core;
import org.crac.Resource;

/** Open connections are refused by name, all at once and with what hooks throw; the program goes on. */
public final class Refusal implements Resource {

    private static final int MANY = 300;

    private int calls;
    private boolean throwing = true;

    @Override
    public void beforeCheckpoint(Context<? extends Resource> context) {
        calls++;
        if (throwing) {
            throw new IllegalStateException("the pool is in use");
        }
    }

    @Override
    public void afterRestore(Context<? extends Resource> context) {
        calls++;
    }

    private static void expectReason(List<String> reasons, String... parts) {
        for (String reason : reasons) {
            if (List.of(parts).stream().allMatch(reason::contains)) {
                return;
            }
        }
        throw new AssertionError("nothing with " + List.of(parts) + " in " + reasons);
    }

    private static List<String> refused() throws Exception {
        try {
            Core.checkpointRestore();
        } catch (CheckpointException thrown) {
            return Expect.reasons(thrown);
        }
        throw new AssertionError("a checkpoint with open connections");
    }

    /** Sockets of a JVM are IPv6 ones that carry IPv4. */
    private static String end(int port) {
        return "[::ffff:127.0.0.1]:" + port + " ";
    }

    /** More than the engine's page has room for. */
    private static void many(InetAddress loopback) throws Exception {
        List<Socket> sockets = new ArrayList<>();
        try (ServerSocket server = new ServerSocket(0, MANY, loopback)) {
            for (int i = 0; i < MANY; i++) {
                sockets.add(new Socket(loopback, server.getLocalPort()));
            }
            List<String> reasons = refused();
            Expect.same(MANY, reasons.size(), "reasons for many connections");
            for (Socket socket : sockets) {
                expectReason(reasons, end(socket.getLocalPort()), " <- ArrayList.elementData <- ");
                socket.close();
            }
        }
    }

    public static void main(String[] args) throws Exception {
        Refusal hook = new Refusal();
        InetAddress loopback = InetAddress.getByName("127.0.0.1");
        Core.getGlobalContext().register(hook);

        try (ServerSocket server = new ServerSocket(0, 5, loopback);
                Socket one = new Socket(loopback, server.getLocalPort());
                Socket two = new Socket(loopback, server.getLocalPort());
                Socket accepted = server.accept()) {
            String serverEnd = end(server.getLocalPort());
            List<String> reasons = refused();
            expectReason(reasons, "IllegalStateException", "the pool is in use");
            expectReason(reasons, end(one.getLocalPort()), serverEnd);
            expectReason(reasons, end(two.getLocalPort()), serverEnd);
            Expect.same(2, hook.calls, "calls around the refused checkpoint");
            hook.throwing = false;
            Expect.same(reasons.size() - 1, refused().size(), "reasons without the hook's");
            Expect.same(4, hook.calls, "calls around both refused checkpoints");
            one.getOutputStream().write('x');
            Expect.same((int) 'x', accepted.getInputStream().read(), "what the connection carries");
        }
        many(loopback);
        Core.checkpointRestore();
        Expect.same(8, hook.calls, "calls around all checkpoints");
        System.out.println("passed");
    }
}
