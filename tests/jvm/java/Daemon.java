/* SPDX-License-Identifier: Apache-2.0 */
import org.crac.Context;
import org.crac.Core;
import org.crac.Resource;

/** A daemon thread makes a checkpoint while the last non-daemon thread ends: the program must not end with it. */
public final class Daemon implements Resource {

    private static final Daemon HOOK = new Daemon(Thread.currentThread());

    private final Thread main;

    private Daemon(Thread main) {
        this.main = main;
    }

    @Override
    public void beforeCheckpoint(Context<? extends Resource> context) throws InterruptedException {
        synchronized (this) {
            notifyAll();
        }
        main.join();
    }

    @Override
    public void afterRestore(Context<? extends Resource> context) {
        Expect.that(!main.isAlive(), "main came back");
        System.out.println("passed"); // later nothing keeps the program from ending
    }

    private static void checkpoint() {
        try {
            Core.checkpointRestore();
        } catch (Throwable failure) {
            failure.printStackTrace();
        }
    }

    public static void main(String[] args) throws InterruptedException {
        Thread daemon = new Thread(Daemon::checkpoint, "requester");
        daemon.setDaemon(true);
        Core.getGlobalContext().register(HOOK);
        synchronized (HOOK) {
            daemon.start();
            HOOK.wait();
        }
    }
}
