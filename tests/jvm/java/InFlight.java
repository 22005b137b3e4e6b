/* SPDX-License-Identifier: Apache-2.0 */
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.LongSupplier;

import org.crac.Context;
import org.crac.Core;
import org.crac.Resource;

/**
 * Threads that do nothing but draw numbers, from one generator for all. As nobody tells them when the process is saved,
 * each of them keeps the numbers that follow on a gap in its time. A clone (with the variable CLONE) prints
 * "thread;milliseconds;number" for each of these and ends.
 *
 * <p>Arguments: the algorithm, or ThreadLocalRandom; "virtual": the threads are virtual.
 */
public final class InFlight implements Resource {

    private static final int THREADS = 8;
    private static final int NUMBERS = 6;
    private static final int GAP_MILLIS = 10;
    private static final Resource TELLER = new InFlight();

    private static final List<String> KEPT = new ArrayList<>();
    /** Of a clone: opens once each thread has had its numbers. */
    private static volatile CountDownLatch awaited;

    private InFlight() {
    }

    private static LongSupplier generator(String algorithm) throws Exception {
        if (algorithm.equals("ThreadLocalRandom")) {
            return () -> ThreadLocalRandom.current().nextLong();
        }
        SecureRandom random = SecureRandom.getInstance(algorithm);
        return random::nextLong;
    }

    private static void keep(String line) {
        synchronized (KEPT) {
            KEPT.add(line);
        }
    }

    private static void draw(int thread, LongSupplier generator) {
        long last = System.currentTimeMillis();
        int wanted = 0;
        CountDownLatch counted = null;
        while (true) {
            long number = generator.getAsLong();
            long now = System.currentTimeMillis();
            if (now - last > GAP_MILLIS) {
                wanted = NUMBERS;
            }
            last = now;
            if (wanted > 0) {
                wanted--;
                keep(thread + ";" + now + ";" + number);
            }
            CountDownLatch latch = awaited;
            if (latch != null && latch != counted && wanted == 0) {
                counted = latch;
                latch.countDown();
            }
        }
    }

    @Override
    public void beforeCheckpoint(Context<? extends Resource> context) {
    }

    @Override
    public void afterRestore(Context<? extends Resource> context) throws InterruptedException {
        if (System.getenv("CLONE") == null) {
            return;
        }
        awaited = new CountDownLatch(THREADS);
        awaited.await();
        synchronized (KEPT) {
            System.out.println(String.join("\n", KEPT));
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    /** By its name, as JDK 17 has none. */
    private static void start(Runnable body, boolean virtual) throws Exception {
        if (virtual) {
            Thread.class.getMethod("startVirtualThread", Runnable.class).invoke(null, body);
            return;
        }
        Thread thread = new Thread(body);
        thread.setDaemon(true);
        thread.start();
    }

    public static void main(String[] args) throws Exception {
        LongSupplier generator = generator(args[0]);
        Core.getGlobalContext().register(TELLER);
        for (int i = 0; i < THREADS; i++) {
            int number = i;
            start(() -> draw(number, generator), List.of(args).contains("virtual"));
        }
        System.out.println("drawing");
        System.in.read();
    }
}
