/* SPDX-License-Identifier: Apache-2.0 */
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;

import org.crac.CheckpointException;
import org.crac.Core;

import thump.Hook;
import thump.Hooks;
import thump.Mode;
import thump.Priority;

/**
 * A concurrent hook waits for a monitor that somebody holds: nothing can end it, whatever its limit. With "ask" on a line
 * that one asks for a checkpoint itself; "let go" lets it leave the monitor, and after the next line the program ends.
 */
public final class Stubborn {

    private static final Object MONITOR = new Object();
    private static final Duration LIMIT = Duration.ofMillis(100);

    private Stubborn() {
    }

    private static void ask() throws Exception {
        try {
            Core.checkpointRestore();
        } catch (CheckpointException refused) {
            System.out.println("refused " + Expect.reasons(refused));
        }
    }

    public static void main(String[] args) throws Exception {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
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
            while (input.readLine().equals("ask")) {
                ask();
            }
        }
        System.out.println("let go");
        input.readLine();
    }
}
