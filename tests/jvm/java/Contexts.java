/* SPDX-License-Identifier: Apache-2.0 */
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;

import org.crac.CheckpointException;
import org.crac.Context;
import org.crac.Core;
import org.crac.Resource;
import org.crac.RestoreException;

/**
 * Contexts of CRaC's: registrations by other threads while a checkpoint runs, which come too late for it and do not
 * wait; and contexts inside of contexts. With "blocking", of the global context that
 * -Djdk.crac.globalContext.impl=BlockingOrderedContext asks for, registrations wait for the restore.
 */
public final class Contexts {

    private static final List<String> CALLS = Collections.synchronizedList(new ArrayList<>());

    private interface Action {
        void run() throws Exception;
    }

    private static final class Recorder implements Resource {

        private final String name;
        private Action before = () -> { };
        private Action after = () -> { };

        Recorder(String name) {
            this.name = name;
        }

        @Override
        public void beforeCheckpoint(Context<? extends Resource> context) throws Exception {
            CALLS.add("before " + name);
            before.run();
        }

        @Override
        public void afterRestore(Context<? extends Resource> context) throws Exception {
            CALLS.add("after " + name);
            after.run();
        }
    }

    /** A context of the program's own: in order of registration, and it stops at nothing. */
    private static final class OwnContext extends Context<Resource> {

        private final List<Resource> resources = new ArrayList<>();

        @Override
        public void register(Resource resource) {
            resources.add(resource);
        }

        @Override
        public void beforeCheckpoint(Context<? extends Resource> context) throws CheckpointException {
            CheckpointException failure = new CheckpointException();
            for (Resource resource : resources) {
                try {
                    resource.beforeCheckpoint(this);
                } catch (Exception thrown) {
                    failure.addSuppressed(thrown);
                }
            }
            if (failure.getSuppressed().length > 0) {
                throw failure;
            }
        }

        @Override
        public void afterRestore(Context<? extends Resource> context) throws RestoreException {
            RestoreException failure = new RestoreException();
            for (Resource resource : resources) {
                try {
                    resource.afterRestore(this);
                } catch (Exception thrown) {
                    failure.addSuppressed(thrown);
                }
            }
            if (failure.getSuppressed().length > 0) {
                throw failure;
            }
        }
    }

    /** The first is for all that follows: contexts hold it weakly. */
    private static final Recorder EARLY = new Recorder("early");
    private static final Recorder LATE = new Recorder("late");
    private static final Recorder INNER = new Recorder("inner");
    private static final Recorder INNERMOST = new Recorder("innermost");
    private static final OwnContext OWN = new OwnContext();

    private Contexts() {
    }

    private static List<String> calls() {
        List<String> calls = List.copyOf(CALLS);
        CALLS.clear();
        return calls;
    }

    private static void register(Recorder recorder) {
        Core.getGlobalContext().register(recorder);
        CALLS.add("registered " + recorder.name);
    }

    private static Thread startRegistration(Recorder recorder) {
        Thread thread = new Thread(() -> register(recorder), "registration");
        thread.start();
        return thread;
    }

    /** It neither waits nor is it waited for; the checkpoint that runs knows nothing of it. */
    private static void registrationByAnotherThread() throws Exception {
        EARLY.before = () -> startRegistration(LATE).join();
        Core.checkpointRestore();
        Expect.same(List.of("before early", "registered late", "after early"), calls(), "calls");
        EARLY.before = () -> { };
        Core.checkpointRestore();
        Expect.same(List.of("before late", "before early", "after early", "after late"), calls(), "calls of the next");
    }

    private static void awaitState(Thread thread, Thread.State state) {
        while (thread.getState() != state) {
            Thread.onSpinWait();
        }
    }

    private static void blockedRegistration() throws Exception {
        Thread[] registration = new Thread[1];
        EARLY.before = () -> {
            registration[0] = startRegistration(LATE);
            awaitState(registration[0], Thread.State.WAITING);
        };
        EARLY.after = () -> registration[0].join(); // it waits no longer when resources are told
        Core.checkpointRestore();
        List<String> calls = calls();
        Expect.same("before early", calls.get(0), "first call");
        Expect.same(Set.of("after early", "registered late"), Set.copyOf(calls.subList(1, calls.size())),
                "calls in the restored process");
        EARLY.after = () -> { };
        EARLY.before = () -> register(INNER); // this thread would wait for itself
        Core.checkpointRestore();
        Expect.same(List.of("before late", "before early", "registered inner", "after early", "after late"), calls(),
                "calls");
        EARLY.before = () -> { };
        Core.checkpointRestore();
        Expect.same("before inner", calls().get(0), "first call of the next");
    }

    private static void nesting() throws Exception {
        OwnContext innermost = new OwnContext();
        innermost.register(INNERMOST);
        OWN.register(INNER);
        OWN.register(innermost);
        Core.getGlobalContext().register(OWN);
        Core.checkpointRestore();
        Expect.same(List.of("before inner", "before innermost", "before late", "before early", "after early",
                "after late", "after inner", "after innermost"), calls(), "calls of contexts in contexts");
        INNER.before = () -> {
            throw new IllegalStateException("inner");
        };
        INNERMOST.before = () -> {
            throw new IllegalStateException("innermost");
        };
        try {
            Core.checkpointRestore();
            throw new AssertionError("a checkpoint that should have been refused");
        } catch (CheckpointException thrown) {
            // Of another class than CRaC's own, whose exceptions would be taken out of it.
            Expect.same(List.of("CheckpointException: null"), Expect.reasons(thrown), "reasons");
            Throwable own = thrown.getSuppressed()[0];
            Expect.same(List.of("IllegalStateException: inner", "CheckpointException: null"), Expect.reasons(own),
                    "reasons of the context");
            Expect.same(List.of("IllegalStateException: innermost"), Expect.reasons(own.getSuppressed()[1]),
                    "reasons of the context in it");
        }
        calls();
        INNER.before = () -> { };
        INNERMOST.before = () -> { };
        INNERMOST.after = () -> {
            throw new IllegalStateException("innermost");
        };
        try {
            Core.checkpointRestore();
            throw new AssertionError("a restore that should have failed");
        } catch (RestoreException thrown) {
            Throwable own = thrown.getSuppressed()[0];
            Expect.same(List.of("IllegalStateException: innermost"), Expect.reasons(own.getSuppressed()[0]),
                    "reasons of the innermost");
        }
    }

    /** Newer programs ask for the global context there. */
    private static void globalContext() throws Exception {
        Method ofContext = Class.forName("jdk.crac.Context").getMethod("getGlobalContext");
        Method ofCore = Class.forName("jdk.crac.Core").getMethod("getGlobalContext");
        Expect.that(ofContext.invoke(null) == ofCore.invoke(null), "the global context is one");
    }

    public static void main(String[] args) throws Exception {
        Core.getGlobalContext().register(EARLY);
        if (args.length > 0) {
            blockedRegistration();
        } else {
            globalContext();
            registrationByAnotherThread();
            nesting();
        }
        System.out.println("passed");
    }
}
