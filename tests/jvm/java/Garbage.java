/* SPDX-License-Identifier: Apache-2.0 */
import java.util.Random;

/**
 * Fills the heap with garbage that is not zero, says "ready" and the sum of what it keeps, and says the sum again for
 * each line on standard input.
 */
public final class Garbage {

    private static final int KEPT_BYTES = 4 << 20;

    private Garbage() {
    }

    private static int sum(byte[][] kept) {
        int sum = 0;
        for (byte[] piece : kept) {
            for (byte value : piece) {
                sum = 31 * sum + value;
            }
        }
        return sum;
    }

    public static void main(String[] args) throws Exception {
        byte[][] kept = new byte[KEPT_BYTES / 4096][];
        Random random = new Random(1);
        long garbage = Long.parseLong(args[0]) << 20;
        for (long made = 0; made < garbage; made += 4096) {
            byte[] piece = new byte[4096];
            random.nextBytes(piece);
            kept[(int) (made / 4096 % kept.length)] = piece;
        }
        System.out.println("ready " + sum(kept));
        while (System.in.read() >= 0) {
            System.out.println(sum(kept));
        }
    }
}
