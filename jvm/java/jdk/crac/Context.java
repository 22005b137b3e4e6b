/* SPDX-License-Identifier: Apache-2.0 */
package jdk.crac;

/**
 * A group of resources that are called in an order that the context defines. A context is a resource itself, so
 * contexts nest.
 *
 * @param <R> the resources that may be registered
 */
public abstract class Context<R extends Resource> implements Resource {

    protected Context() {
    }

    @Override
    public abstract void beforeCheckpoint(Context<? extends Resource> context) throws CheckpointException;

    @Override
    public abstract void afterRestore(Context<? extends Resource> context) throws RestoreException;

    /**
     * Registers a resource. The context holds it weakly: who registers must keep a reference for as long as the
     * resource is to be called.
     *
     * @param resource the resource
     * @throws NullPointerException if it is null
     */
    public abstract void register(R resource);

    /**
     * Returns the context that is notified of every checkpoint and restore.
     *
     * @return the global context
     */
    public static Context<Resource> getGlobalContext() {
        return Core.getGlobalContext();
    }
}
