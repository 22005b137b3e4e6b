/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

import java.util.Objects;

import jdk.crac.management.CRaCMXBean;

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
     * Makes the MXBean known to the JDK's list of platform MXBeans, and to the platform's MBean server where that has
     * taken that list already.
     *
     * @return the bean's object name
     */
    public static String register() {
        try {
            Runnable component =
                    (Runnable) Native.defineManagementComponent().getDeclaredConstructor().newInstance();
            component.run();
        } catch (ReflectiveOperationException impossible) {
            throw new InternalError("thump: the management component cannot be made", impossible);
        }
        return OBJECT_NAME;
    }

    /**
     * Called before the hooks of a checkpoint: in a program that has an MBean server, whoever looks at it sees the bean
     * after the restore, also when the program never asks for it.
     */
    static void registerIfUsed() {
        if (Native.platformServer() != null) {
            Objects.requireNonNull(CRaCMXBean.CRAC_MXBEAN_NAME); // its initialiser registers it
        }
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
