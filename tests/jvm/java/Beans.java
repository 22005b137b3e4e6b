/* SPDX-License-Identifier: Apache-2.0 */
import java.lang.management.ManagementFactory;
import javax.management.JMException;
import javax.management.MBeanServer;
import javax.management.ObjectName;

import org.crac.Core;
import org.crac.management.CRaCMXBean;

/**
 * The platform's MBean server is made before anybody asks for the CRaCMXBean: by the program, or by the JMX agent of the
 * JDK. It has the bean as soon as the program has asked for it; or, with "wait", after the restore, and the program has
 * never asked.
 */
public final class Beans {

    private static final String NAME = "jdk.management:type=CRaC";

    private Beans() {
    }

    private static long restoreTime(MBeanServer server) throws JMException {
        return (Long) server.getAttribute(new ObjectName(NAME), "RestoreTime");
    }

    public static void main(String[] args) throws Exception {
        MBeanServer server = ManagementFactory.getPlatformMBeanServer();
        if (args.length == 0) {
            CRaCMXBean bean = CRaCMXBean.getCRaCMXBean();
            Expect.same(-1L, bean.getRestoreTime(), "restore time of the original");
            Expect.same(-1L, restoreTime(server), "restore time that the server has");
        }
        long before = System.currentTimeMillis();
        Core.checkpointRestore();
        Expect.that(restoreTime(server) >= before, "restore time");
        Expect.same(restoreTime(server), CRaCMXBean.getCRaCMXBean().getRestoreTime(), "restore time of the bean");
        Core.checkpointRestore();
        Expect.same(1, server.queryNames(new ObjectName("jdk.management:type=CRaC,*"), null).size(), "beans");
        System.out.println("passed");
    }
}
