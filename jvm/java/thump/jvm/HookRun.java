/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

import java.util.List;

import jdk.crac.CheckpointException;
import jdk.crac.RestoreException;

/**
 * The hooks of one mode in one checkpoint: those that were called before it are called after it, backwards.
 */
final class HookRun {

    private final List<HookEntry> hooks;
    private int called;
    private boolean stuck;

    HookRun(boolean singleThreaded) {
        hooks = Hooks.of(singleThreaded);
    }

    boolean isEmpty() {
        return hooks.isEmpty();
    }

    /** Whether a hook had to be freed by the watchdog: the other threads run again. */
    boolean isStuck() {
        return stuck;
    }

    /** Up to the first veto when {@code all} is false; else all of them. Returns what they had against it, or null. */
    CheckpointException before(boolean all) {
        CheckpointException failure = null;
        while (called < hooks.size() && (failure == null || all)) {
            Throwable thrown = hooks.get(called++).callBefore();
            if (thrown != null) {
                stuck = thrown instanceof HookStuck;
                failure = failure != null ? failure : new CheckpointException();
                Failures.collect(failure, thrown);
            }
        }
        return failure;
    }

    /** Those that {@link #before} has called, all of them. */
    RestoreException after() {
        RestoreException failure = null;
        while (called > 0) {
            Throwable thrown = hooks.get(--called).callAfter();
            if (thrown != null) {
                failure = failure != null ? failure : new RestoreException();
                Failures.collect(failure, thrown);
            }
        }
        return failure;
    }
}
