/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

import jdk.crac.CheckpointException;
import jdk.crac.Context;
import jdk.crac.Resource;
import jdk.crac.RestoreException;

/**
 * A context in which nobody registers from the beginning of a checkpoint to its restore: other threads wait. CRaC has it
 * for those who ask for it by {@code -Djdk.crac.globalContext.impl=BlockingOrderedContext}.
 *
 * <p>The thread that makes the checkpoint would wait for itself, so it does not wait; what it registers is called from
 * the next checkpoint on. (With an exception org.crac would refuse all checkpoints from then on.)
 *
 * @param <R> the resources that may be registered
 */
public final class BlockingContext<R extends Resource> extends OrderedContext<R> {

    /** Who makes a checkpoint, while registrations wait. Guarded by this. */
    private Thread notifier;

    /** With the monitor held, but for as long as it waits. */
    private void awaitRestore() throws InterruptedException {
        while (notifier != null && notifier != Thread.currentThread()) {
            wait();
        }
    }

    private synchronized void setNotifier(Thread thread) {
        notifier = thread;
        notifyAll();
    }

    @Override
    public synchronized void register(R resource) {
        try {
            awaitRestore();
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while a registration waited for the end of a checkpoint",
                    interrupted);
        }
        super.register(resource);
    }

    @Override
    public void beforeCheckpoint(Context<? extends Resource> context) throws CheckpointException {
        setNotifier(Thread.currentThread());
        super.beforeCheckpoint(context);
    }

    @Override
    public void afterRestore(Context<? extends Resource> context) throws RestoreException {
        setNotifier(null);
        super.afterRestore(context);
    }
}
