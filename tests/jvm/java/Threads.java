/* SPDX-License-Identifier: Apache-2.0 */
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

import org.crac.Core;

/**
 * Threads that compute, park, sleep, wait for a monitor and hand things over; after every restore each of them must go
 * on. With "virtual" half of them are virtual threads.
 */
public final class Threads {

    private static final int ROUNDS = 4;

    private interface Step {
        void run() throws InterruptedException;
    }

    private static final List<AtomicLong> COUNTERS = new ArrayList<>();
    private static final List<String> NAMES = new ArrayList<>();

    private Threads() {
    }

    private static void add(String name, boolean virtual, Step step) throws Exception {
        AtomicLong counter = new AtomicLong();
        Runnable loop = () -> {
            try {
                while (true) {
                    step.run();
                    counter.incrementAndGet();
                }
            } catch (InterruptedException end) {
                throw new AssertionError(name + " was interrupted", end);
            }
        };
        COUNTERS.add(counter);
        NAMES.add(name);
        if (virtual) {
            // Thread.startVirtualThread, which JDK 17 does not have.
            Thread.class.getMethod("startVirtualThread", Runnable.class).invoke(null, loop);
        } else {
            Thread thread = new Thread(loop, name);
            thread.setDaemon(true);
            thread.start();
        }
    }

    private static void addAll(boolean virtual) throws Exception {
        String kind = virtual ? "virtual " : "";
        SynchronousQueue<Long> queue = new SynchronousQueue<>();
        Object waitedFor = new Object();
        Object contended = new Object();
        // Who holds the monitor takes a nap now and then: monitors are not fair.
        Step enter = () -> {
            synchronized (contended) {
                Thread.yield();
            }
            LockSupport.parkNanos(200_000);
        };
        if (!virtual) {
            // Virtual threads have no time slices: there it would starve the others.
            add("computes", false, Thread::yield);
        }
        add(kind + "parks", virtual, () -> LockSupport.parkNanos(1_000_000));
        add(kind + "sleeps", virtual, () -> Thread.sleep(1));
        add(kind + "waits", virtual, () -> {
            synchronized (waitedFor) {
                waitedFor.wait(1);
            }
        });
        add(kind + "enters", virtual, enter);
        add(kind + "enters, too", virtual, enter);
        add(kind + "gives", virtual, () -> queue.put(1L));
        add(kind + "takes", virtual, queue::take);
    }

    /** Every thread has gone on by some steps; the driver's time limit ends what hangs. */
    private static void expectAllGoOn() {
        for (int i = 0; i < COUNTERS.size(); i++) {
            long until = COUNTERS.get(i).get() + 5;
            long giveUp = System.nanoTime() + 20_000_000_000L;
            while (COUNTERS.get(i).get() < until) {
                Expect.that(System.nanoTime() < giveUp, NAMES.get(i) + " does not go on");
                LockSupport.parkNanos(500_000);
            }
        }
    }

    public static void main(String[] args) throws Exception {
        addAll(false);
        if (List.of(args).contains("virtual")) {
            addAll(true);
        }
        expectAllGoOn();
        for (int round = 0; round < ROUNDS; round++) {
            Core.checkpointRestore();
            expectAllGoOn();
        }
        System.out.println("passed");
    }
}
