/* SPDX-License-Identifier: Apache-2.0 */
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Says what of its class path is open when it begins, and whose jdk.crac it gets; uses that for a checkpoint. */
public final class ClassPath {

    private ClassPath() {
    }

    private static List<String> openJars() throws Exception {
        List<String> jars = new ArrayList<>();
        try (DirectoryStream<Path> descriptors = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
            for (Path descriptor : descriptors) {
                try {
                    String target = Files.readSymbolicLink(descriptor).toString();
                    if (target.endsWith(".jar")) {
                        jars.add(target);
                    }
                } catch (NoSuchFileException closed) {
                    continue; // the JVM has threads of its own that open and close files
                }
            }
        }
        return jars;
    }

    public static void main(String[] args) throws Exception {
        System.out.println("open: " + openJars());
        Class<?> core = Class.forName("jdk.crac.Core");
        System.out.println("loader: " + core.getClassLoader());
        core.getMethod("checkpointRestore").invoke(null);
        System.out.println("passed");
    }
}
