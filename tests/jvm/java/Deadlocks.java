/* SPDX-License-Identifier: Apache-2.0 */
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.locks.ReentrantLock;

import org.crac.CheckpointException;
import org.crac.Core;
import thump.Hook;
import thump.Hooks;
import thump.Mode;
import thump.Priority;
import thump.Registration;

/**
 * Single-threaded hooks that wait for a suspended thread, in each way that a thread can wait. Each ends the checkpoint
 * with a message that names both, after three tries, and the program goes on.
 */
public final class Deadlocks {

    private static final int TRIES = 3;
    private static final Duration HOUR = Duration.ofHours(1);
    private static final Duration SOON = Duration.ofMillis(100);
    private static final ReentrantLock LOCK = new ReentrantLock();
    private static final Object MONITOR = new Object();

    /** One permit for each time that the holder holds what the hook wants. */
    private static final Semaphore HELD = new Semaphore(0);
    /** How often the hook was called; the holder, once it runs again, lets go of what it held when it was less. */
    private static volatile int calls;
    private static volatile int ended;
    private static Thread holder;
    private static boolean holdersAreVirtual;
    private static boolean requesterIsVirtual;

    private Deadlocks() {
    }

    private interface Action {
        void run() throws Exception;
    }

    static final class Slow1 {
        static final int VALUE = hold();
    }

    static final class Slow2 {
        static final int VALUE = hold();
    }

    static final class Slow3 {
        static final int VALUE = hold();
    }

    private static int hold() {
        int seen = calls;
        HELD.release();
        while (calls == seen) {
            Thread.onSpinWait();
        }
        return seen;
    }

    private static void afterHold() {
        int seen = calls;
        while (ended < seen) {
            Thread.onSpinWait();
        }
    }

    /** A hook that waits for what a holder holds again and again. */
    private static final class Waiter implements Hook {

        private final Action action;

        Waiter(Action action) {
            this.action = action;
        }

        @Override
        public boolean beforeCheckpoint() throws Exception {
            calls++;
            action.run();
            return true;
        }

        @Override
        public void afterRestore() throws Exception {
            ended = calls;
            if (calls < TRIES) {
                HELD.acquire();
            }
        }
    }

    /** A virtual thread, started or not; by reflection, as JDK 17 has none. */
    private static Object virtual(String name, String method, Runnable task) throws ReflectiveOperationException {
        Class<?> builder = Class.forName("java.lang.Thread$Builder");
        Object named = builder.getMethod("name", String.class).invoke(Thread.class.getMethod("ofVirtual").invoke(null),
                name);
        return builder.getMethod(method, Runnable.class).invoke(named, task);
    }

    private static Thread newHolder(String name, Runnable task) throws ReflectiveOperationException {
        if (holdersAreVirtual) {
            return (Thread) virtual(name, "unstarted", task);
        }
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        return thread;
    }

    private static void startHolder(String name, Action once, int times) throws Exception {
        if (holder != null) {
            holder.join();
        }
        HELD.drainPermits();
        calls = 0;
        ended = 0;
        holder = newHolder(name, () -> {
            try {
                for (int i = 0; i < times; i++) {
                    once.run();
                    afterHold();
                }
                HELD.release(TRIES);
            } catch (Exception end) {
                throw new AssertionError(end);
            }
        });
        holder.start();
        HELD.acquire();
    }

    private static String expectStuck(Hook hook, Mode mode, Duration limit) throws Exception {
        Registration registration = Hooks.register(hook, mode, Priority.MEDIUM, limit);
        try {
            Core.checkpointRestore();
        } catch (CheckpointException refused) {
            Expect.that(!Thread.currentThread().isInterrupted(), "the interrupt outlived the hook");
            return String.valueOf(Expect.reasons(refused));
        } finally {
            registration.close();
        }
        throw new AssertionError("there was a checkpoint");
    }

    private static void expectOwner(String owner, String object, Action hold, Action wait) throws Exception {
        startHolder(owner, hold, TRIES);
        String text = expectStuck(new Waiter(wait), Mode.SINGLE_THREADED, HOUR);
        expectWords(text, object, "\"main\"", "Waiter.beforeCheckpoint(Deadlocks.java:");
        // From JDK 24 on JVMTI does not tell which virtual thread has a monitor.
        if (holdersAreVirtual && Runtime.version().feature() >= 24 && object.equals("java.lang.Object@")) {
            expectWords(text, "a suspended virtual thread");
        } else {
            expectWords(text, '"' + owner + '"', "Deadlocks.hold");
        }
        Expect.same(TRIES, calls, "calls");
    }

    private static void expectWords(String text, String... words) {
        for (String word : words) {
            Expect.that(text.contains(word), word + " is not in " + text);
        }
    }

    private static void owners() throws Exception {
        expectOwner("owner of the monitor", "java.lang.Object@", () -> {
            synchronized (MONITOR) {
                hold();
            }
        }, () -> {
            synchronized (MONITOR) {
                Thread.onSpinWait();
            }
        });
        expectOwner("owner of the lock", "java.util.concurrent.locks.ReentrantLock$NonfairSync@", () -> {
            LOCK.lock();
            hold();
            LOCK.unlock();
        }, () -> {
            LOCK.lock();
            LOCK.unlock();
        });
        expectOwner("initialiser", "the initialisation of Deadlocks$Slow", () -> load(calls + 1), () -> load(calls));
    }

    private static void load(int number) throws ClassNotFoundException {
        Class.forName("Deadlocks$Slow" + number);
    }

    /** The second try finds nobody in the way. */
    private static void secondTry() throws Exception {
        startHolder("owner for once", () -> {
            synchronized (MONITOR) {
                hold();
            }
        }, 1);
        Hook hook = new Waiter(() -> {
            synchronized (MONITOR) {
                Thread.onSpinWait();
            }
        });
        Registration registration = Hooks.register(hook, Mode.SINGLE_THREADED, Priority.MEDIUM, HOUR);
        Core.checkpointRestore();
        registration.close();
        Expect.same(2, calls, "calls");
    }

    /** Nobody owns a latch: only the limit ends it. */
    private static void latch() throws Exception {
        CountDownLatch never = new CountDownLatch(1);
        calls = TRIES;
        String text = expectStuck(new Waiter(never::await), Mode.SINGLE_THREADED, SOON);
        Expect.that(text.contains("100 ms") && text.contains("CountDownLatch.await"), text);
        Expect.same(2 * TRIES, calls, "calls");
    }

    /** Its owner is known at once, but never lets go of it: lock() heeds no interrupt, and is left all the same. */
    private static void lockedForGood() throws Exception {
        startHolder("owner for good", () -> {
            LOCK.lock();
            HELD.release();
            while (calls >= 0) {
                Thread.onSpinWait();
            }
            LOCK.unlock();
        }, 1);
        calls = TRIES;
        String text = expectStuck(new Waiter(LOCK::lock), Mode.SINGLE_THREADED, SOON);
        expectWords(text, "ReentrantLock$NonfairSync@", "\"owner for good\"", "Waiter.beforeCheckpoint(Deadlocks.java:");
        Expect.same(2 * TRIES, calls, "calls");
        calls = -1;
    }

    /** A hook that heeds no interrupt. */
    private static void endless() throws Exception {
        String text = expectStuck(new Waiter(() -> {
            while (calls > 0) {
                Thread.onSpinWait();
            }
        }), Mode.CONCURRENT, SOON);
        Expect.that(text.contains("100 ms") && text.contains("Deadlocks.java:"), text);
    }

    private static void all() {
        try {
            owners();
            secondTry();
            latch();
            endless();
            if (!requesterIsVirtual) { // a virtual thread that is parked cannot be stopped
                lockedForGood();
            }
            Core.checkpointRestore();
            System.out.println("passed");
        } catch (Exception thrown) {
            throw new AssertionError(thrown);
        }
    }

    /** With "virtual" on a virtual thread; with "holders" it is they who are virtual. */
    public static void main(String[] args) throws Exception {
        holdersAreVirtual = List.of(args).contains("holders");
        requesterIsVirtual = List.of(args).contains("virtual");
        if (requesterIsVirtual) {
            ((Thread) virtual("main", "start", Deadlocks::all)).join();
        } else {
            all();
        }
    }
}
