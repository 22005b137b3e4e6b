/* SPDX-License-Identifier: Apache-2.0 */
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;

import org.crac.CheckpointException;
import org.crac.Context;
import org.crac.Core;
import org.crac.Resource;
import org.crac.RestoreException;

/**
 * A program that knows nothing of checkpoints but for a hook: what makes them comes from outside. It takes commands on
 * standard input, one a line: "ready N" calls the trigger method, "fail" and "fine" set what the hook does, "connect"
 * and "close" open and close a connection, "child" starts a child process, which the hook ends after "mercy", "ask"
 * asks for a checkpoint, "counts" prints how often the hook was called.
 */
public final class Service implements Resource {

    private int before;
    private int after;
    private boolean failing;
    private int more; // exceptions that are suppressed in the one that the hook throws
    private ServerSocket server;
    private Socket connection;
    private Process child;
    private boolean mercy;

    private Service() {
    }

    @Override
    public synchronized void beforeCheckpoint(Context<? extends Resource> context) throws InterruptedException {
        before++;
        if (mercy) {
            child.destroy();
            child.waitFor();
        }
        if (failing) {
            IllegalStateException failure =
                new IllegalStateException("not now", new IOException("the disk is busy"));
            for (int i = 1; i <= more; i++) {
                failure.addSuppressed(new IllegalStateException("not now, number " + i + "x"));
            }
            throw failure;
        }
    }

    @Override
    public synchronized void afterRestore(Context<? extends Resource> context) {
        after++;
        System.out.println("back");
    }

    static void ready(String why) {
        System.out.println("ready " + why);
    }

    static void ready(int number) {
        System.out.println("ready number " + number);
    }

    /** What the program itself is told. */
    private static void ask() {
        try {
            Core.checkpointRestore();
        } catch (CheckpointException | RestoreException refused) {
            for (Throwable reason : refused.getSuppressed()) {
                System.out.println("refused " + reason.getMessage());
            }
        }
    }

    private synchronized void obey(String line) throws IOException {
        String[] words = line.split(" ");
        switch (words[0]) {
            case "ready":
                ready(words[1]);
                break;
            case "number":
                ready(Integer.parseInt(words[1]));
                break;
            case "fail":
            case "fine":
                failing = words[0].equals("fail");
                more = words.length > 1 ? Integer.parseInt(words[1]) : 0;
                break;
            case "connect":
                server = new ServerSocket(0, 5, InetAddress.getByName("127.0.0.1"));
                connection = new Socket(server.getInetAddress(), server.getLocalPort());
                break;
            case "close":
                connection.close();
                server.close();
                break;
            case "child":
                child = new ProcessBuilder("cat").start();
                break;
            case "mercy":
                mercy = true;
                break;
            case "ask":
                ask();
                break;
            default:
                break;
        }
        System.out.println(words[0] + " " + before + " " + after);
    }

    public static void main(String[] args) throws IOException {
        Service service = new Service();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        Core.getGlobalContext().register(service);
        System.out.println("up");
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            service.obey(line);
        }
    }
}
