/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;

import jdk.crac.CheckpointException;
import jdk.crac.Core;
import jdk.crac.RestoreException;

/**
 * The order of things in a checkpoint: resources, then the virtual machine's own preparations, then the capture, and
 * the same backwards in the restored process or, after a failure, in the original one. One checkpoint at a time.
 */
public final class Coordinator {

    private static final ReentrantLock LOCK = new ReentrantLock();
    /** Exit status by which thump knows. */
    private static final int HOOKS_FAILED = 125;
    private static final String NOT_CONFIGURED =
            "thump: the agent's options name no image file (image=), or thump itself was not found (thump=)";

    private static final String BUSY = "another checkpoint of this program is being made";
    private static final long LOOK_MILLIS = 50;

    private Coordinator() {
    }

    /**
     * Runs a whole checkpoint on the calling thread. Returns in the restored process, or in the original one when the
     * image was made and the program was to go on.
     */
    public static void checkpointRestore() throws CheckpointException, RestoreException {
        run(false);
    }

    private static void run(boolean dryRun) throws CheckpointException, RestoreException {
        if (!Native.canCheckpoint()) {
            throw new UnsupportedOperationException(NOT_CONFIGURED);
        }
        if (LOCK.isHeldByCurrentThread()) {
            // As CRaC does: org.crac passes on what is suppressed, and drops messages.
            CheckpointException refusal = new CheckpointException();
            refusal.addSuppressed(new IllegalStateException("Recursive checkpoint is not allowed"));
            throw refusal;
        }
        RestoreWords words;
        lock();
        try {
            words = locked(dryRun);
        } finally {
            LOCK.unlock();
        }
        if (words != null && words.hasMain()) {
            words.runMain();
        }
    }

    /** Why there cannot be a checkpoint while another is being made. */
    private static String busy() {
        String stuck = HookEntry.givenUp;
        return stuck == null ? BUSY : BUSY + ", and does not end: " + stuck;
    }

    /** Waits for another checkpoint, for as long as that can end. An interrupt does not change that. */
    private static void lock() throws CheckpointException {
        boolean interrupted = false;
        boolean locked = false;
        while (!locked && HookEntry.givenUp == null) {
            try {
                locked = LOCK.tryLock(LOOK_MILLIS, TimeUnit.MILLISECONDS);
            } catch (InterruptedException remembered) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        if (!locked) {
            CheckpointException refusal = new CheckpointException();
            refusal.addSuppressed(new CheckpointRefused(busy()));
            throw refusal;
        }
    }

    private static RestoreWords locked(boolean dryRun) throws CheckpointException, RestoreException {
        Thread keepAlive = KeepAlive.start();
        Native.begin();
        try {
            Management.registerIfUsed();
            return runPhases(dryRun);
        } finally {
            Native.end();
            KeepAlive.stop(keepAlive);
        }
    }

    /** Returns what the restore says; null in the original process. */
    private static RestoreWords runPhases(boolean dryRun) throws CheckpointException, RestoreException {
        CheckpointException hopeless = Outcome.of(null, Native.look(false)).failure();
        if (hopeless != null) {
            throw hopeless;
        }
        HookRun hooks = new HookRun(false);
        CheckpointException refused = before(hooks);
        Outcome outcome;
        RestoreException failed = null;
        RestoreWords words = null;

        if (refused != null) {
            // The engine is still asked what it would refuse, so that a developer sees all reasons in one go.
            outcome = Outcome.of(refused, Native.capture(true, Failures.lines(refused)));
        } else {
            Secrets.warn();
            Recordings recordings = dryRun ? null : Recordings.stop();
            SingleThreaded part = SingleThreaded.run(dryRun);
            outcome = part.outcome();
            failed = part.failed();
            words = part.words();
            if (recordings != null) {
                recordings.start(words != null);
            }
        }
        if (words != null) {
            Management.restored();
            failed = join(failed, words.setFlags());
        }
        failed = after(hooks, failed);
        if (words != null) {
            Native.sayTimes();
        }
        if (outcome.failure() != null) {
            if (failed != null) {
                for (Throwable suppressed : failed.getSuppressed()) {
                    outcome.failure().addSuppressed(suppressed);
                }
            }
            throw outcome.failure();
        }
        if (failed != null) {
            throw failed;
        }
        return words;
    }

    /** The hooks of the thump API, then the resources of CRaC's: all of them, whatever the others threw. */
    private static CheckpointException before(HookRun hooks) {
        CheckpointException failure = hooks.before(true);
        try {
            Core.getGlobalContext().beforeCheckpoint(null);
            return failure;
        } catch (CheckpointException thrown) {
            if (failure == null) {
                return thrown;
            }
            Failures.collect(failure, thrown);
            return failure;
        }
    }

    /** The same backwards; {@code failed} is what went wrong so far, or null. */
    private static RestoreException after(HookRun hooks, RestoreException failed) {
        RestoreException all = failed;
        try {
            Core.getGlobalContext().afterRestore(null);
        } catch (RestoreException thrown) {
            all = join(all, thrown);
        }
        return join(all, hooks.after());
    }

    private static RestoreException join(RestoreException first, RestoreException second) {
        if (first == null || second == null) {
            return first != null ? first : second;
        }
        Failures.collect(first, second);
        return first;
    }

    /**
     * Called by the agent for whoever cannot catch an exception: a request from outside, or the trigger method. What
     * went wrong is printed whole on the program's standard error, too.
     *
     * @param dryRun only find out what stands in the way, hooks included
     * @return null when all went well, else what stood in the way of the image, or what hooks threw after the restore:
     *         one reason a line
     */
    static String request(boolean dryRun) {
        if (LOCK.isHeldByCurrentThread() || !LOCK.tryLock()) {
            return busy();
        }
        Thread self = Thread.currentThread();
        if (self.getContextClassLoader() == null) {
            self.setContextClassLoader(ClassLoader.getSystemClassLoader()); // of a thread that the agent attached
        }
        try {
            if (!Native.canCheckpoint()) {
                throw new UnsupportedOperationException(NOT_CONFIGURED);
            }
            RestoreWords words = locked(dryRun);
            if (words != null && words.hasMain()) {
                startMain(words);
            }
            return null;
        } catch (RestoreException thrown) {
            System.err.println("thump: restored, but not everything came back: " + Failures.text(thrown));
            if (Native.endsOnFailure()) {
                Runtime.getRuntime().halt(HOOKS_FAILED);
            }
            return Failures.lines(thrown);
        } catch (Throwable thrown) {
            System.err.println("thump: no checkpoint was made: " + Failures.text(thrown));
            return Failures.lines(thrown);
        } finally {
            LOCK.unlock();
        }
    }

    /**
     * Called by the agent for a thump that wants to look at the program before it asks for a checkpoint; no hook runs.
     *
     * @return why it cannot, or null; what it finds is its own
     */
    static String look() {
        if (LOCK.isHeldByCurrentThread() || !LOCK.tryLock()) {
            return busy();
        }
        try {
            Native.look(true);
            return null;
        } finally {
            LOCK.unlock();
        }
    }

    /** On the thread that asked, but not on one of the agent's: it must hear the next request. */
    private static void startMain(RestoreWords words) throws RestoreException {
        if (!Thread.currentThread().isDaemon()) {
            words.runMain();
            return;
        }
        Thread thread = new Thread(() -> {
            try {
                words.runMain();
            } catch (RestoreException thrown) {
                System.err.println("thump: the main class of the restore failed: " + Failures.text(thrown));
            }
        }, "main");
        thread.setDaemon(false);
        thread.start();
    }
}
