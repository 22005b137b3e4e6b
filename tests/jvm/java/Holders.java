/* SPDX-License-Identifier: Apache-2.0 */
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import org.crac.CheckpointException;
import org.crac.Core;

/** What is refused is named with the objects that hold it, nearest class of the application first. */
public final class Holders {

    /** An object of a pool. */
    private static final class Entry {
        private final Socket connection;

        private Entry(Socket connection) {
            this.connection = connection;
        }
    }

    private static final Map<String, List<Entry>> POOL = new HashMap<>();
    private static SocketChannel channel;

    private Holders() {
    }

    private static List<String> refused() throws Exception {
        try {
            Core.checkpointRestore();
        } catch (CheckpointException thrown) {
            return Expect.reasons(thrown);
        }
        throw new AssertionError("a checkpoint with open connections");
    }

    private static void expectHolder(List<String> reasons, int localPort, String holder) {
        for (String reason : reasons) {
            if (reason.contains(":" + localPort + " -> ")) {
                Expect.that(reason.endsWith(holder), reason + " does not end with " + holder);
                return;
            }
        }
        throw new AssertionError("nothing of port " + localPort + " in " + reasons);
    }

    public static void main(String[] args) throws Exception {
        InetAddress loopback = InetAddress.getByName("127.0.0.1");

        try (ServerSocket server = new ServerSocket(0, 5, loopback)) {
            Socket pooled = new Socket(loopback, server.getLocalPort());
            Socket local = new Socket(loopback, server.getLocalPort());
            POOL.computeIfAbsent("main", key -> new ArrayList<>()).add(new Entry(pooled));
            channel = SocketChannel.open(new InetSocketAddress(loopback, server.getLocalPort()));

            List<String> reasons = refused();
            expectHolder(reasons, pooled.getLocalPort(),
                    " <- NioSocketImpl.fd <- SocksSocketImpl.delegate <- Socket.impl <- Holders$Entry.connection"
                    + " <- ArrayList.elementData <- HashMap$Node.value <- HashMap.table <- static Holders.POOL");
            expectHolder(reasons, local.getLocalPort(), " <- NioSocketImpl.fd <- SocksSocketImpl.delegate"
                    + " <- Socket.impl <- local variable in Holders.main of thread \"main\"");
            expectHolder(reasons, channel.socket().getLocalPort(),
                    " <- SocketChannelImpl.fd <- static Holders.channel");
            pooled.close();
            local.close();
            channel.close();
        }
        POOL.clear();
        Core.checkpointRestore();
        System.out.println("passed");
    }
}
