/* SPDX-License-Identifier: Apache-2.0 */
package thump;

/**
 * What a program does before a checkpoint and after a restore. Register it with {@link Hooks}.
 *
 * <p>Both methods run on the thread that makes the checkpoint. When a checkpoint fails after
 * {@link #beforeCheckpoint()} has been called, {@link #afterRestore()} is called in the original process.
 */
public interface Hook {

    /**
     * Prepares for a checkpoint. An exception is a veto with a reason.
     *
     * @return false to veto the checkpoint: the program goes on without one
     * @throws Exception if there cannot be a checkpoint now
     */
    default boolean beforeCheckpoint() throws Exception {
        return true;
    }

    /**
     * Undoes the preparations, in the restored process or, when no image was made, in the original one.
     *
     * @throws Exception if something did not come back; it becomes part of the checkpoint's outcome
     */
    default void afterRestore() throws Exception {
    }
}
