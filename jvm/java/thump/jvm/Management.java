/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

/**
 * The times that the MXBean shows, and its registration on first use: java.management is not loaded in programs that
 * never ask for it.
 */
public final class Management {

    static final String OBJECT_NAME = "jdk.management:type=CRaC";

    private static volatile long restoreTimeMillis = -1;
    private static volatile long restoreNanoTime;

    private Management() {
    }

    /**
     * Makes the MXBean known to the JDK's list of platform MXBeans.
     *
     * @return the bean's object name
     */
    public static String register() {
        try {
            Class<?> component = Native.defineManagementComponent();
            Native.addPlatformComponent(OBJECT_NAME, component.getDeclaredConstructor().newInstance());
        } catch (ReflectiveOperationException impossible) {
            throw new InternalError("thump: the management component cannot be made", impossible);
        }
        return OBJECT_NAME;
    }

    /** Called on the requesting thread, first thing in a restored process. */
    static void restored() {
        restoreTimeMillis = System.currentTimeMillis();
        restoreNanoTime = System.nanoTime();
    }

    static long restoreTimeMillis() {
        return restoreTimeMillis;
    }

    static long uptimeSinceRestoreMillis() {
        return restoreTimeMillis < 0 ? -1 : (System.nanoTime() - restoreNanoTime) / 1_000_000;
    }
}
