/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.concurrent.ConcurrentHashMap;

import jdk.crac.RestoreException;

/**
 * What follows the image on the command line of a restore: system properties, manageable flags of the virtual machine,
 * and a main class with its arguments. thump has refused everything else.
 */
final class RestoreWords {

    private static final String TIME_ZONE = "user.timezone";

    private final String[] words;
    private final int mainAt;

    RestoreWords(String[] words) {
        this.words = words;
        int at = 0;
        while (at < words.length && words[at].startsWith("-")) {
            at++;
        }
        mainAt = at;
    }

    /**
     * Called while all other threads are suspended, perhaps inside a lock of the properties' map: a copy is changed, and
     * the agent puts it in the map's place.
     *
     * @param timeZoneChanged whether TZ is another one: then a zone that the JDK has found by it is not kept
     */
    void setProperties(boolean timeZoneChanged) {
        ConcurrentHashMap<Object, Object> properties = null;
        if (timeZoneChanged && !Native.isTimeZoneGiven()) {
            properties = copy();
            properties.put(TIME_ZONE, "");
        }
        for (int i = 0; i < mainAt; i++) {
            if (words[i].startsWith("-D")) {
                properties = properties != null ? properties : copy();
                int equals = words[i].indexOf('=');
                properties.put(words[i].substring(2, equals < 0 ? words[i].length() : equals),
                        equals < 0 ? "" : words[i].substring(equals + 1));
            }
        }
        if (properties != null) {
            Native.setProperties(properties);
        }
    }

    private static ConcurrentHashMap<Object, Object> copy() {
        return new ConcurrentHashMap<>(Native.properties());
    }

    /** Returns what went wrong, or null. Other threads run. */
    RestoreException setFlags() {
        RestoreException failure = null;
        for (int i = 0; i < mainAt; i++) {
            if (words[i].startsWith("-XX:")) {
                try {
                    setFlag(words[i].substring(4));
                } catch (Throwable thrown) {
                    failure = failure != null ? failure : new RestoreException();
                    failure.addSuppressed(new IllegalArgumentException(words[i] + " could not be set", cause(thrown)));
                }
            }
        }
        return failure;
    }

    private static Throwable cause(Throwable thrown) {
        return thrown instanceof InvocationTargetException ? thrown.getCause() : thrown;
    }

    /** By reflection, as a runtime image may lack these modules. */
    private static void setFlag(String flag) throws ReflectiveOperationException {
        char sign = flag.charAt(0);
        int equals = flag.indexOf('=');
        String name = equals < 0 ? flag.substring(1) : flag.substring(0, equals);
        String value = equals < 0 ? String.valueOf(sign == '+') : flag.substring(equals + 1);
        Class<?> type = Class.forName("com.sun.management.HotSpotDiagnosticMXBean", true,
                ClassLoader.getPlatformClassLoader());
        Object bean = Class.forName("java.lang.management.ManagementFactory")
                .getMethod("getPlatformMXBean", Class.class).invoke(null, type);
        type.getMethod("setVMOption", String.class, String.class).invoke(bean, name, value);
    }

    boolean hasMain() {
        return mainAt < words.length;
    }

    /** Runs the main class on the calling thread. */
    void runMain() throws RestoreException {
        try {
            Class<?> type = Class.forName(words[mainAt], true, ClassLoader.getSystemClassLoader());
            Method main = type.getMethod("main", String[].class);
            main.setAccessible(true);
            main.invoke(null, (Object) Arrays.copyOfRange(words, mainAt + 1, words.length));
        } catch (InvocationTargetException thrown) {
            throw failure(thrown.getCause());
        } catch (ReflectiveOperationException | RuntimeException | LinkageError thrown) {
            throw failure(thrown);
        }
    }

    private static RestoreException failure(Throwable cause) {
        RestoreException failure = new RestoreException();
        Failures.collect(failure, cause);
        return failure;
    }
}
