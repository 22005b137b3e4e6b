/* SPDX-License-Identifier: Apache-2.0 */
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.StandardSocketOptions;
import java.nio.channels.DatagramChannel;
import java.nio.channels.ServerSocketChannel;

import org.crac.Context;
import org.crac.Core;
import org.crac.Resource;

/**
 * Servers that are closed before a checkpoint and opened again after it, on the ports that they were told at the start:
 * a channel on the first, a socket on the second of its arguments. The third is a library, loaded after the first
 * restore: it binds a socket to the first port as well, before the others are opened. Each line of its input has them
 * closed and opened once more, "checkpoint" by a checkpoint.
 */
public final class Reopens implements Resource {

    private final int channelPort;
    private final int socketPort;
    private String library;
    private ServerSocketChannel channel;
    private ServerSocket socket;

    private Reopens(int channelPort, int socketPort, String library) {
        this.channelPort = channelPort;
        this.socketPort = socketPort;
        this.library = library;
    }

    /** Binds a socket and closes it again; returns what port it had. */
    private static native int bind(int port);

    private void open() throws IOException {
        channel = ServerSocketChannel.open().setOption(StandardSocketOptions.SO_REUSEADDR, true)
                .bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), channelPort));
        socket = new ServerSocket(socketPort); // any address
        System.out.println("listening " + ((InetSocketAddress) channel.getLocalAddress()).getPort() + " "
                + socket.getLocalPort());
    }

    private void close() throws IOException {
        channel.close();
        socket.close();
    }

    /** Other kinds of sockets keep their ports. */
    private void tellDatagramPort() throws IOException {
        try (DatagramChannel datagrams = DatagramChannel.open()
                .bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), channelPort))) {
            System.out.println("datagrams " + ((InetSocketAddress) datagrams.getLocalAddress()).getPort());
        }
    }

    @Override
    public void beforeCheckpoint(Context<? extends Resource> context) throws IOException {
        close();
    }

    /** JDK 25 warns of who loads a library. */
    @SuppressWarnings("restricted")
    private void useLibrary() {
        System.load(library);
        library = null;
        System.out.println("bound " + bind(channelPort));
    }

    @Override
    public void afterRestore(Context<? extends Resource> context) throws IOException {
        if (library != null) {
            useLibrary();
        }
        open();
        tellDatagramPort();
    }

    private static String readLine() throws IOException {
        StringBuilder line = new StringBuilder();
        for (int at = System.in.read(); at != '\n' && at >= 0; at = System.in.read()) {
            line.append((char) at);
        }
        return line.toString();
    }

    public static void main(String[] args) throws Exception {
        Reopens servers = new Reopens(Integer.parseInt(args[0]), Integer.parseInt(args[1]), args[2]);
        Core.getGlobalContext().register(servers);
        servers.open();
        Core.checkpointRestore();
        for (String line = readLine(); !line.isEmpty(); line = readLine()) {
            if (line.equals("checkpoint")) {
                Core.checkpointRestore();
            } else {
                servers.close();
                servers.open();
            }
        }
        servers.close();
    }
}
