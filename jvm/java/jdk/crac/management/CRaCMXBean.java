/* SPDX-License-Identifier: Apache-2.0 */
package jdk.crac.management;

import java.lang.management.ManagementFactory;
import java.lang.management.PlatformManagedObject;

import thump.jvm.Management;

/**
 * Management interface for checkpoint and restore of this Java virtual machine. A platform MXBean:
 * {@code ManagementFactory.getPlatformMXBean(CRaCMXBean.class)} finds it.
 */
public interface CRaCMXBean extends PlatformManagedObject {

    /** The object name under which the bean is registered. */
    String CRAC_MXBEAN_NAME = Management.register();

    /**
     * Returns the time since the last restore was started.
     *
     * @return milliseconds, or -1 if this is not a restored process
     */
    long getUptimeSinceRestore();

    /**
     * Returns when the last restore was started.
     *
     * @return milliseconds since the epoch, or -1 if this is not a restored process
     */
    long getRestoreTime();

    /**
     * Returns the bean of this virtual machine.
     *
     * @return the platform MXBean
     */
    static CRaCMXBean getCRaCMXBean() {
        return ManagementFactory.getPlatformMXBean(CRaCMXBean.class);
    }
}
