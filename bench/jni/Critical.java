/* SPDX-License-Identifier: Apache-2.0 */

/** Enters and leaves a JNI critical region often, in native code; writes the nanoseconds that each time took at best. */
public final class Critical {

    private static final int ROUNDS = 30;
    private static final int PAIRS = 200_000;

    private Critical() {
    }

    /** Returns how long that many pairs of GetPrimitiveArrayCritical and its release take. */
    private static native long enter(byte[] array, int pairs);

    public static void main(String[] args) {
        System.load(args[0]);
        byte[] array = new byte[1];
        long best = Long.MAX_VALUE;
        for (int i = 0; i < ROUNDS; i++) {
            best = Math.min(best, enter(array, PAIRS));
        }
        System.out.println((double) best / PAIRS);
    }
}
