/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

/**
 * Keeps the virtual machine alive while a daemon thread makes a checkpoint: the resources may end the last non-daemon
 * thread (a web server's), and the program would exit in the middle.
 */
final class KeepAlive implements Runnable {

    private boolean done;

    static Thread start() {
        if (!Thread.currentThread().isDaemon()) {
            return null;
        }
        KeepAlive keepAlive = new KeepAlive();
        Thread thread = new Thread(keepAlive, "thump keep-alive");
        thread.setDaemon(false);
        thread.start();
        return thread;
    }

    static void stop(Thread thread) {
        if (thread != null) {
            thread.interrupt();
        }
    }

    @Override
    public synchronized void run() {
        try {
            while (!done) {
                wait();
            }
        } catch (InterruptedException stopped) {
            done = true;
        }
    }
}
