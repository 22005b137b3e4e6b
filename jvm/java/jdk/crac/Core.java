/* SPDX-License-Identifier: Apache-2.0 */
package jdk.crac;

import thump.jvm.BlockingContext;
import thump.jvm.Coordinator;
import thump.jvm.OrderedContext;

/**
 * The coordination service: where resources register and checkpoints are requested.
 */
public class Core {

    private static final Context<Resource> GLOBAL =
            "BlockingOrderedContext".equals(System.getProperty("jdk.crac.globalContext.impl"))
            ? new BlockingContext<>() : new OrderedContext<>();

    private Core() {
    }

    /**
     * Returns the context that is notified of every checkpoint and restore.
     *
     * @return the global context
     */
    public static Context<Resource> getGlobalContext() {
        return GLOBAL;
    }

    /**
     * Requests a checkpoint; returns in the restored process.
     *
     * @throws CheckpointException if no checkpoint was made; the program goes on in the original process
     * @throws RestoreException if a resource failed in the restored process
     * @throws UnsupportedOperationException if no image file was given to the agent; nobody was notified
     */
    public static void checkpointRestore() throws CheckpointException, RestoreException {
        Coordinator.checkpointRestore();
    }
}
