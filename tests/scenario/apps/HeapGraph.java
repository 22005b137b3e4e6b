// SPDX-License-Identifier: Apache-2.0

/**
 * A program whose heap is known: a list of nodes of every shape that an object can have, behind
 * arrays of zeros. It says "ready", and then nothing in it happens any more.
 */
public final class HeapGraph {
    private static final int ZEROS = 6;
    private static final int ZERO_BYTES = 3 << 20;

    /** Arrays that are zero for many pages, which an image does not store. */
    static final byte[][] zeros = new byte[ZEROS][];
    static Node head;

    /** Fields of every type, inherited ones too. */
    static class Base {
        final long squared;
        final double half;

        Base(int id) {
            squared = (long) id * id;
            half = id / 2.0;
        }
    }

    static final class Node extends Base {
        final int id;
        final boolean even;
        final byte small;
        final char letter;
        final short negative;
        final float third;
        final String name;
        final int[] numbers;
        final Object[] mixed;
        final Node next;

        Node(int id, Node next) {
            super(id);
            this.id = id;
            this.next = next;
            even = id % 2 == 0;
            small = (byte) id;
            letter = (char) ('a' + id % 26);
            negative = (short) -id;
            third = id / 4f;
            name = (id % 3 == 0 ? "n\u00f6de \u2192 " : "node ") + id;
            numbers = new int[id % 50];
            for (int i = 0; i < numbers.length; i++) {
                numbers[i] = id + i;
            }
            mixed = new Object[] {this, next, name, numbers, null};
        }
    }

    private HeapGraph() {
    }

    /** The number of nodes is the only argument. */
    public static void main(String[] args) throws InterruptedException {
        for (int i = 0; i < ZEROS; i++) {
            zeros[i] = new byte[ZERO_BYTES];
        }
        for (int id = Integer.parseInt(args[0]) - 1; id >= 0; id--) {
            head = new Node(id, head);
        }
        System.out.println("ready");
        synchronized (HeapGraph.class) {
            while (true) {
                HeapGraph.class.wait();
            }
        }
    }
}
