/* SPDX-License-Identifier: Apache-2.0 */
import java.lang.management.ManagementFactory;
import java.lang.management.PlatformManagedObject;
import java.lang.ref.Reference;
import java.lang.ref.WeakReference;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import javax.management.ObjectName;

import org.crac.CheckpointException;
import org.crac.Context;
import org.crac.Core;
import org.crac.Resource;
import org.crac.RestoreException;

/** The contract of org.crac, case by case, in one program that is restored again and again. */
public final class Contract {

    private static final List<String> CALLS = new ArrayList<>();

    private interface Action {
        void run() throws Exception;
    }

    /** Writes down who is called, then does what the case wants. */
    private static final class Recorder implements Resource {

        private final String name;
        private Action before = () -> { };
        private Action after = () -> { };

        Recorder(String name) {
            this.name = name;
        }

        @Override
        public void beforeCheckpoint(Context<? extends Resource> context) throws Exception {
            CALLS.add("before " + name + " " + Thread.currentThread().getName());
            before.run();
        }

        @Override
        public void afterRestore(Context<? extends Resource> context) throws Exception {
            CALLS.add("after " + name + " " + Thread.currentThread().getName());
            after.run();
        }
    }

    private static final Recorder FIRST = new Recorder("first");
    private static final Recorder SECOND = new Recorder("second");
    private static final Recorder THIRD = new Recorder("third");

    private static final List<String> ALL_CALLED = List.of("before third main", "before second main",
            "before first main", "after first main", "after second main", "after third main");

    private Contract() {
    }

    private static void reset() {
        CALLS.clear();
        for (Recorder recorder : List.of(FIRST, SECOND, THIRD)) {
            recorder.before = () -> { };
            recorder.after = () -> { };
        }
    }

    private static void order() throws Exception {
        reset();
        Core.checkpointRestore();
        Expect.same(ALL_CALLED, CALLS, "calls");
    }

    private static void failingPreparation() throws Exception {
        reset();
        THIRD.before = () -> {
            throw new IllegalStateException("third is busy");
        };
        FIRST.before = () -> {
            throw new java.io.IOException("first is open");
        };
        CheckpointException failure = expectNoCheckpoint();
        Expect.same(ALL_CALLED, CALLS, "calls around a failed checkpoint");
        Expect.same(List.of("IllegalStateException: third is busy", "IOException: first is open"),
                Expect.reasons(failure), "reasons");
    }

    private static CheckpointException expectNoCheckpoint() throws Exception {
        try {
            Core.checkpointRestore();
        } catch (CheckpointException thrown) {
            return thrown;
        }
        throw new AssertionError("a checkpoint that should have been refused");
    }

    /** Of a checkpoint that was refused, what afterRestore threw is not lost. */
    private static void failingOnBothSides() throws Exception {
        reset();
        FIRST.before = () -> {
            throw new IllegalStateException("before");
        };
        THIRD.after = () -> {
            throw new IllegalStateException("after");
        };
        Expect.same(List.of("IllegalStateException: before", "IllegalStateException: after"),
                Expect.reasons(expectNoCheckpoint()), "reasons");
    }

    private static void failingRestore() throws Exception {
        reset();
        FIRST.after = () -> {
            throw new IllegalArgumentException("no such host");
        };
        SECOND.after = () -> {
            throw new java.io.IOException("port in use");
        };
        try {
            Core.checkpointRestore();
            throw new AssertionError("no RestoreException");
        } catch (RestoreException thrown) {
            Expect.same(List.of("IllegalArgumentException: no such host", "IOException: port in use"),
                    Expect.reasons(thrown), "reasons");
        }
        Expect.same(ALL_CALLED, CALLS, "calls around a failed restore");
    }

    /** A container exception of a nested context vanishes; what is in it stays. */
    private static void flattening() throws Exception {
        reset();
        SECOND.before = () -> {
            throw nested("nested one", "nested two");
        };
        Expect.same(List.of("Exception: nested one", "Exception: nested two"),
                Expect.reasons(expectNoCheckpoint()), "reasons");
    }

    /** What a context of the real API throws; org.crac has wrappers of its own. */
    private static Exception nested(String... messages) throws Exception {
        Exception container = (Exception) Class.forName("jdk.crac.CheckpointException").getConstructor().newInstance();
        for (String message : messages) {
            container.addSuppressed(new Exception(message));
        }
        return container;
    }

    private static void recursion() throws Exception {
        reset();
        List<String> refusals = new ArrayList<>();
        Action checkpoint = () -> {
            try {
                Core.checkpointRestore();
            } catch (CheckpointException thrown) {
                refusals.addAll(Expect.reasons(thrown));
            }
        };
        SECOND.before = checkpoint;
        THIRD.after = checkpoint;
        Core.checkpointRestore();
        String refusal = "IllegalStateException: Recursive checkpoint is not allowed";
        Expect.same(List.of(refusal, refusal), refusals, "recursion");
        Expect.same(ALL_CALLED, CALLS, "calls");
    }

    private static void weakness() throws Exception {
        reset();
        WeakReference<Recorder> gone = registerAndForget();
        while (gone.get() != null) {
            System.gc();
        }
        Core.checkpointRestore();
        Expect.same(ALL_CALLED, CALLS, "calls without the collected resource");
    }

    private static WeakReference<Recorder> registerAndForget() {
        Recorder recorder = new Recorder("forgotten");
        Core.getGlobalContext().register(recorder);
        return new WeakReference<>(recorder);
    }

    /** Who registers while others are notified waits for the next checkpoint. */
    private static void lateRegistration() throws Exception {
        reset();
        Recorder late = new Recorder("late");
        SECOND.before = () -> Core.getGlobalContext().register(late);
        Core.checkpointRestore();
        Expect.same(ALL_CALLED, CALLS, "calls without who came late");
        reset();
        Core.checkpointRestore();
        Expect.same("before late main", CALLS.get(0), "the first call of the next checkpoint");
        Expect.same("after late main", CALLS.get(CALLS.size() - 1), "the last call");
        Reference.reachabilityFence(late);
    }

    /** Of the JDK's API: org.crac wraps what it is given once more each time, so that no context sees it again. */
    private static Object jdkResource(String name) throws Exception {
        Class<?> type = Class.forName("jdk.crac.Resource");
        return Proxy.newProxyInstance(Contract.class.getClassLoader(), new Class<?>[] {type},
                (self, method, arguments) -> {
                    CALLS.add(method.getName() + " " + name);
                    return null;
                });
    }

    /** Who registers again is called once, at the place of the last time. */
    private static void registrationAgain() throws Exception {
        reset();
        Object context = Class.forName("jdk.crac.Core").getMethod("getGlobalContext").invoke(null);
        Method register = Class.forName("jdk.crac.Context")
                .getMethod("register", Class.forName("jdk.crac.Resource"));
        Object again = jdkResource("again");
        Object other = jdkResource("other");
        for (Object resource : List.of(again, other, again)) {
            register.invoke(context, resource);
        }
        Core.checkpointRestore();
        CALLS.removeIf(call -> !call.endsWith(" again") && !call.endsWith(" other"));
        Expect.same(List.of("beforeCheckpoint again", "beforeCheckpoint other", "afterRestore other",
                "afterRestore again"), CALLS, "calls of who is registered twice");
        Reference.reachabilityFence(again);
        Reference.reachabilityFence(other);
    }

    private static long attribute(String name) throws Exception {
        return (Long) ManagementFactory.getPlatformMBeanServer()
                .getAttribute(new ObjectName("jdk.management:type=CRaC"), name);
    }

    private static void beans(boolean restored) throws Exception {
        Collection<? extends PlatformManagedObject> ofJdk = ManagementFactory.getPlatformMXBeans(
                Class.forName("jdk.crac.management.CRaCMXBean").asSubclass(PlatformManagedObject.class));
        org.crac.management.CRaCMXBean bean = org.crac.management.CRaCMXBean.getCRaCMXBean();
        long now = System.currentTimeMillis();

        Expect.same(1, ofJdk.size(), "beans");
        Expect.same("jdk.management:type=CRaC", ofJdk.iterator().next().getObjectName().toString(), "name");
        Expect.same(attribute("RestoreTime"), bean.getRestoreTime(), "restore time, of both beans");
        if (restored) {
            Expect.that(bean.getRestoreTime() <= now && bean.getRestoreTime() > now - 60_000, "restore time");
            Expect.that(attribute("UptimeSinceRestore") >= 0, "uptime");
            Expect.that(bean.getUptimeSinceRestore() <= 60_000, "uptime of org.crac's bean");
        } else {
            Expect.same(-1L, bean.getRestoreTime(), "restore time before");
            Expect.same(-1L, attribute("UptimeSinceRestore"), "uptime before");
        }
    }

    private static void runAll() throws Exception {
        beans(false);
        for (Recorder recorder : List.of(FIRST, SECOND, THIRD)) {
            Core.getGlobalContext().register(recorder);
        }
        failingPreparation();
        beans(false);
        order();
        beans(true);
        failingOnBothSides();
        failingRestore();
        flattening();
        recursion();
        weakness();
        lateRegistration();
        registrationAgain();
        beans(true);
    }

    public static void main(String[] args) throws Exception {
        runAll();
        System.out.println("passed");
    }
}
