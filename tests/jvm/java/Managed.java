/* SPDX-License-Identifier: Apache-2.0 */
import java.lang.management.ManagementFactory;
import java.lang.management.RuntimeMXBean;

import javax.management.remote.JMXConnector;
import javax.management.remote.JMXConnectorFactory;
import javax.management.remote.JMXServiceURL;

import org.crac.Context;
import org.crac.Core;
import org.crac.Resource;

/**
 * Says "ready" and runs until its standard input ends, for the tools of the JDK to look at; for each
 * line it collects garbage. With the URL of another
 * one it says what that one's JMX answers; with "tell" it says "restored" when it is, or when the original goes on.
 */
public final class Managed implements Resource {

    private static final Resource TELLER = new Managed();

    private Managed() {
    }

    @Override
    public void beforeCheckpoint(Context<? extends Resource> context) {
    }

    @Override
    public void afterRestore(Context<? extends Resource> context) {
        System.out.println("restored");
    }

    private static void ask(String url) throws Exception {
        try (JMXConnector connector = JMXConnectorFactory.connect(new JMXServiceURL(url))) {
            RuntimeMXBean runtime = ManagementFactory.newPlatformMXBeanProxy(connector.getMBeanServerConnection(),
                    ManagementFactory.RUNTIME_MXBEAN_NAME, RuntimeMXBean.class);
            System.out.println(runtime.getSystemProperties().get("clone"));
        }
    }

    public static void main(String[] args) throws Exception {
        if (args.length > 0 && args[0].equals("tell")) {
            Core.getGlobalContext().register(TELLER);
        } else if (args.length > 0) {
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
