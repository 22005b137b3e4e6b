/* SPDX-License-Identifier: Apache-2.0 */
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.locks.LockSupport;

import org.crac.CheckpointException;
import org.crac.Core;

import thump.Hook;
import thump.Hooks;
import thump.Mode;
import thump.Priority;
import thump.Registration;

/**
 * While others are suspended the requesting thread waits for one of them, but not in a hook: in the message of what a
 * hook has thrown. After a while everybody goes on, and the next checkpoint is made.
 */
public final class Late {

    private static final Object LOCK = new Object();
    private static final CountDownLatch HELD = new CountDownLatch(1);
    private static volatile boolean asked;

    private Late() {
    }

    private static final class Refusal extends Exception {

        private static final long serialVersionUID = 1L;

        @Override
        public String getMessage() {
            asked = true;
            synchronized (LOCK) {
                return "there is something in the way";
            }
        }
    }

    private static void holdLock() {
        synchronized (LOCK) {
            HELD.countDown();
            while (!asked) {
                LockSupport.parkNanos(1_000_000);
            }
        }
    }

    public static void main(String[] args) throws Exception {
        Thread holder = new Thread(Late::holdLock, "holder");
        holder.start();
        HELD.await();
        Registration registration = Hooks.register(new Hook() {
            @Override
            public boolean beforeCheckpoint() throws Exception {
                throw new Refusal();
            }
        }, Mode.SINGLE_THREADED, Priority.MEDIUM);
        try {
            Core.checkpointRestore();
            throw new AssertionError("a checkpoint that should have been refused");
        } catch (CheckpointException thrown) {
            List<String> reasons = Expect.reasons(thrown);
            Expect.that(reasons.size() == 2, reasons.toString());
            Expect.that(reasons.get(1).contains("did not get on: \"main\": at Late$Refusal.getMessage(Late.java:"),
                    reasons.get(1));
        }
        holder.join();
        registration.close();
        Core.checkpointRestore();
        System.out.println("passed");
    }
}
