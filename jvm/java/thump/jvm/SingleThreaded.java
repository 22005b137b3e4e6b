/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

import java.util.concurrent.locks.LockSupport;

import jdk.crac.CheckpointException;
import jdk.crac.RestoreException;

/**
 * The part of a checkpoint in which no other application thread runs: single-threaded hooks, the virtual machine's own
 * preparations, the capture, and the same backwards.
 *
 * <p>A thread may be suspended anywhere, inside any lock of the JDK. What runs here takes no lock that an application
 * thread can hold, and uses no class that is not initialised yet.
 */
final class SingleThreaded {

    /** A hook that waited for a suspended thread, or who could not be suspended, may not at another moment. */
    private static final int TRIES = 3;
    private static final long PAUSE_NANOS = 20_000_000L;

    private Outcome outcome;
    private RestoreException failed;
    private boolean stuck;
    private RestoreWords words;

    private SingleThreaded() {
    }

    static SingleThreaded run(boolean dryRun) {
        SingleThreaded part = new SingleThreaded();
        part.attempt(dryRun);
        for (int i = 1; i < TRIES && part.stuck; i++) {
            LockSupport.parkNanos(i * PAUSE_NANOS);
            part = new SingleThreaded();
            part.attempt(dryRun);
        }
        return part;
    }

    Outcome outcome() {
        return outcome;
    }

    /** What the hooks threw afterwards, or null. */
    RestoreException failed() {
        return failed;
    }

    /** What the restore says; null in the original process. */
    RestoreWords words() {
        return words;
    }

    private void attempt(boolean dryRun) {
        HookRun hooks = new HookRun(true);
        if (!dryRun) {
            Native.shrink();
        }
        String hindrance = Native.suspendOthers();
        if (hindrance != null) {
            stuck = true;
            outcome = Outcome.of(null, hindrance);
            return;
        }
        try {
            CheckpointException refused = hooks.before(false);
            stuck = hooks.isStuck();
            String problems = stuck ? null
                    : Native.capture(dryRun || refused != null, refused != null ? Failures.lines(refused) : null);
            outcome = Outcome.of(refused, problems);
            if (!dryRun && outcome.failure() == null && Native.wasRestored()) {
                words = new RestoreWords(Native.arguments());
                words.setProperties(Native.timeZoneChanged());
                Native.noteProperties();
            }
            failed = hooks.after();
        } finally {
            Native.resumeOthers();
        }
    }
}
