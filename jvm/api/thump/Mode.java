/* SPDX-License-Identifier: Apache-2.0 */
package thump;

/**
 * What the other threads do while a {@link Hook} runs.
 */
public enum Mode {

    /** They run. The hook may wait for them, and may use whatever the program uses. */
    CONCURRENT,

    /**
     * They are suspended, wherever they are: nothing changes before the capture that the hook did not change, and in
     * the restored process nobody runs before it. A hook that waits for one of them (for a lock that it holds, for an
     * answer) ends the checkpoint with a message that names both.
     */
    SINGLE_THREADED
}
