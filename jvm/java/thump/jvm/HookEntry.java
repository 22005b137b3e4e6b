/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

import java.util.concurrent.Callable;

/**
 * One registered hook of the thump API. To run it is to take it out of the registry.
 */
final class HookEntry implements Runnable {

    /** Of a hook that nothing ends: what it does. Null when there is none. Written by the agent's watchdog. */
    static volatile String givenUp;

    final String name;
    final int priority;
    final boolean singleThreaded;
    private final Callable<Boolean> before;
    private final Callable<?> after;
    private final long limitMillis;

    HookEntry(String name, Callable<Boolean> before, Callable<?> after, int priority, boolean singleThreaded,
            long limitMillis) {
        this.name = name;
        this.before = before;
        this.after = after;
        this.priority = priority;
        this.singleThreaded = singleThreaded;
        this.limitMillis = limitMillis;
    }

    @Override
    public void run() {
        Hooks.remove(this);
    }

    /** What stands against a checkpoint: null when the hook is content. */
    Throwable callBefore() {
        return call(true);
    }

    /** What went wrong, or null. */
    Throwable callAfter() {
        return call(false);
    }

    /**
     * Calls the hook under the eye of the agent's watchdog. An interrupt that the watchdog made ends here.
     */
    private Throwable call(boolean isBefore) {
        Throwable thrown = null;
        boolean content = true;
        Native.watch(name, limitMillis, singleThreaded);
        try {
            if (isBefore) {
                content = before.call();
            } else {
                after.call();
            }
        } catch (Throwable any) {
            thrown = any;
        }
        String finding = Native.unwatch();
        givenUp = null;
        if (finding != null) {
            Thread.interrupted();
            HookStuck stuck = new HookStuck(finding);
            if (thrown != null && !(thrown instanceof HookStuck)) {
                stuck.addSuppressed(thrown);
            }
            return stuck;
        }
        return thrown == null && !content ? new CheckpointRefused("vetoed by the hook " + name) : thrown;
    }
}
