/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bringing every thread to a PTRACE_EVENT_STOP and letting it go again.
 *
 * Threads are stopped one after the other, so that at any moment at most one of them is between its
 * stop and the correction of its registers (settle.c): that window cannot be closed from outside.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "trace/internal.h"

/*
 * No EXITKILL and nothing that changes what the program sees: new threads are born stopped, an
 * execve(2) is told to us, syscall-stops can be told from SIGTRAP.
 */
#define SEIZE_OPTIONS (PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD)

/* How long the first look at one thread may take before the others are looked at, too. */
#define FIRST_LOOK_NS ((uint64_t)20 * 1000 * 1000)

/* How much longer is waited for a thread that only lacks a processor, and how often it is looked at
 * whether that is so. */
#define STARVED_PATIENCE_NS ((uint64_t)30 * THUMP_NS_PER_S)
#define STARVED_LOOK_NS	    ((uint64_t)100 * 1000 * 1000)

/* For how long a thread goes on that is found in the vdso: at first, and at most. It must get a
 * processor meanwhile, or the next stop meets it where it was. */
#define SHORTEST_RUN_NS ((uint64_t)20 * 1000)
#define LONGEST_RUN_NS	((uint64_t)50 * 1000 * 1000)

/*
 * PTRACE_O_TRACECLONE also seizes what is no thread of the target: clone(2) with CLONE_VM but
 * without CLONE_THREAD. Such a process is let go again.
 */
static void release_if_no_thread(struct thump_target *target, pid_t parent_tid)
{
	unsigned long message = 0;
	int status;

	if (thump_ptrace(PTRACE_GETEVENTMSG, parent_tid, 0, (uintptr_t)&message) != 0 ||
	    message == 0 || thump_task_exists(target->proc_fd, (pid_t)message))
		return;
	/* Its first stop is certain: it was born with it. */
	if (thump_wait_tid(target->waiter, (pid_t)message, UINT64_MAX, &status) == 1 &&
	    WIFSTOPPED(status))
		(void)thump_ptrace(PTRACE_DETACH, (pid_t)message, 0, 0);
}

/*
 * Looks for threads that have ended, because an execve(2) elsewhere waits until we reaped them.
 * WNOWAIT: stops of tracees are reported even without WSTOPPED (wait_task_stopped() in
 * kernel/exit.c), and one taken here would be lost to whoever waits for it.
 */
static void reap_peers(struct thump_target *target)
{
	for (size_t i = 0; i < target->nr_threads; i++) {
		struct thump_target_thread *thread = &target->threads[i];
		siginfo_t info = { 0 };
		int status;

		if (thread->gone || waitid(P_PID, (id_t)thread->tid, &info,
					   WEXITED | WNOHANG | WNOWAIT | __WALL) != 0)
			continue;
		if (info.si_pid == thread->tid && thump_is_end(&info))
			thread->gone = waitpid(thread->tid, &status, __WALL | WNOHANG) > 0;
	}
}

/* Waits for one change of a thread, first alone, then with an eye on the others. */
static int wait_for_change(struct thump_target *target, pid_t tid, uint64_t deadline_ns,
			   int *status_ret)
{
	const uint64_t first_ns = thump_now_ns() + FIRST_LOOK_NS;
	int got = thump_wait_tid(target->waiter, tid, thump_min_u64(first_ns, deadline_ns),
				 status_ret);

	while (got == 0) {
		if (!thump_wait_any(target->waiter, deadline_ns))
			return 0;
		reap_peers(target);
		got = thump_wait_tid(target->waiter, tid, 0, status_ret);
	}
	return got;
}

int thump_run_to_event_stop(struct thump_target *target, pid_t tid, uint64_t deadline_ns,
			    int *signo_ret)
{
	for (;;) {
		int status, signo;
		const int got = wait_for_change(target, tid, deadline_ns, &status);

		if (got == 0)
			return 0;
		if (got < 0 || !WIFSTOPPED(status)) {
			errno = ESRCH;
			return -1;
		}
		signo = WSTOPSIG(status);
		if (thump_stop_event(status) == PTRACE_EVENT_STOP) {
			*signo_ret = signo;
			return 1;
		}
		if (thump_stop_event(status) == PTRACE_EVENT_EXEC) {
			(void)thump_ptrace(PTRACE_CONT, tid, 0, 0);
			errno = EXDEV;
			return -1;
		}
		if (thump_stop_event(status) == PTRACE_EVENT_CLONE)
			release_if_no_thread(target, tid);
		/* Anything else with an event or a syscall-stop carries no signal. */
		if (thump_stop_event(status) != 0 || signo == THUMP_SYSCALL_STOP)
			signo = 0;
		/* Any trap takes a pending interrupt away: ptrace_stop() in kernel/signal.c. */
		(void)thump_ptrace(PTRACE_INTERRUPT, tid, 0, 0);
		(void)thump_ptrace(PTRACE_CONT, tid, 0, (uintptr_t)signo);
	}
}

static bool is_known(const struct thump_target *target, pid_t tid)
{
	for (size_t i = 0; i < target->nr_threads; i++) {
		if (target->threads[i].tid == tid)
			return true;
	}
	for (size_t i = 0; i < target->nr_kernel_workers; i++) {
		if (target->kernel_workers[i] == tid)
			return true;
	}
	return false;
}

static int add_thread(struct thump_target *target, pid_t tid,
		      struct thump_target_thread **thread_ret, struct thump_err *err)
{
	const size_t size = (target->nr_threads + 1) * sizeof(target->threads[0]);
	struct thump_target_thread *grown = realloc(target->threads, size);

	if (!grown)
		return thump_fail_errno(err, "stop process %d", target->pid);
	target->threads = grown;
	*thread_ret = &grown[target->nr_threads++];
	**thread_ret = (struct thump_target_thread){ .tid = tid };
	return 0;
}

/* 1 seized and told to stop, 0 it has ended already, -1 refused. */
static int seize_one(struct thump_target *target, pid_t tid, struct thump_err *err)
{
	if (thump_ptrace(PTRACE_SEIZE, tid, 0, SEIZE_OPTIONS) == 0) {
		/* Cannot fail but for a thread that has just died; the wait will tell. */
		(void)thump_ptrace(PTRACE_INTERRUPT, tid, 0, 0);
		return 1;
	}
	if (errno == ESRCH || !thump_task_exists(target->proc_fd, tid))
		return 0;
	if (errno != EPERM)
		return thump_fail_errno(err, "seize thread %d of process %d", tid, target->pid);
	/* Born under PTRACE_O_TRACECLONE: ours, and on its way to its first stop. */
	if (thump_tracer_of(target->proc_fd, tid) == gettid())
		return 1;
	return thump_explain_eperm(target->pid, tid, target->proc_fd, err);
}

/* An ended thread is taken off the list again, so that it holds only stopped ones. */
static void drop_last(struct thump_target *target)
{
	target->nr_threads--;
}

/*
 * As thump_run_to_event_stop(). A thread that can run will stop as soon as it has a processor,
 * which takes its time on a busy machine; only one that hangs in the kernel may never.
 */
static int run_to_stop(struct thump_target *target, pid_t tid, unsigned patience_ms, int *signo_ret)
{
	const uint64_t deadline_ns = thump_deadline_ns(patience_ms);
	const uint64_t last_ns = deadline_ns + STARVED_PATIENCE_NS;
	int got = thump_run_to_event_stop(target, tid, deadline_ns, signo_ret);

	while (got == 0 && thump_now_ns() < last_ns && thump_is_getting_on(target->proc_fd, tid))
		got = thump_run_to_event_stop(target, tid, thump_now_ns() + STARVED_LOOK_NS,
					      signo_ret);
	return got;
}

/* 1 it stands still and is settled, 0 it has ended, -1 refused. */
static int await_stop(struct thump_target *target, struct thump_target_thread *thread,
		      unsigned patience_ms, struct thump_err *err)
{
	int signo = 0;
	const int got = run_to_stop(target, thread->tid, patience_ms, &signo);

	if (got == 0)
		return thump_explain_laggard(target->pid, thread->tid, target->proc_fd, patience_ms,
					     err);
	if (got < 0 && errno == EXDEV)
		return thump_fail(err, "process %d executed another program while it was stopped",
				  target->pid);
	if (got < 0)
		return 0;
	thread->group_stopped = thump_is_stop_signal(signo);
	return thump_settle(target, thread, err) == 0 ? 1 : -1;
}

/* Lets it go on, for a moment each, until it is outside of the vdso: vdso.c says why. One that a
 * signal has stopped goes nowhere and is taken where it is. */
static int leave_vdso(struct thump_target *target, struct thump_target_thread *thread,
		      unsigned patience_ms, struct thump_err *err)
{
	const uint64_t deadline_ns = thump_deadline_ns(patience_ms) + STARVED_PATIENCE_NS;
	uint64_t run_ns = SHORTEST_RUN_NS;

	for (;;) {
		bool inside;
		int got;

		if (thump_in_vdso(target, thread, &inside, err) != 0)
			return -1;
		if (!inside || thread->group_stopped)
			return 1;
		if (thump_now_ns() >= deadline_ns)
			return thump_refuse(err,
					    "thread %d of process %d is in the kernel's vdso and "
					    "does not leave it; try again",
					    thread->tid, target->pid);
		(void)thump_ptrace(PTRACE_CONT, thread->tid, 0, 0);
		(void)!thump_wait_any(target->waiter, thump_now_ns() + run_ns);
		run_ns = thump_min_u64(2 * run_ns, LONGEST_RUN_NS);
		(void)thump_ptrace(PTRACE_INTERRUPT, thread->tid, 0, 0);
		got = await_stop(target, thread, patience_ms, err);
		if (got != 1)
			return got;
	}
}

static int stop_one(struct thump_target *target, pid_t tid, unsigned patience_ms,
		    struct thump_err *err)
{
	struct thump_target_thread *thread;
	int got;

	if (add_thread(target, tid, &thread, err) != 0)
		return -1;
	got = seize_one(target, tid, err);
	if (got > 0)
		got = await_stop(target, thread, patience_ms, err);
	if (got > 0)
		got = leave_vdso(target, thread, patience_ms, err);
	if (got == 0)
		drop_last(target);
	return got < 0 ? -1 : 0;
}

/* Stops what is new in the list; *found_ret says whether there was any. */
static int stop_new_threads(struct thump_target *target, unsigned patience_ms, bool *found_ret,
			    struct thump_err *err)
{
	auto_free pid_t *tids = NULL;
	size_t count;

	*found_ret = false;
	if (thump_list_tasks(target->proc_fd, target->pid, &tids, &count, err) != 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (is_known(target, tids[i]))
			continue;
		*found_ret = true;
		if (stop_one(target, tids[i], patience_ms, err) != 0)
			return -1;
	}
	return 0;
}

int thump_seize_all(struct thump_target *target, unsigned patience_ms, struct thump_err *err)
{
	bool found = true;

	/* Only running threads make new ones: when a listing shows nothing new, there is none. */
	while (found) {
		if (stop_new_threads(target, patience_ms, &found, err) != 0)
			return -1;
	}
	if (target->nr_threads == 0 || target->threads[0].tid != target->pid)
		return thump_fail(err, "process %d ended while it was stopped", target->pid);
	for (size_t i = 0; i < target->nr_threads; i++) {
		if (target->threads[i].gone)
			return thump_fail(err, "thread %d of process %d ended while it was stopped",
					  target->threads[i].tid, target->pid);
	}
	return 0;
}
