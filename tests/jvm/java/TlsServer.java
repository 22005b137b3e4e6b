/* SPDX-License-Identifier: Apache-2.0 */
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.security.KeyStore;

import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;

/**
 * A TLS server on the loopback address: says "ready" and its port, and gives each client the byte that it sends. The
 * first argument is its key store, the second the password of that.
 */
public final class TlsServer {

    private TlsServer() {
    }

    private static SSLContext context(String file, char[] password) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream in = new FileInputStream(file)) {
            store.load(in, password);
        }
        KeyManagerFactory managers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        managers.init(store, password);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(managers.getKeyManagers(), null, null);
        return context;
    }

    public static void main(String[] args) throws Exception {
        SSLServerSocket server = (SSLServerSocket) context(args[0], args[1].toCharArray()).getServerSocketFactory()
                .createServerSocket(0, 50, InetAddress.getLoopbackAddress());
        System.out.println("ready " + server.getLocalPort());
        while (true) {
            try (SSLSocket client = (SSLSocket) server.accept()) {
                client.getOutputStream().write(client.getInputStream().read());
            } catch (IOException gone) {
                System.err.println(gone);
            }
        }
    }
}
