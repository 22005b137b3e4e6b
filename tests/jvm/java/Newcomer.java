/* SPDX-License-Identifier: Apache-2.0 */
import org.crac.Core;

/**
 * Has memory of malloc(3) from a library, the first argument, that is loaded before the checkpoint, and lets another
 * one, the second, loaded after the restore, give it back. Says where one block is, and waits for a byte of input before that.
 */
public final class Newcomer {

    private static final int BLOCK_BYTES = 100_000;
    private static final byte CONTENT = 42;

    private Newcomer() {
    }

    /** The address of a block of malloc's that is full of this byte. */
    private static native long keep(int size, byte content);

    /** Whether the block is full of this byte, and pages of it that are given back are zeros. */
    private static native boolean giveBack(long block, int size, byte content, boolean lazily);

    /** JDK 25 warns of who loads a library. */
    @SuppressWarnings("restricted")
    private static void load(String library) {
        System.load(library);
    }

    public static void main(String[] args) throws Exception {
        load(args[0]);
        long[] blocks = new long[8];
        for (int i = 0; i < blocks.length; i++) {
            blocks[i] = keep(BLOCK_BYTES, CONTENT);
        }
        Core.checkpointRestore();
        System.out.println("block " + Long.toHexString(blocks[4]));
        System.in.read();
        load(args[1]);
        Expect.that(giveBack(blocks[4], BLOCK_BYTES, CONTENT, false), "MADV_DONTNEED brings zeros");
        Expect.that(giveBack(blocks[5], BLOCK_BYTES, CONTENT, true), "MADV_FREE is taken");
        System.out.println("fine");
    }
}
