/* SPDX-License-Identifier: Apache-2.0 */
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;

import org.crac.CheckpointException;
import org.crac.Context;
import org.crac.Core;
import org.crac.Resource;
import org.crac.RestoreException;
import thump.Hook;
import thump.Hooks;
import thump.Mode;
import thump.Priority;
import thump.Registration;

/** The fixed order of hooks and resources, their vetoes and failures, and who runs meanwhile. */
public final class Order {

    private static final List<String> CALLS = new ArrayList<>();
    private static final List<Registration> REGISTRATIONS = new ArrayList<>();
    private static volatile long others;

    private Order() {
    }

    private interface Action {
        boolean run() throws Exception;
    }

    /** Writes down that it was called, and looks whether others run meanwhile. */
    private static final class Recorder implements Hook, Resource {

        private final String name;
        private final boolean alone;
        private Action before = () -> true;
        private Action after = () -> true;

        Recorder(String name, boolean alone) {
            this.name = name;
            this.alone = alone;
        }

        /** In a concurrent hook others get on; alone nobody does. */
        private void record(String when) {
            long seen = others;
            while (!alone && others == seen) {
                LockSupport.parkNanos(1_000_000);
            }
            LockSupport.parkNanos(5_000_000);
            Expect.that(!alone || others == seen, "others run");
            CALLS.add(when + " " + name + " " + Thread.currentThread().getName());
        }

        @Override
        public boolean beforeCheckpoint() throws Exception {
            record("before");
            return before.run();
        }

        @Override
        public void afterRestore() throws Exception {
            record("after");
            after.run();
        }

        @Override
        public void beforeCheckpoint(Context<? extends Resource> context) throws Exception {
            beforeCheckpoint();
        }

        @Override
        public void afterRestore(Context<? extends Resource> context) throws Exception {
            afterRestore();
        }
    }

    private static Recorder hook(String name, Mode mode, Priority priority) {
        Recorder recorder = new Recorder(name, mode == Mode.SINGLE_THREADED);
        REGISTRATIONS.add(Hooks.register(recorder, mode, priority));
        return recorder;
    }

    private static void expectCalls(String... wanted) {
        List<String> calls = new ArrayList<>();
        for (String call : wanted) {
            calls.add(call + " main");
        }
        Expect.same(calls, CALLS, "calls");
        CALLS.clear();
    }

    private static CheckpointException expectRefusal() throws RestoreException {
        try {
            Core.checkpointRestore();
        } catch (CheckpointException refused) {
            return refused;
        }
        throw new AssertionError("there was a checkpoint");
    }

    private static void vetoes(Recorder high, Recorder early) throws Exception {
        // Of several single-threaded hooks the first veto ends it: the others would be suspended for nothing.
        high.before = () -> false;
        Expect.same(List.of("CheckpointRefused: vetoed by the hook Order$Recorder"), Expect.reasons(expectRefusal()),
                "a veto");
        expectCalls("before early", "before resource", "before high", "after high", "after resource",
                "after early");
        high.before = () -> {
            throw new IllegalStateException("not now");
        };
        early.before = high.before;
        Expect.same(List.of("IllegalStateException: not now"), Expect.reasons(expectRefusal()), "vetoes");
        expectCalls("before early", "before resource", "after resource", "after early");
        high.before = () -> true;
        early.before = high.before;
    }

    private static void failures(Recorder high, Recorder early) throws Exception {
        high.after = () -> {
            throw new IllegalStateException("high is broken");
        };
        early.after = () -> {
            throw new IllegalStateException("early is broken");
        };
        try {
            Core.checkpointRestore();
            throw new AssertionError("nothing was thrown");
        } catch (RestoreException thrown) {
            Expect.same(List.of("IllegalStateException: high is broken", "IllegalStateException: early is broken"),
                    Expect.reasons(thrown), "what hooks threw after the restore");
        }
        CALLS.clear();
    }

    private static void limit() throws Exception {
        Hook late = new Hook() {
            @Override
            public boolean beforeCheckpoint() {
                LockSupport.park(this);
                return true;
            }
        };
        Registration registration = Hooks.register(late, Mode.CONCURRENT, Priority.LOW, Duration.ofMillis(50));
        String text = String.valueOf(Expect.reasons(expectRefusal()));
        Expect.that(text.contains("Order$1") && text.contains("50 ms") && text.contains("Order.java:"), text);
        Expect.that(!Thread.currentThread().isInterrupted(), "the interrupt outlived the hook");
        registration.close();
        CALLS.clear();
    }

    public static void main(String[] args) throws Exception {
        Thread counter = new Thread(() -> {
            while (true) {
                others++;
                Thread.onSpinWait();
            }
        });
        counter.setDaemon(true);
        counter.start();
        Recorder early = hook("early", Mode.CONCURRENT, Priority.MEDIUM);
        Recorder resource = new Recorder("resource", false);
        Core.getGlobalContext().register(resource);
        hook("low", Mode.SINGLE_THREADED, Priority.LOW);
        hook("medium", Mode.SINGLE_THREADED, Priority.MEDIUM);
        Recorder high = hook("high", Mode.SINGLE_THREADED, Priority.HIGH);
        hook("later", Mode.SINGLE_THREADED, Priority.MEDIUM);
        Expect.that(Hooks.areCalled(), "the agent is not found");

        for (int round = 0; round < 2; round++) {
            Core.checkpointRestore();
            expectCalls("before early", "before resource", "before high", "before later",
                    "before medium", "before low", "after low", "after medium",
                    "after later", "after high", "after resource", "after early");
        }
        vetoes(high, early);
        failures(high, early);
        limit();
        REGISTRATIONS.forEach(Registration::close);
        Core.checkpointRestore();
        expectCalls("before resource", "after resource");
        System.out.println("passed");
    }
}
