/* SPDX-License-Identifier: Apache-2.0 */
import java.util.ArrayList;
import java.util.List;
import java.util.Timer;
import java.util.TimerTask;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

import org.crac.Core;

/**
 * Everything that waits for a time, across a checkpoint after which the machine's clock is another one: the program's
 * own goes on where it was, each wait takes as long as it should, and what runs periodically neither stops nor makes up
 * for runs that it never missed.
 */
public final class Clocks {

    private static final long MS = 1_000_000;
    private static final long WAIT = 2000 * MS;
    private static final long PERIOD = 50 * MS;
    /** Restores take long on a busy machine; the clocks of this test differ by 30 days. */
    private static final long LONG = 60_000 * MS;

    private static final Object MONITOR = new Object();
    private static final List<Waiter> WAITERS = new ArrayList<>();

    private Clocks() {
    }

    private interface Wait {
        void run() throws InterruptedException;
    }

    /** Waits once, across the checkpoint. */
    private static final class Waiter extends Thread {

        private final Wait wait;
        private final CountDownLatch begun = new CountDownLatch(1);
        private volatile long took = -1;

        Waiter(String name, Wait wait) {
            super(name);
            this.wait = wait;
            setDaemon(true);
        }

        @Override
        public void run() {
            long start = System.nanoTime();
            begun.countDown();
            try {
                wait.run();
            } catch (InterruptedException end) {
                throw new AssertionError(end);
            }
            took = System.nanoTime() - start;
        }

        void expectDone() throws InterruptedException {
            join();
            Expect.that(took >= WAIT && took < WAIT + LONG, getName() + " took " + took);
        }
    }

    private static void parkUntil(long end) {
        while (System.nanoTime() - end < 0) {
            LockSupport.parkNanos(end - System.nanoTime());
        }
    }

    private static void waitUntil(long end) throws InterruptedException {
        synchronized (MONITOR) {
            while (System.nanoTime() - end < 0) {
                MONITOR.wait((end - System.nanoTime()) / MS + 1);
            }
        }
    }

    private static void startWaiters() throws InterruptedException {
        WAITERS.add(new Waiter("sleep", () -> Thread.sleep(WAIT / MS)));
        WAITERS.add(new Waiter("wait", () -> waitUntil(System.nanoTime() + WAIT)));
        WAITERS.add(new Waiter("parkNanos", () -> parkUntil(System.nanoTime() + WAIT)));
        WAITERS.add(new Waiter("await", () -> new CountDownLatch(1).await(WAIT, TimeUnit.NANOSECONDS)));
        for (Waiter waiter : WAITERS) {
            waiter.start();
            waiter.begun.await();
        }
    }

    /** Some more runs come, and never more than there were periods, but for a few that a busy machine delayed. */
    private static void expectRate(String what, AtomicInteger runs, int before, long since) throws InterruptedException {
        while (runs.get() < before + 10) {
            Thread.sleep(10);
        }
        long periods = (System.nanoTime() - since) / PERIOD;
        Expect.that(runs.get() - before <= periods + 2, what + ": " + (runs.get() - before) + " in " + periods);
    }

    public static void main(String[] args) throws Exception {
        AtomicInteger timed = new AtomicInteger();
        AtomicInteger scheduled = new AtomicInteger();
        Timer timer = new Timer("timer", true);
        ScheduledExecutorService executor = Executors.newScheduledThreadPool(1);
        long start = System.nanoTime();
        timer.scheduleAtFixedRate(new TimerTask() {
            @Override
            public void run() {
                timed.incrementAndGet();
            }
        }, 0, PERIOD / MS);
        executor.scheduleAtFixedRate(scheduled::incrementAndGet, 0, PERIOD, TimeUnit.NANOSECONDS);
        startWaiters();
        long before = System.nanoTime();
        Core.checkpointRestore();
        long passed = System.nanoTime() - before;
        Expect.that(passed >= 0 && passed < LONG, "the checkpoint took " + passed);
        // A period that has begun before counts, too: so from the beginning.
        expectRate("scheduleAtFixedRate", scheduled, 0, start);
        for (Waiter waiter : WAITERS) {
            waiter.expectDone();
        }
        // Timer goes by System.currentTimeMillis(), which is the machine's: runs that it missed are made up for.
        int soFar = timed.get();
        while (timed.get() < soFar + 5) {
            Thread.sleep(10);
        }
        System.out.println("passed");
        Runtime.getRuntime().halt(0);
    }
}
