/* SPDX-License-Identifier: Apache-2.0 */
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.Arrays;
import java.util.UUID;

import org.crac.Context;
import org.crac.Core;
import org.crac.Resource;

import thump.Hook;
import thump.Hooks;
import thump.Mode;
import thump.Priority;

/**
 * A program that another engine saves. It says which hook is called, and takes commands on standard input, one a line:
 * "nano" and "uuid" say what they are, "litter" makes garbage, "veto" and "break" have hooks fail, before or afterwards, until "fine", "hold"
 * has one wait for the next line, "until FILE" has the single-threaded one wait for a file. "listen" has it
 * listen on the TCP port of the property "port".
 */
public final class Stand {

    private static final int LITTER_BYTES = 100 << 20;
    private static final int PIECE_BYTES = 64 << 10;

    private static volatile String mood = "fine";
    private static volatile boolean held;
    private static ServerSocket server;

    private Stand() {
    }

    private static synchronized void say(String line) {
        System.out.println(line);
    }

    private static void awaitFile(File file) {
        while (!file.exists()) {
            Thread.onSpinWait();
        }
    }

    private static final class Part implements Hook, Resource {

        private final String name;

        Part(String name) {
            this.name = name;
        }

        @Override
        public boolean beforeCheckpoint() throws Exception {
            say("before " + name);
            if (name.equals("alone") && mood.startsWith("until ")) {
                awaitFile(new File(mood.substring("until ".length())));
            }
            if (mood.equals("veto")) {
                throw new IllegalStateException(name + " cannot now", new IOException("the disk is busy"));
            }
            return true;
        }

        @Override
        public void afterRestore() throws Exception {
            say("after " + name);
            if (mood.equals("break")) {
                throw new IllegalStateException(name + " is broken");
            }
        }

        @Override
        public void beforeCheckpoint(Context<? extends Resource> context) throws Exception {
            beforeCheckpoint();
            while (mood.equals("hold")) {
                held = true;
                Thread.onSpinWait();
            }
        }

        @Override
        public void afterRestore(Context<? extends Resource> context) throws Exception {
            afterRestore();
        }
    }

    private static void obey(String line) throws IOException {
        switch (line) {
            case "nano":
                say("nano " + System.nanoTime());
                break;
            case "uuid":
                say("uuid " + UUID.randomUUID());
                break;
            case "litter":
                for (int i = 0; i < LITTER_BYTES; i += PIECE_BYTES) {
                    Arrays.fill(new byte[PIECE_BYTES], (byte) 1);
                }
                say("litter");
                break;
            case "listen":
                server = new ServerSocket(Integer.getInteger("port"), 0, InetAddress.getLoopbackAddress());
                say("listen");
                break;
            case "held":
                while (!held) {
                    Thread.onSpinWait();
                }
                say("held");
                break;
            default:
                say(line);
                mood = line;
                break;
        }
    }

    public static void main(String[] args) throws IOException {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        Part resource = new Part("resource");
        Core.getGlobalContext().register(resource);
        Hooks.register(new Part("concurrent"), Mode.CONCURRENT, Priority.MEDIUM);
        Hooks.register(new Part("alone"), Mode.SINGLE_THREADED, Priority.MEDIUM);
        UUID.randomUUID(); // the generator has begun
        say("up");
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            obey(line);
        }
    }
}
