/* SPDX-License-Identifier: Apache-2.0 */
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.security.Security;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Supplier;
import java.util.random.RandomGenerator;

import org.crac.Context;
import org.crac.Core;
import org.crac.Resource;

/**
 * Eight threads draw from every generator of the JDK across a checkpoint. Each number is printed with the time after
 * it was drawn, so that the driver knows which were drawn in the restored process. With "pause" the threads stand still
 * between two draws during the checkpoint, so that not one draw is in flight.
 */
public final class Draws implements Resource {

    private static final int THREADS = 8;
    private static final int ROUNDS_BEFORE = 5;
    private static final int ROUNDS_AFTER = 10;

    private final Map<String, Supplier<Object>> generators = new LinkedHashMap<>();
    private final StringBuffer lines = new StringBuffer();
    private final int[] rounds = new int[THREADS];
    private boolean pause;
    private int paused;

    private Draws() throws NoSuchAlgorithmException {
        SecureRandom standard = new SecureRandom();
        for (String algorithm : List.of("NativePRNG", "NativePRNGBlocking", "NativePRNGNonBlocking", "SHA1PRNG")) {
            SecureRandom random = SecureRandom.getInstance(algorithm);
            generators.put(algorithm, random::nextLong);
        }
        for (String mechanism : List.of("Hash_DRBG", "HMAC_DRBG", "CTR_DRBG")) {
            Security.setProperty("securerandom.drbg.config", mechanism);
            SecureRandom random = SecureRandom.getInstance("DRBG");
            if (!random.toString().startsWith(mechanism)) {
                throw new AssertionError(random + " is no " + mechanism);
            }
            generators.put(mechanism, random::nextLong);
        }
        generators.put("SecureRandom", standard::nextLong);
        generators.put("new SecureRandom", () -> new SecureRandom().nextLong());
        generators.put("UUID", UUID::randomUUID);
        generators.put("ThreadLocalRandom", () -> ThreadLocalRandom.current().nextLong());
        generators.put("Math.random", Math::random);
        generators.put("new Random", () -> new Random().nextLong());
        generators.put("new SplittableRandom", () -> new SplittableRandom().nextLong());
        generators.put("new L64X128MixRandom", () -> RandomGenerator.of("L64X128MixRandom").nextLong());
        generators.put("new Xoshiro256PlusPlus", () -> RandomGenerator.of("Xoshiro256PlusPlus").nextLong());
    }

    private void drawAll() {
        for (Map.Entry<String, Supplier<Object>> generator : generators.entrySet()) {
            Object drawn = generator.getValue().get();
            lines.append(String.format("%s;%d;%s;%s%n", Thread.currentThread().getName(), System.currentTimeMillis(),
                    generator.getKey(), drawn));
        }
    }

    private synchronized boolean next(int thread) throws InterruptedException {
        rounds[thread]++;
        notifyAll();
        paused++;
        while (pause) {
            wait();
        }
        paused--;
        return true;
    }

    private synchronized void awaitRounds(int more) throws InterruptedException {
        int[] wanted = rounds.clone();
        for (int thread = 0; thread < THREADS; thread++) {
            while (rounds[thread] < wanted[thread] + more) {
                wait();
            }
        }
    }

    private void run(int thread) {
        try {
            do {
                drawAll();
            } while (next(thread));
        } catch (InterruptedException end) {
            throw new AssertionError(end);
        }
    }

    @Override
    public synchronized void beforeCheckpoint(Context<? extends Resource> context) throws InterruptedException {
        pause = true;
        while (paused < THREADS) {
            wait();
        }
    }

    @Override
    public synchronized void afterRestore(Context<? extends Resource> context) {
        pause = false;
        notifyAll();
    }

    public static void main(String[] args) throws Exception {
        Draws draws = new Draws();
        if (List.of(args).contains("pause")) {
            Core.getGlobalContext().register(draws);
        }
        for (int i = 0; i < THREADS; i++) {
            int number = i;
            Thread thread = new Thread(() -> draws.run(number), "t" + i);
            thread.setDaemon(true);
            thread.start();
        }
        draws.awaitRounds(ROUNDS_BEFORE);
        Core.checkpointRestore();
        draws.awaitRounds(ROUNDS_AFTER);
        System.out.print(draws.lines);
        System.out.flush();
        // Generators that hold a lock for ever must not keep the program.
        Runtime.getRuntime().halt(0);
    }
}
