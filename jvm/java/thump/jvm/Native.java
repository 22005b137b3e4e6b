/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * What the agent does in C. Registered by the agent with RegisterNatives before any of it can be called.
 */
final class Native {

    private Native() {
    }

    /** Whether the agent knows where to write an image and how to start thump. */
    static native boolean canCheckpoint();

    /** Before the first hook: makes the watchdog ready, which cannot be done while others are suspended. */
    static native void begin();

    /** After the last hook. */
    static native void end();

    /** Loads what a capture needs, collects garbage, gives free memory back. Never while others are suspended: it may wait for one of them. */
    static native void shrink();

    /**
     * Suspends all application threads but the calling one, platform and virtual.
     *
     * @return null, or what was in the way: then nobody is suspended
     */
    static native String suspendOthers();

    /** They go on, unless the watchdog has had to let them go on before. */
    static native void resumeOthers();

    /**
     * From here on the calling thread runs a hook.
     *
     * @param name the hook, for messages
     * @param limitMillis how long it may take; 0: for ever
     * @param singleThreaded others are suspended: it must not wait for them
     */
    static native void watch(String name, long limitMillis, boolean singleThreaded);

    /**
     * The hook has ended.
     *
     * @return what kept it for too long, when the watchdog had to free it, else null
     */
    static native String unwatch();

    /**
     * Before any hook: has the engine look for what no hook can cure. Blocks meanwhile; others run.
     *
     * @param asked from outside, by a thump that looks itself; without it nothing is done while such a thump waits for
     *              a checkpoint
     * @return what would be refused, one problem a line, or null
     */
    static native String look(boolean asked);

    /**
     * Asks the engine to save this process and blocks until it has. Returns twice: in the original process and in
     * every restored one. In a restored process the agent has put right what must not be as it was (random generators,
     * clocks, ...) when this returns.
     *
     * @param dryRun only find out what would be refused
     * @param refused what hooks and resources threw, as text for who asked from outside, or null
     * @return what was refused, one problem a line, or null when the image was made
     */
    static native String capture(boolean dryRun, String refused);

    /** Whether this process was made from an image by the last {@link #capture}. */
    static native boolean wasRestored();

    /** What follows the image on the command line of the restore; told once. */
    static native String[] arguments();

    /** Whether TZ is another one since the restore. */
    static native boolean timeZoneChanged();

    /** The system properties are those of the restore: the last of what is put right before any hook runs. */
    static native void noteProperties();

    /** All hooks have run: says what a restore took in this process, if who restored wants to know. */
    static native void sayTimes();

    /** Whether who restored wants the program to end when its hooks fail. */
    static native boolean endsOnFailure();

    /** Whether the original's command line had a time zone: then TZ does not count. */
    static native boolean isTimeZoneGiven();

    /** The map inside the system properties, which may be read without a lock. */
    static native Map<Object, Object> properties();

    /** Replaces that map. */
    static native void setProperties(ConcurrentHashMap<Object, Object> map);

    /** Lets us use the package of a class of the JDK that its module does not export. */
    static native void exportPackage(Class<?> type);

    /** Defines {@link ManagementComponent}, after java.management exports what it implements. */
    static native Class<?> defineManagementComponent();

    /** The platform's MBean server, or null when the program has not made it yet; nothing is initialised for that. */
    static native Object platformServer();

    /** Puts a component into the JDK's list of platform MXBeans. */
    static native void addPlatformComponent(String objectName, Object component);
}
