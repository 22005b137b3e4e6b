/* SPDX-License-Identifier: Apache-2.0 */
import thump.Hook;
import thump.Hooks;
import thump.Mode;
import thump.Priority;

/** The thump API in a JVM that knows nothing of checkpoints: it is there, and does nothing. */
public final class Plain {

    private Plain() {
    }

    public static void main(String[] args) {
        Expect.that(!Hooks.areCalled(), "hooks are called without an agent");
        Hooks.register(new Hook() { }).close();
        Hooks.register(new Hook() { }, Mode.SINGLE_THREADED, Priority.LOW);
        try {
            Hooks.register(null);
            throw new AssertionError("null is a hook");
        } catch (NullPointerException expected) {
            System.out.println("passed");
        }
    }
}
