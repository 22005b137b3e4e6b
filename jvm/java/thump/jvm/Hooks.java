/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;

/**
 * The registry behind the thump API. That API is a library of the program and reaches this class by reflection, with
 * types of java.base alone: whichever class loader or module has it, there is one registry.
 */
public final class Hooks {

    /** Highest priority first, among equals the last one registered: the order before a checkpoint. */
    private static final List<HookEntry> ENTRIES = new ArrayList<>();

    private Hooks() {
    }

    /**
     * Registers a hook.
     *
     * @param name for messages
     * @param before called before a checkpoint; false or an exception is a veto
     * @param after called after a restore, and after a checkpoint that failed
     * @param priority greater ones first before a checkpoint, last after a restore
     * @param singleThreaded whether all application threads are suspended meanwhile
     * @param limitMillis how long each call may take
     * @return takes the hook out again
     */
    public static Runnable register(String name, Callable<Boolean> before, Callable<?> after, int priority,
            boolean singleThreaded, long limitMillis) {
        HookEntry entry = new HookEntry(name, before, after, priority, singleThreaded, limitMillis);
        synchronized (ENTRIES) {
            int at = 0;
            while (at < ENTRIES.size() && ENTRIES.get(at).priority > priority) {
                at++;
            }
            ENTRIES.add(at, entry);
        }
        return entry;
    }

    static void remove(HookEntry entry) {
        synchronized (ENTRIES) {
            ENTRIES.remove(entry);
        }
    }

    /** The hooks of one mode as they are now, in the order before a checkpoint. */
    static List<HookEntry> of(boolean singleThreaded) {
        List<HookEntry> hooks = new ArrayList<>();
        synchronized (ENTRIES) {
            for (int i = 0; i < ENTRIES.size(); i++) {
                if (ENTRIES.get(i).singleThreaded == singleThreaded) {
                    hooks.add(ENTRIES.get(i));
                }
            }
        }
        return hooks;
    }
}
