/* SPDX-License-Identifier: Apache-2.0 */
import java.io.IOException;
import java.time.Duration;

import thump.Hook;
import thump.Hooks;
import thump.Mode;
import thump.Priority;

/**
 * A concurrent hook waits for a monitor that somebody holds until a line comes in: nothing can end it, whatever its
 * limit. After the next line the program ends.
 */
public final class Stubborn {

    private static final Object MONITOR = new Object();
    private static final Duration LIMIT = Duration.ofMillis(100);

    private Stubborn() {
    }

    private static void readLine() throws IOException {
        while (System.in.read() > '\n') {
            continue;
        }
    }

    public static void main(String[] args) throws Exception {
        Hook hook = new Hook() {
            @Override
            public boolean beforeCheckpoint() {
                synchronized (MONITOR) {
                    return true;
                }
            }
        };
        Hooks.register(hook, Mode.CONCURRENT, Priority.MEDIUM, LIMIT);
        synchronized (MONITOR) {
            System.out.println("holding");
            readLine();
        }
        System.out.println("let go");
        readLine();
    }
}
