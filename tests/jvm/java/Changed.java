/* SPDX-License-Identifier: Apache-2.0 */
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.reflect.Field;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.TimeZone;

import com.sun.management.HotSpotDiagnosticMXBean;
import org.crac.Context;
import org.crac.Core;
import org.crac.Resource;

/** Says what it is like after a restore: the driver knows what was asked for. */
public final class Changed implements Resource {

    private Changed() {
    }

    /** The main class of the restore. */
    public static final class Other {

        private Other() {
        }

        public static void main(String[] args) {
            System.out.println("main " + Thread.currentThread().getName() + " " + Arrays.asList(args));
            if (args.length > 0 && args[0].equals("throw")) {
                throw new IllegalStateException("as it was told");
            }
        }
    }

    private static Object hidden(String name) throws ReflectiveOperationException {
        Field field = InetAddress.class.getDeclaredField(name);
        field.setAccessible(true);
        return field.get(null);
    }

    private static int known() throws ReflectiveOperationException {
        return ((Map<?, ?>) hidden("cache")).size() + ((Collection<?>) hidden("expirySet")).size();
    }

    private static void lookUp() throws UnknownHostException {
        Expect.that(InetAddress.getByName("localhost").isLoopbackAddress(), "localhost is no loopback address");
        try {
            InetAddress.getByName("no-such-name.invalid");
            throw new AssertionError("a name that does not exist has an address");
        } catch (UnknownHostException expected) {
            Expect.that(expected.getMessage().contains("no-such-name"), expected.getMessage());
        }
    }

    private static String child(String script) throws IOException {
        return new String(new ProcessBuilder("sh", "-c", script).start().getInputStream().readAllBytes()).trim();
    }

    /** MANY_0=0, MANY_1=1, ... as a lookup finds them; a walk through the map has to find each, too, and in a copy. */
    private static int many() {
        Map<String, String> copy = new HashMap<>(System.getenv());
        int count = 0;
        while (String.valueOf(count).equals(System.getenv("MANY_" + count))) {
            Expect.same(String.valueOf(count), copy.remove("MANY_" + count), "a variable in the copy");
            count++;
        }
        Expect.that(copy.keySet().stream().noneMatch(name -> name.startsWith("MANY_")), "lookups do not find all");
        return count;
    }

    @Override
    public void beforeCheckpoint(Context<? extends Resource> context) {
    }

    @Override
    public void afterRestore(Context<? extends Resource> context) throws Exception {
        HotSpotDiagnosticMXBean bean = ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
        ProcessHandle self = ProcessHandle.current();

        Expect.same(0, known(), "names that are known");
        lookUp();
        System.out.println("property " + System.getProperty("changed") + " " + System.getProperty("kept")
                + " [" + System.getProperty("empty") + "]");
        System.out.println("environment " + System.getenv("CHANGED") + " " + System.getenv("KEPT") + " "
                + System.getenv().get("CHANGED") + " " + System.getenv().containsKey("KEPT"));
        System.out.println("child " + child("echo $CHANGED $KEPT"));
        System.out.println("foreign " + child("printf %s \"$FOREIGN\" | od -An -tx1"));
        System.out.println("many " + many() + " of " + System.getenv().size());
        System.out.println("zone " + TimeZone.getDefault().getID());
        System.out.println("flag " + bean.getVMOption("HeapDumpPath").getValue());
        System.out.println("alive " + self.isAlive() + " " + self.equals(ProcessHandle.of(self.pid()).get()));
        System.out.println("started " + ManagementFactory.getRuntimeMXBean().getStartTime());
    }

    public static void main(String[] args) throws Exception {
        Changed changed = new Changed();
        Core.getGlobalContext().register(changed);
        lookUp();
        Expect.that(known() > 0, "no name is known");
        Expect.same("old", System.getProperty("changed"), "property");
        Expect.same("old", System.getenv("CHANGED"), "variable");
        Expect.same("Etc/UTC", TimeZone.getDefault().getID(), "time zone");
        Expect.that(ProcessHandle.current().isAlive(), "the program is not alive");
        try {
            Core.checkpointRestore();
        } catch (org.crac.RestoreException thrown) {
            System.out.println("thrown " + Expect.reasons(thrown));
        }
        System.out.println("end");
    }
}
