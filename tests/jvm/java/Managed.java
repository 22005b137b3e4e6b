/* SPDX-License-Identifier: Apache-2.0 */
import java.lang.management.ManagementFactory;
import java.lang.management.RuntimeMXBean;

import javax.management.remote.JMXConnector;
import javax.management.remote.JMXConnectorFactory;
import javax.management.remote.JMXServiceURL;

/**
 * Says "ready" and runs until its standard input ends, for the tools of the JDK to look at; for each
 * line it collects garbage. With the URL of another
 * one it says what that one's JMX answers.
 */
public final class Managed {

    private Managed() {
    }

    private static void ask(String url) throws Exception {
        try (JMXConnector connector = JMXConnectorFactory.connect(new JMXServiceURL(url))) {
            RuntimeMXBean runtime = ManagementFactory.newPlatformMXBeanProxy(connector.getMBeanServerConnection(),
                    ManagementFactory.RUNTIME_MXBEAN_NAME, RuntimeMXBean.class);
            System.out.println(runtime.getSystemProperties().get("clone"));
        }
    }

    public static void main(String[] args) throws Exception {
        if (args.length > 0) {
            ask(args[0]);
            return;
        }
        System.out.println("ready");
        while (System.in.read() >= 0) {
            System.gc();
            System.out.println("collected");
        }
    }
}
