/* SPDX-License-Identifier: Apache-2.0 */
package thump;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.Callable;

/**
 * Where hooks are registered. In a virtual machine without thump's agent nothing ever calls them, and nothing else is
 * different. A registered hook is held strongly, until its registration is closed.
 */
public final class Hooks {

    /** How long a hook may take unless another limit is given. */
    public static final Duration DEFAULT_LIMIT = Duration.ofSeconds(30);

    /** The agent's registry, or null. It is not in this library, so that there is one whatever loads this class. */
    private static final Method REGISTER = findRegister();

    private Hooks() {
    }

    private static Method findRegister() {
        try {
            return Class.forName("thump.jvm.Hooks", true, null).getMethod("register", String.class, Callable.class,
                    Callable.class, int.class, boolean.class, long.class);
        } catch (ReflectiveOperationException | LinkageError noAgent) {
            return null;
        }
    }

    /**
     * Whether registered hooks may ever be called.
     *
     * @return true when thump's agent is part of this virtual machine
     */
    public static boolean areCalled() {
        return REGISTER != null;
    }

    /**
     * Registers a concurrent hook of medium priority.
     *
     * @param hook the hook
     * @return to take it back
     */
    public static Registration register(Hook hook) {
        return register(hook, Mode.CONCURRENT, Priority.MEDIUM);
    }

    /**
     * Registers a hook.
     *
     * @param hook the hook
     * @param mode what other threads do meanwhile
     * @param priority its place among the hooks of this mode
     * @return to take it back
     */
    public static Registration register(Hook hook, Mode mode, Priority priority) {
        return register(hook, mode, priority, DEFAULT_LIMIT);
    }

    /**
     * Registers a hook with a time limit of its own.
     *
     * @param hook the hook
     * @param mode what other threads do meanwhile
     * @param priority its place among the hooks of this mode
     * @param limit how long each of its calls may take; a call that takes longer is interrupted, and the checkpoint
     *              fails with a message that names the hook and where it was
     * @return to take it back
     */
    public static Registration register(Hook hook, Mode mode, Priority priority, Duration limit) {
        Objects.requireNonNull(hook, "hook");
        Objects.requireNonNull(mode, "mode");
        Objects.requireNonNull(priority, "priority");
        if (limit.isNegative() || limit.isZero()) {
            throw new IllegalArgumentException("a time limit of " + limit);
        }
        if (REGISTER == null) {
            return () -> { };
        }
        Callable<Boolean> before = hook::beforeCheckpoint;
        Callable<Void> after = () -> {
            hook.afterRestore();
            return null;
        };
        try {
            Runnable unregister = (Runnable) REGISTER.invoke(null, hook.getClass().getName(), before, after,
                    priority.ordinal(), mode == Mode.SINGLE_THREADED, limit.toMillis());
            return unregister::run;
        } catch (IllegalAccessException | InvocationTargetException impossible) {
            throw new IllegalStateException("thump's agent does not take hooks", impossible);
        }
    }
}
