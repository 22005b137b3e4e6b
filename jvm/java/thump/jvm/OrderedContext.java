/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;

import jdk.crac.CheckpointException;
import jdk.crac.Context;
import jdk.crac.Resource;
import jdk.crac.RestoreException;

/**
 * Calls its resources in reverse order of registration before a checkpoint, and in order of registration after a
 * restore: always those that were alive when the checkpoint began, and each of them both times. Who is registered
 * again moves to the end, and is called once. Who is registered during a checkpoint, by whatever thread, is called
 * from the next one on.
 *
 * <p>Resources are held weakly and by identity: equals and hashCode of a resource are user code (org.crac registers
 * proxies whose equals fails once the user's object is collected) and are never called.
 *
 * @param <R> the resources that may be registered
 */
public class OrderedContext<R extends Resource> extends Context<R> {

    private final List<WeakReference<R>> registered = new ArrayList<>();
    /** Strong references from the beginning of a checkpoint to the end of its restore; registration order. */
    private List<R> notified = Collections.emptyList();

    @Override
    public void register(R resource) {
        Objects.requireNonNull(resource, "resource");
        synchronized (registered) {
            registered.removeIf(reference -> {
                R earlier = reference.get();
                return earlier == null || earlier == resource;
            });
            registered.add(new WeakReference<>(resource));
        }
    }

    private List<R> alive() {
        List<R> alive = new ArrayList<>();
        synchronized (registered) {
            for (WeakReference<R> reference : registered) {
                R resource = reference.get();
                if (resource != null) {
                    alive.add(resource);
                }
            }
        }
        return alive;
    }

    @Override
    public void beforeCheckpoint(Context<? extends Resource> context) throws CheckpointException {
        CheckpointException failure = null;
        notified = alive();
        for (int i = notified.size() - 1; i >= 0; i--) {
            try {
                notified.get(i).beforeCheckpoint(this);
            } catch (Throwable thrown) {
                failure = failure != null ? failure : new CheckpointException();
                Failures.collect(failure, thrown);
            }
        }
        if (failure != null) {
            throw failure;
        }
    }

    @Override
    public void afterRestore(Context<? extends Resource> context) throws RestoreException {
        RestoreException failure = null;
        List<R> resources = notified;
        notified = Collections.emptyList();
        for (R resource : resources) {
            try {
                resource.afterRestore(this);
            } catch (Throwable thrown) {
                failure = failure != null ? failure : new RestoreException();
                Failures.collect(failure, thrown);
            }
        }
        if (failure != null) {
            throw failure;
        }
    }
}
