/* SPDX-License-Identifier: Apache-2.0 */
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Phaser;
import java.util.stream.Stream;

import org.crac.Core;

/**
 * Threads that allocate all the time and keep object graphs whose content they can check, while the program is saved
 * and restored again and again. The graphs grow and shrink, so that the collector moves objects into memory that was
 * free at a checkpoint, gives memory back and takes it again. Words: the number of rounds. After every restore the heap
 * must be mapped from the image: wrong memory would be seen where HotSpot takes a private mapping for empty memory.
 */
public final class Heap {

    private static final int WORKERS = 3;
    private static final int SLOTS = 600;

    /** A piece of a graph: numbers that follow from its seed, and a chain of such pieces. */
    private static final class Piece {
        private final long seed;
        private final long[] numbers;
        private final Piece next;

        Piece(long seed, int length, Piece next) {
            this.seed = seed;
            this.next = next;
            this.numbers = new long[length];
            for (int i = 0; i < length; i++) {
                numbers[i] = seed * 31 + i;
            }
        }

        void check() {
            for (Piece piece = this; piece != null; piece = piece.next) {
                for (int i = 0; i < piece.numbers.length; i++) {
                    if (piece.numbers[i] != piece.seed * 31 + i) {
                        throw new AssertionError("number " + i + " of piece " + piece.seed + " is " + piece.numbers[i]);
                    }
                }
            }
        }
    }

    /** One thread with its graph; at each phase it stops, checks all of it, and changes its size. */
    private static final class Worker extends Thread {
        private final Random random;
        private final Piece[] slots = new Piece[SLOTS];
        private final Phaser phaser;
        private volatile boolean wanted;
        private volatile Throwable failure;
        private int used = SLOTS;

        Worker(int number, Phaser phaser) {
            super("worker " + number);
            setDaemon(true);
            this.random = new Random(number);
            this.phaser = phaser;
        }

        private Piece make() {
            // Now and then one that no region has room for (G1: 1 MB), or a chain.
            int length = random.nextInt(400) == 0 ? 160_000 : random.nextInt(600);
            Piece next = length < 1000 && random.nextInt(4) == 0 ? make() : null;
            return new Piece(random.nextLong(), length, next);
        }

        private void allocate() {
            int slot = random.nextInt(used);
            if (slots[slot] != null && random.nextInt(8) == 0) {
                slots[slot].check();
            }
            slots[slot] = make();
        }

        private void settle() {
            for (int i = 0; i < SLOTS; i++) {
                if (slots[i] != null) {
                    slots[i].check();
                }
            }
            used = SLOTS / (1 + random.nextInt(6));
            for (int i = used; i < SLOTS; i++) {
                slots[i] = null;
            }
        }

        @Override
        public void run() {
            try {
                phaser.arriveAndAwaitAdvance();
                while (true) {
                    allocate();
                    if (wanted) {
                        settle();
                        wanted = false;
                        phaser.arriveAndAwaitAdvance();
                    }
                }
            } catch (Throwable wrong) {
                failure = wrong;
                phaser.forceTermination();
            }
        }
    }

    private Heap() {
    }

    private static void expectNoFailure(List<Worker> workers) {
        for (Worker worker : workers) {
            if (worker.failure != null) {
                throw new AssertionError(worker.getName(), worker.failure);
            }
        }
    }

    /** Makes objects that are garbage at once, so that free memory is not empty. */
    private static void fillFreeMemory() {
        long bytes = Runtime.getRuntime().freeMemory() / 2;
        for (long made = 0; made < bytes; made += 4096) {
            byte[] garbage = new byte[4096];
            java.util.Arrays.fill(garbage, (byte) made);
        }
    }

    private static void expectMapped() throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/maps"))) {
            if (lines.noneMatch(line -> line.endsWith("/image") || line.endsWith("/image (deleted)"))) {
                throw new AssertionError("nothing is mapped from the image");
            }
        }
    }

    public static void main(String[] args) throws Exception {
        int rounds = Integer.parseInt(args[0]);
        Phaser phaser = new Phaser(WORKERS + 1);
        List<Worker> workers = new ArrayList<>();
        for (int i = 0; i < WORKERS; i++) {
            workers.add(new Worker(i, phaser));
        }
        workers.forEach(Thread::start);
        phaser.arriveAndAwaitAdvance();
        for (int round = 0; round < rounds; round++) {
            fillFreeMemory();
            // The workers are in the middle of allocating.
            Core.checkpointRestore();
            expectMapped();
            if (round % 3 == 0) {
                System.gc();
            }
            workers.forEach(worker -> worker.wanted = true);
            phaser.arriveAndAwaitAdvance();
            expectNoFailure(workers);
        }
        System.out.println("passed");
    }
}
