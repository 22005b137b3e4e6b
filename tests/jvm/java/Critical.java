/* SPDX-License-Identifier: Apache-2.0 */
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.zip.Deflater;

import org.crac.Core;

import thump.Hook;
import thump.Hooks;
import thump.Mode;
import thump.Priority;

/**
 * Threads that are inside JNI critical regions nearly all the time (java.util.zip), and a heap that is always about to
 * be full: a thread that is suspended there would hold off the collection that the checkpoint itself needs. With
 * "virtual" these threads are virtual ones, and want a carrier each; with "both" there are as many of either kind.
 */
public final class Critical {

    private static final int THREADS = 4;
    private static final int ROUNDS = 10;
    private static final int INPUT_BYTES = 256 * 1024;

    private static final List<AtomicLong> COUNTERS = new ArrayList<>();
    private static volatile byte[] garbage;

    private Critical() {
    }

    private static void compress(AtomicLong counter, long seed) {
        byte[] input = new byte[INPUT_BYTES];
        new Random(seed).nextBytes(input);
        while (true) {
            Deflater deflater = new Deflater();
            deflater.setInput(input);
            deflater.finish();
            while (!deflater.finished()) {
                deflater.deflate(new byte[INPUT_BYTES]);
            }
            deflater.end();
            counter.incrementAndGet();
            Thread.yield(); // a virtual one is unmounted now and then
        }
    }

    private static void start(boolean virtual, String name, Runnable run) throws Exception {
        if (virtual) {
            // Thread.startVirtualThread, which JDK 17 does not have.
            Thread.class.getMethod("startVirtualThread", Runnable.class).invoke(null, run);
            return;
        }
        Thread thread = new Thread(run, name);
        thread.setDaemon(true);
        thread.start();
    }

    private static void startAll(boolean virtual) throws Exception {
        for (int i = 0; i < THREADS; i++) {
            AtomicLong counter = new AtomicLong();
            long seed = COUNTERS.size();
            COUNTERS.add(counter);
            start(virtual, "compresses " + i, () -> compress(counter, seed));
        }
    }

    /** Every thread has gone on; the driver's time limit ends what hangs. */
    private static void expectAllGoOn() {
        for (AtomicLong counter : COUNTERS) {
            long until = counter.get() + 2;
            while (counter.get() < until) {
                LockSupport.parkNanos(500_000);
            }
        }
    }

    /** More than the heap holds, while all others are suspended: that takes some collections. */
    private static void fillHeap() {
        long bytes = Runtime.getRuntime().maxMemory() * 2;
        for (long made = 0; made < bytes; made += 65536) {
            garbage = new byte[65536];
        }
    }

    public static void main(String[] args) throws Exception {
        Hooks.register(new Hook() {
            @Override
            public boolean beforeCheckpoint() {
                fillHeap();
                return true;
            }

            @Override
            public void afterRestore() {
                fillHeap();
            }
        }, Mode.SINGLE_THREADED, Priority.MEDIUM);
        boolean both = List.of(args).contains("both");
        if (both || List.of(args).contains("virtual")) {
            startAll(true);
        }
        if (both || COUNTERS.isEmpty()) {
            startAll(false);
        }
        for (int round = 0; round < ROUNDS; round++) {
            expectAllGoOn();
            Core.checkpointRestore();
        }
        expectAllGoOn();
        System.out.println("passed");
    }
}
