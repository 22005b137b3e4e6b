/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Recordings of JDK Flight Recorder that run at a checkpoint. Their data lies in files that no image has, under names
 * that clones would have in common: each is written to its destination and ended, and one with the same settings
 * follows it in whichever process goes on, with files of its own.
 *
 * <p>By reflection, as a runtime image may lack the module jdk.jfr. Where nobody uses Flight Recorder it is left alone.
 * What goes wrong is said, and never keeps a checkpoint from being made.
 */
final class Recordings {

    /** What a recording hands on to the one that follows it, as it is. */
    private static final String[] PROPERTIES = {"Settings", "MaxAge", "MaxSize", "ToDisk", "DumpOnExit"};
    /** A duration must be longer than that. */
    private static final Duration SHORTEST = Duration.ofSeconds(1);

    /** With the destinations of those that they follow, or null. */
    private final Map<Object, Path> followers = new LinkedHashMap<>();

    private Recordings() {
    }

    /** Ends those that run; nobody is suspended. */
    static Recordings stop() {
        Recordings recordings = new Recordings();
        try {
            Class<?> recorder = Class.forName("jdk.jfr.FlightRecorder", false, null);
            if ((Boolean) recorder.getMethod("isInitialized").invoke(null)) {
                recordings.stopAll(recorder);
            }
        } catch (ClassNotFoundException without) {
            return recordings;
        } catch (Throwable thrown) {
            complain("recordings of Flight Recorder could not be ended", thrown);
        }
        return recordings;
    }

    private void stopAll(Class<?> recorder) throws Exception {
        Object instance = recorder.getMethod("getFlightRecorder").invoke(null);
        for (Object recording : (List<?>) get(instance, "Recordings")) {
            if (get(recording, "State").toString().equals("RUNNING")) {
                stop(recording);
            }
        }
        if (!followers.isEmpty()) {
            Repository.removeIfEmpty();
        }
    }

    private void stop(Object recording) throws Exception {
        Object follower = recording.getClass().getConstructor().newInstance();
        Path destination = (Path) get(recording, "Destination");
        Duration duration = (Duration) get(recording, "Duration");
        String id = get(recording, "Id").toString();

        for (String property : PROPERTIES) {
            set(follower, property, get(recording, property));
        }
        // A number that is not its own would lead jcmd astray.
        if (!get(recording, "Name").equals(id)) {
            set(follower, "Name", get(recording, "Name"));
        }
        if (duration != null) {
            Duration left = duration.minus(Duration.between((Instant) get(recording, "StartTime"), Instant.now()));
            set(follower, "Duration", left.compareTo(SHORTEST) > 0 ? left : SHORTEST.plusNanos(1));
        }
        if (destination == null) {
            Path file = newFile(Paths.get("recording-" + id + ".jfr").toAbsolutePath());
            recording.getClass().getMethod("dump", Path.class).invoke(recording, file);
        }
        call(recording, "stop"); // writes to the destination
        call(recording, "close");
        followers.put(follower, destination);
    }

    /**
     * Starts the ones that follow; nobody is suspended.
     *
     * @param restored in a process that was made from an image
     */
    void start(boolean restored) {
        if (restored && !followers.isEmpty()) {
            Repository.makeOwn();
        }
        for (Map.Entry<Object, Path> entry : followers.entrySet()) {
            try {
                if (entry.getValue() != null) {
                    setDestination(entry.getKey(), entry.getValue());
                }
                call(entry.getKey(), "start");
            } catch (Throwable thrown) {
                complain("a recording of Flight Recorder could not be started again", thrown);
            }
        }
    }

    private static void setDestination(Object follower, Path destination) throws Exception {
        try {
            set(follower, "Destination", newFile(destination));
        } catch (IOException | InvocationTargetException thrown) {
            complain("a recording of Flight Recorder goes on without its file", thrown);
        }
    }

    /** "a.jfr" is there: "a-1.jfr" is made, or "a-2.jfr", whichever is the first that nobody has. */
    private static Path newFile(Path path) throws IOException {
        String name = path.getFileName().toString();
        int dot = name.lastIndexOf('.') > 0 ? name.lastIndexOf('.') : name.length();
        for (int number = 0;; number++) {
            String more = number == 0 ? "" : "-" + number;
            try {
                return Files.createFile(path.resolveSibling(name.substring(0, dot) + more + name.substring(dot)));
            } catch (FileAlreadyExistsException taken) {
                continue;
            }
        }
    }

    /** The folder of the data of all recordings, which no exported class knows. */
    private static final class Repository {

        private static Object open() throws Exception {
            Class<?> type = Class.forName("jdk.jfr.internal.Repository", true, null);
            Native.exportPackage(type);
            return type.getMethod("getRepository").invoke(null);
        }

        /** A path is wrapped on JDK 17. */
        private static Path path(Object value) throws Exception {
            return value instanceof Path ? (Path) value : (Path) call(value, "toPath");
        }

        /** What is made next is made anew then. */
        static void removeIfEmpty() throws Exception {
            try {
                Files.deleteIfExists(path(get(open(), "RepositoryPath")));
            } catch (IOException stillNeeded) {
                return;
            }
        }

        /** Its name has the time in seconds and the pid: clones may have both in common. */
        static void makeOwn() {
            try {
                Object repository = open();
                Path own = Files.createTempDirectory(path(get(repository, "RepositoryPath")).getParent(), "jfr-");
                own.toFile().deleteOnExit();
                Method set = method(repository, "setBasePath");
                Class<?> type = set.getParameterTypes()[0];
                set.invoke(repository, type == Path.class ? own : type.getConstructor(Path.class).newInstance(own));
            } catch (Throwable thrown) {
                complain("the data of Flight Recorder may be shared with other clones", thrown);
            }
        }
    }

    private static Method method(Object object, String name) throws NoSuchMethodException {
        for (Method method : object.getClass().getMethods()) {
            if (method.getName().equals(name)) {
                return method;
            }
        }
        throw new NoSuchMethodException(object.getClass().getName() + "." + name);
    }

    private static Object call(Object object, String name) throws Exception {
        return object.getClass().getMethod(name).invoke(object);
    }

    private static Object get(Object object, String property) throws Exception {
        return call(object, (property.equals("ToDisk") ? "is" : "get") + property);
    }

    private static void set(Object object, String property, Object value) throws Exception {
        method(object, "set" + property).invoke(object, value);
    }

    private static void complain(String what, Throwable thrown) {
        Throwable cause = thrown instanceof InvocationTargetException ? thrown.getCause() : thrown;
        System.err.println("thump: warning: " + what + ": " + cause);
    }
}
