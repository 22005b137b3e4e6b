/* SPDX-License-Identifier: Apache-2.0 */
package jdk.crac;

/**
 * An object that is told before a checkpoint is made and after a restore.
 */
public interface Resource {

    /**
     * Called in the original process, on the thread that requested the checkpoint, before memory is saved. Resources
     * are called in the reverse order of their registration. An exception makes the checkpoint fail; the other
     * resources are called all the same.
     *
     * @param context the context that calls
     * @throws Exception becomes a suppressed exception of the {@link CheckpointException}
     */
    void beforeCheckpoint(Context<? extends Resource> context) throws Exception;

    /**
     * Called on the same thread in the restored process, or in the original one when the checkpoint failed, in the
     * order of registration. An exception does not keep the other resources from being called.
     *
     * @param context the context that calls
     * @throws Exception becomes a suppressed exception of the {@link RestoreException}
     */
    void afterRestore(Context<? extends Resource> context) throws Exception;
}
