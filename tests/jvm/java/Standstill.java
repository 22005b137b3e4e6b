/* SPDX-License-Identifier: Apache-2.0 */
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

import org.crac.Core;
import thump.Hook;
import thump.Hooks;
import thump.Mode;
import thump.Priority;

/**
 * Virtual threads that compute, park, sleep, hand things over and start others count their steps. Between their
 * suspension and their resumption, before the capture and after the restore, no step is made: single-threaded hooks
 * look. Outside of it every one of them gets on.
 */
public final class Standstill implements Hook {

    private static final int ROUNDS = 4;
    private static final int LOOKS = 10;

    private static final List<AtomicLong> COUNTERS = new ArrayList<>();
    private static final List<String> NAMES = new ArrayList<>();
    private static List<Long> stood;
    private static int calls;

    private interface Step {
        void run() throws Exception;
    }

    private static void start(Runnable body) {
        try {
            // Thread.startVirtualThread, which JDK 17 does not have.
            Method start = Thread.class.getMethod("startVirtualThread", Runnable.class);
            start.invoke(null, body);
        } catch (ReflectiveOperationException impossible) {
            throw new AssertionError(impossible);
        }
    }

    private static void add(String name, Step step) {
        AtomicLong counter = new AtomicLong();
        COUNTERS.add(counter);
        NAMES.add(name);
        start(() -> {
            try {
                while (true) {
                    step.run();
                    counter.incrementAndGet();
                }
            } catch (Exception end) {
                throw new AssertionError(name, end);
            }
        });
    }

    private static void addAll() {
        SynchronousQueue<Long> queue = new SynchronousQueue<>();
        add("computes", () -> {
            for (int i = 0; i < 1000; i++) {
                COUNTERS.get(0).incrementAndGet();
            }
            LockSupport.parkNanos(1); // virtual threads have no time slices
        });
        add("parks", () -> LockSupport.parkNanos(100_000));
        add("sleeps", () -> Thread.sleep(1));
        add("gives", () -> queue.put(1L));
        add("takes", queue::take);
        AtomicLong started = new AtomicLong();
        COUNTERS.add(started);
        NAMES.add("is started");
        add("starts", () -> {
            start(started::incrementAndGet);
            LockSupport.parkNanos(100_000);
        });
    }

    private static List<Long> steps() {
        List<Long> steps = new ArrayList<>();
        for (AtomicLong counter : COUNTERS) {
            steps.add(counter.get());
        }
        return steps;
    }

    /** Time enough for whoever could run. */
    private static void expectStandstill(String when) {
        for (int look = 0; look < LOOKS; look++) {
            Expect.same(stood, steps(), when + ": steps of " + NAMES);
            LockSupport.parkNanos(5_000_000);
        }
        calls++;
    }

    @Override
    public boolean beforeCheckpoint() {
        if (stood == null) {
            stood = steps();
        }
        expectStandstill("before the capture");
        return true;
    }

    @Override
    public void afterRestore() {
        expectStandstill("after the restore");
    }

    /** The driver's time limit ends what hangs. */
    private static void expectAllGoOn() {
        List<Long> seen = steps();
        for (int i = 0; i < COUNTERS.size(); i++) {
            while (COUNTERS.get(i).get() < seen.get(i) + 3) {
                LockSupport.parkNanos(100_000);
            }
        }
    }

    public static void main(String[] args) throws Exception {
        addAll();
        Hooks.register(new Standstill(), Mode.SINGLE_THREADED, Priority.HIGH);
        Hooks.register(new Standstill(), Mode.SINGLE_THREADED, Priority.LOW);
        expectAllGoOn();
        for (int round = 1; round <= ROUNDS; round++) {
            stood = null;
            Core.checkpointRestore();
            Expect.same(4 * round, calls, "calls of hooks");
            expectAllGoOn();
        }
        System.out.println("passed");
    }
}
