/* SPDX-License-Identifier: Apache-2.0 */
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.ArrayList;
import java.util.List;
import java.util.Scanner;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Threads that wait in every way Java knows, across the checkpoint. Each line of standard input is a
 * question: "pid" what it takes for its own pid, "work" whether all of its threads get on, "end".
 */
public final class Pids {

    private static final int THREADS = 4;
    private static final int ROUNDS = 2000;

    private final Object monitor = new Object();
    private final ReentrantLock lock = new ReentrantLock();
    private final List<Thread> parked = new ArrayList<>();
    private volatile boolean open;
    private long inMonitor;
    private long inLock;

    private Pids() {
    }

    private static Thread start(String name, Runnable task) {
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    private void waitInMonitor() {
        synchronized (monitor) {
            while (!open) {
                try {
                    monitor.wait();
                } catch (InterruptedException e) {
                    throw new AssertionError(e);
                }
            }
        }
    }

    private void park() {
        while (!open) {
            LockSupport.park(this);
        }
    }

    private void contend() {
        while (!open) {
            LockSupport.parkNanos(1_000_000);
        }
        for (int i = 0; i < ROUNDS; i++) {
            synchronized (monitor) {
                inMonitor++;
            }
            lock.lock();
            try {
                inLock++;
            } finally {
                lock.unlock();
            }
            Thread.yield();
        }
    }

    private void waitForLock() {
        lock.lock();
        lock.unlock();
    }

    /** As the original makes them; the lock is held by the caller. */
    private List<Thread> startAll() {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < THREADS; i++) {
            threads.add(start("waits-" + i, this::waitInMonitor));
            threads.add(start("contends-" + i, this::contend));
            threads.add(start("locks-" + i, this::waitForLock));
            parked.add(start("parks-" + i, this::park));
        }
        threads.addAll(parked);
        return threads;
    }

    private static void expectCpuTimes() {
        ThreadMXBean bean = ManagementFactory.getThreadMXBean();
        for (long id : bean.getAllThreadIds()) {
            if (bean.getThreadCpuTime(id) < 0 && bean.getThreadInfo(id) != null) {
                throw new AssertionError("no CPU time of " + bean.getThreadInfo(id));
            }
        }
    }

    private void work(List<Thread> threads) throws InterruptedException {
        expectCpuTimes();
        synchronized (monitor) {
            open = true;
            monitor.notifyAll();
        }
        lock.unlock();
        parked.forEach(LockSupport::unpark);
        for (Thread thread : threads) {
            thread.join(TimeUnit.SECONDS.toMillis(60));
            if (thread.isAlive()) {
                throw new AssertionError(thread + " does not get on: " + thread.getState());
            }
        }
        CountDownLatch latch = new CountDownLatch(THREADS);
        for (int i = 0; i < THREADS; i++) {
            start("new-" + i, latch::countDown);
        }
        latch.await();
        System.gc();
        if (inMonitor != THREADS * ROUNDS || inLock != THREADS * ROUNDS) {
            throw new AssertionError(inMonitor + " and " + inLock + " rounds");
        }
    }

    private static void tellPid() {
        long handle = ProcessHandle.current().pid();
        long bean = ManagementFactory.getRuntimeMXBean().getPid();
        String name = ManagementFactory.getRuntimeMXBean().getName();
        System.out.println("pid " + handle + " " + bean + " " + name.split("@")[0]);
    }

    /** To be restored in, and to answer questions. */
    public static void main(String[] args) throws InterruptedException {
        Pids pids = new Pids();
        pids.lock.lock();
        List<Thread> threads = pids.startAll();
        ProcessHandle.current();
        ManagementFactory.getRuntimeMXBean().getName();
        System.out.println("ready");
        Scanner questions = new Scanner(System.in);
        while (questions.hasNextLine()) {
            String question = questions.nextLine();
            if (question.equals("pid")) {
                tellPid();
            } else if (question.equals("work")) {
                pids.work(threads);
                System.out.println("worked");
            } else {
                return;
            }
        }
    }
}
