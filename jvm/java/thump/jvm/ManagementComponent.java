/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

import java.lang.management.ManagementFactory;
import java.util.Collections;
import java.util.Map;
import java.util.Set;
import javax.management.JMException;
import javax.management.MBeanServer;
import javax.management.ObjectName;

import jdk.crac.management.CRaCMXBean;
import sun.management.spi.PlatformMBeanProvider.PlatformComponent;

/**
 * The entry in the JDK's list of platform MXBeans. Defined only after java.management has exported its provider
 * interface to this class's module.
 */
public final class ManagementComponent implements PlatformComponent<CRaCMXBean>, Runnable {

    private static final String INTERFACE_NAME = "jdk.crac.management.CRaCMXBean";

    private final CRaCMXBean bean = new Bean();

    /** Registers it: with a server that is made later the JDK does so. */
    @Override
    public void run() {
        MBeanServer server;
        synchronized (ManagementFactory.class) { // which is held while a server is made from the list
            Native.addPlatformComponent(Management.OBJECT_NAME, this);
            server = (MBeanServer) Native.platformServer();
        }
        if (server == null) {
            return;
        }
        try {
            server.registerMBean(bean, bean.getObjectName());
        } catch (JMException failure) {
            System.err.println("thump: the MBean server does not take " + Management.OBJECT_NAME + ": " + failure);
        }
    }

    @Override
    public Set<Class<? extends CRaCMXBean>> mbeanInterfaces() {
        return Collections.singleton(CRaCMXBean.class);
    }

    @Override
    public Set<String> mbeanInterfaceNames() {
        return Collections.singleton(INTERFACE_NAME);
    }

    @Override
    public String getObjectNamePattern() {
        return Management.OBJECT_NAME;
    }

    @Override
    public Map<String, CRaCMXBean> nameToMBeanMap() {
        return Collections.singletonMap(Management.OBJECT_NAME, bean);
    }

    private static final class Bean implements CRaCMXBean {

        @Override
        public long getUptimeSinceRestore() {
            return Management.uptimeSinceRestoreMillis();
        }

        @Override
        public long getRestoreTime() {
            return Management.restoreTimeMillis();
        }

        @Override
        public ObjectName getObjectName() {
            try {
                return ObjectName.getInstance(Management.OBJECT_NAME);
            } catch (javax.management.MalformedObjectNameException impossible) {
                throw new InternalError(impossible);
            }
        }
    }
}
