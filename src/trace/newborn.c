/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/newborn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "proc/maps.h"
#include "trace/internal.h"

/* No TRACECLONE: what the blob starts runs untraced until it is gathered. */
#define LEADER_OPTIONS (PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD)
#define THREAD_OPTIONS (PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD)

#define XSTATE_ROOM ((size_t)32 << 10)

#define SIGNAL_BIT(signo) ((uint64_t)1 << ((signo)-1))
/* Blocked, they would kill or lose their disposition: force_sig_info_to_task(), kernel/signal.c. */
#define SYNCHRONOUS_SIGNALS                                                                        \
	(SIGNAL_BIT(SIGTRAP) | SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGILL) |     \
	 SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGSYS))

/* ---- waiting for the leader ---------------------------------------------------------------- */

static int ended(struct thump_newborn *newborn, int status, struct thump_err *err)
{
	newborn->gone = true;
	newborn->exit_status = status;
	if (WIFSIGNALED(status))
		return thump_fail(
			err, "the new process %d was killed by signal %d (%s)%s", newborn->pid,
			WTERMSIG(status),
			sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?",
			WTERMSIG(status) == SIGKILL ? ", as the kernel does for lack of memory"
						    : "");
	return thump_fail(err, "the new process %d ended with status %d", newborn->pid,
			  WEXITSTATUS(status));
}

/* Lets the leader go on and waits for its next stop. */
static int advance(struct thump_newborn *newborn, int request, int signo, uint64_t deadline_ns,
		   int *status_ret, struct thump_err *err)
{
	int got;

	/* Fails only when it was killed in its stop; the wait will tell. */
	(void)thump_ptrace(request, newborn->pid, 0, (uintptr_t)signo);
	got = thump_wait_tid(newborn->waiter, newborn->pid, deadline_ns, status_ret);
	if (got < 0)
		return thump_fail_errno(err, "wait for the new process %d", newborn->pid);
	if (got == 0)
		return thump_fail(err, "the new process %d does not come to its next stop in time",
				  newborn->pid);
	return WIFSTOPPED(*status_ret) ? 0 : ended(newborn, *status_ret, err);
}

/* The signal of a signal-delivery-stop, else 0. */
static int stop_signal(int status)
{
	if (thump_stop_event(status) != 0 || WSTOPSIG(status) == THUMP_SYSCALL_STOP)
		return 0;
	return WSTOPSIG(status);
}

/* ---- from fork to exec --------------------------------------------------------------------- */

static int adopt(struct thump_newborn *newborn, struct thump_err *err)
{
	char path[32];

	newborn->tids = malloc(sizeof(*newborn->tids));
	if (!newborn->tids)
		return thump_fail_errno(err, "trace the new process %d", newborn->pid);
	newborn->tids[0] = newborn->pid;
	newborn->nr_tids = 1;
	(void)snprintf(path, sizeof(path), "/proc/%d", newborn->pid);
	newborn->proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (newborn->proc_fd < 0)
		return thump_fail_errno(err, "open %s", path);
	if (thump_waiter_create(&newborn->waiter, err) != 0)
		return -1;
	if (thump_ptrace(PTRACE_SEIZE, newborn->pid, 0, LEADER_OPTIONS) == 0)
		return 0;
	if (errno == EPERM || errno == ENOSYS)
		return thump_refuse(err, "a new process of our own may not be traced: yama's "
					 "ptrace_scope 3, or a seccomp filter (see thump doctor)");
	return thump_fail_errno(err, "trace the new process %d", newborn->pid);
}

int thump_newborn_adopt(pid_t pid, struct thump_newborn **newborn_ret, struct thump_err *err)
{
	struct thump_newborn *newborn = calloc(1, sizeof(*newborn));

	if (!newborn)
		return thump_fail_errno(err, "trace the new process %d", pid);
	newborn->pid = pid;
	newborn->proc_fd = -1;
	newborn->mem_fd = -1;
	if (adopt(newborn, err) != 0) {
		thump_newborn_destroy(newborn);
		return -1;
	}
	*newborn_ret = newborn;
	return 0;
}

void thump_newborn_give_up_on(struct thump_newborn *newborn, const sigset_t *signals)
{
	thump_waiter_give_up_on(newborn->waiter, signals);
}

int thump_newborn_given_up_on(const struct thump_newborn *newborn)
{
	return newborn->waiter ? newborn->waiter->given_up_on : 0;
}

int thump_newborn_wait_event(struct thump_newborn *newborn, struct thump_err *err)
{
	if (!thump_wait_any(newborn->waiter, UINT64_MAX) || newborn->waiter->given_up_on)
		return thump_fail(err, "given up");
	return 0;
}

/* The child runs; waits for its exec event. */
static int wait_for_exec_event(struct thump_newborn *newborn, uint64_t deadline_ns,
			       struct thump_err *err)
{
	int status;
	const int got = thump_wait_tid(newborn->waiter, newborn->pid, deadline_ns, &status);

	if (got < 0)
		return thump_fail_errno(err, "wait for the new process %d", newborn->pid);
	if (got == 0)
		return thump_fail(err, "the new process %d does not call execve in time",
				  newborn->pid);
	if (!WIFSTOPPED(status))
		return ended(newborn, status, err);
	while (thump_stop_event(status) != PTRACE_EVENT_EXEC) {
		if (advance(newborn, PTRACE_CONT, stop_signal(status), deadline_ns, &status, err) !=
		    0)
			return -1;
	}
	return 0;
}

int thump_newborn_open_memory(struct thump_newborn *newborn, struct thump_err *err)
{
	newborn->mem_fd = openat(newborn->proc_fd, "mem", O_RDWR | O_CLOEXEC);
	if (newborn->mem_fd < 0)
		return thump_fail_errno(err, "open the memory of the new process %d", newborn->pid);
	return 0;
}

int thump_newborn_wait_exec(struct thump_newborn *newborn, unsigned timeout_ms,
			    struct thump_err *err)
{
	if (wait_for_exec_event(newborn, thump_deadline_ns(timeout_ms), err) != 0)
		return -1;
	/* All of the new program is there; what is still to come is the result in one register. */
	newborn->in_exec = true;
	/* Only now: the memory of before the exec is another one. */
	if (thump_newborn_open_memory(newborn, err) < 0)
		return -1;
	if (thump_ptrace_set_sigmask(newborn->pid, ~SYNCHRONOUS_SIGNALS) != 0)
		return thump_fail_errno(err, "block signals in the new process %d", newborn->pid);
	return 0;
}

int thump_newborn_entry(const struct thump_newborn *newborn, struct remote_addr *entry_ret,
			struct thump_err *err)
{
	struct user_regs_struct regs;

	if (thump_ptrace_get_regs(newborn->pid, &regs) != 0)
		return thump_fail_errno(err, "read the registers of the new process %d",
					newborn->pid);
	*entry_ret = REMOTE(thump_arch_pc(&regs));
	return 0;
}

/* ---- memory -------------------------------------------------------------------------------- */

int thump_newborn_syscall_insn(struct thump_newborn *newborn, struct remote_addr *insn_ret,
			       struct thump_err *err)
{
	return thump_find_syscall_insn(newborn->proc_fd, newborn->mem_fd, insn_ret, err);
}

int thump_newborn_write(const struct thump_newborn *newborn, struct remote_addr addr,
			const void *buf, size_t size_bytes, struct thump_err *err)
{
	if (thump_pwrite_full(newborn->mem_fd, buf, size_bytes, addr.addr) != 0)
		return thump_fail_errno(err, "write %zu bytes at 0x%lx of the new process %d",
					size_bytes, addr.addr, newborn->pid);
	return 0;
}

int thump_newborn_read(const struct thump_newborn *newborn, struct remote_addr addr, void *buf,
		       size_t size_bytes, struct thump_err *err)
{
	if (thump_pread_full(newborn->mem_fd, buf, size_bytes, addr.addr) != 0)
		return thump_fail_errno(err, "read %zu bytes at 0x%lx of the new process %d",
					size_bytes, addr.addr, newborn->pid);
	return 0;
}

/* ---- running it ---------------------------------------------------------------------------- */

/* A signal that ends the attempt; which one, and where. */
static int crashed(const struct thump_newborn *newborn, int signo, struct thump_err *err)
{
	struct user_regs_struct regs = { 0 };
	siginfo_t info = { 0 };

	(void)thump_ptrace(PTRACE_GETSIGINFO, newborn->pid, 0, (uintptr_t)&info);
	(void)thump_ptrace_get_regs(newborn->pid, &regs);
	return thump_fail(err,
			  "the new process %d got signal %d (%s) at instruction 0x%lx, address %p, "
			  "code %d",
			  newborn->pid, signo, sigabbrev_np(signo) ? sigabbrev_np(signo) : "?",
			  thump_arch_pc(&regs), info.si_addr, info.si_code);
}

/* SIGSTOP that the blob sent itself with tkill(2) or tgkill(2); kill(1) uses kill(2). */
static bool stopped_itself(const struct thump_newborn *newborn)
{
	siginfo_t info = { 0 };

	return thump_ptrace(PTRACE_GETSIGINFO, newborn->pid, 0, (uintptr_t)&info) == 0 &&
	       info.si_code == SI_TKILL;
}

/* To the next syscall-stop. */
static int advance_to_syscall(struct thump_newborn *newborn, struct thump_err *err)
{
	int status;

	for (;;) {
		if (advance(newborn, PTRACE_SYSCALL, 0, UINT64_MAX, &status, err) != 0)
			return -1;
		if (thump_stop_event(status) == 0 && WSTOPSIG(status) == THUMP_SYSCALL_STOP)
			return 0;
		if (stop_signal(status) == SIGSTOP)
			newborn->stop_wanted = true;
		else if (stop_signal(status) != 0)
			return crashed(newborn, stop_signal(status), err);
	}
}

/* Else the first syscall-stop would be that of execve(2). */
static int leave_exec(struct thump_newborn *newborn, struct thump_err *err)
{
	if (!newborn->in_exec)
		return 0;
	newborn->in_exec = false;
	return advance_to_syscall(newborn, err);
}

int thump_newborn_syscall(struct thump_newborn *newborn, struct remote_addr insn, long nr,
			  const uint64_t args[6], long *result_ret, struct thump_err *err)
{
	struct user_regs_struct regs;

	if (leave_exec(newborn, err) != 0)
		return -1;
	if (thump_ptrace_get_regs(newborn->pid, &regs) != 0)
		return thump_fail_errno(err, "read the registers of the new process %d",
					newborn->pid);
	thump_arch_set_syscall(&regs, insn.addr, thump_arch_sp(&regs), nr, args);
	if (thump_ptrace_set_regs(newborn->pid, &regs) != 0)
		return thump_fail_errno(err, "write the registers of the new process %d",
					newborn->pid);
	if (advance_to_syscall(newborn, err) != 0 || advance_to_syscall(newborn, err) != 0)
		return -1;
	if (thump_ptrace_get_regs(newborn->pid, &regs) != 0)
		return thump_fail_errno(err, "read the registers of the new process %d",
					newborn->pid);
	*result_ret = thump_arch_result(&regs);
	return 0;
}

/* Lets the leader begin elsewhere. */
static int set_entry(struct thump_newborn *newborn, struct remote_addr entry,
		     struct remote_addr stack_top, uint64_t arg, struct thump_err *err)
{
	struct user_regs_struct regs;

	if (thump_ptrace_get_regs(newborn->pid, &regs) != 0)
		return thump_fail_errno(err, "read the registers of the new process %d",
					newborn->pid);
	newborn->in_exec = false;
	thump_arch_set_entry(&regs, entry.addr, stack_top.addr, arg);
	if (thump_ptrace_set_regs(newborn->pid, &regs) != 0)
		return thump_fail_errno(err, "write the registers of the new process %d",
					newborn->pid);
	return 0;
}

/* What a stop means: 1 for the agreed end, 0 to go on. */
static int judge_stop(struct thump_newborn *newborn, int status, struct thump_err *err)
{
	const int signo = stop_signal(status);

	if (signo == SIGTRAP || (signo == SIGSTOP && stopped_itself(newborn)))
		return 1;
	if (signo != 0 && signo != SIGSTOP)
		return crashed(newborn, signo, err);
	newborn->stop_wanted |= signo == SIGSTOP;
	return 0;
}

static int run_to_trap(struct thump_newborn *newborn, uint64_t deadline_ns, struct thump_err *err)
{
	int status, judged;

	do {
		if (advance(newborn, PTRACE_CONT, 0, deadline_ns, &status, err) != 0)
			return -1;
		judged = judge_stop(newborn, status, err);
	} while (judged == 0);
	return judged < 0 ? -1 : 0;
}

int thump_newborn_run(struct thump_newborn *newborn, struct remote_addr entry,
		      struct remote_addr stack_top, uint64_t arg, unsigned timeout_ms,
		      struct thump_err *err)
{
	const uint64_t deadline_ns = thump_deadline_ns(timeout_ms);

	if (set_entry(newborn, entry, stack_top, arg, err) != 0)
		return -1;
	return run_to_trap(newborn, deadline_ns, err);
}

int thump_newborn_wait_trap(struct thump_newborn *newborn, unsigned timeout_ms,
			    struct thump_err *err)
{
	const uint64_t deadline_ns = thump_deadline_ns(timeout_ms);
	int status, judged;

	if (thump_wait_tid(newborn->waiter, newborn->pid, deadline_ns, &status) <= 0)
		return thump_fail(err, "the new process %d does not come to its next stop",
				  newborn->pid);
	if (!WIFSTOPPED(status))
		return ended(newborn, status, err);
	judged = judge_stop(newborn, status, err);
	if (judged != 0)
		return judged < 0 ? -1 : 0;
	return run_to_trap(newborn, deadline_ns, err);
}

/* ---- all threads --------------------------------------------------------------------------- */

static int seize(const struct thump_newborn *newborn, pid_t tid, struct thump_err *err)
{
	if (thump_ptrace(PTRACE_SEIZE, tid, 0, THREAD_OPTIONS) != 0 ||
	    thump_ptrace(PTRACE_INTERRUPT, tid, 0, 0) != 0)
		return thump_fail_errno(err, "trace thread %d of the new process %d", tid,
					newborn->pid);
	return 0;
}

/* The first stop of a thread that was seized. */
static int await_stop(struct thump_newborn *newborn, pid_t tid, uint64_t deadline_ns,
		      struct thump_err *err)
{
	int status, got, signo = 0;

	for (;;) {
		got = thump_wait_tid(newborn->waiter, tid, deadline_ns, &status);
		if (got <= 0 || !WIFSTOPPED(status))
			return thump_fail(err, "thread %d of the new process %d does not stop", tid,
					  newborn->pid);
		if (thump_stop_event(status) == PTRACE_EVENT_STOP)
			return 0;
		signo = stop_signal(status);
		newborn->stop_wanted |= signo == SIGSTOP;
		if (signo != 0 && signo != SIGSTOP)
			return thump_fail(err, "thread %d of the new process %d got signal %d", tid,
					  newborn->pid, signo);
		/* Any trap takes a pending interrupt away: ptrace_stop() in kernel/signal.c. */
		(void)thump_ptrace(PTRACE_INTERRUPT, tid, 0, 0);
		(void)thump_ptrace(PTRACE_CONT, tid, 0, 0);
	}
}

int thump_newborn_gather(struct thump_newborn *newborn, unsigned timeout_ms, struct thump_err *err)
{
	const uint64_t deadline_ns = thump_deadline_ns(timeout_ms);
	pid_t *tids;
	size_t count;

	if (thump_list_tasks(newborn->proc_fd, newborn->pid, &tids, &count, err) != 0)
		return -1;
	/* Before they are seized: a half gathered process must be reaped thread by thread, too. */
	free(newborn->tids);
	newborn->tids = tids;
	newborn->nr_tids = count;
	/* Each sleeps, and has to be woken: all of them at once, not one after the other. */
	for (size_t i = 1; i < count; i++)
		if (seize(newborn, tids[i], err) != 0)
			return -1;
	for (size_t i = 1; i < count; i++)
		if (await_stop(newborn, tids[i], deadline_ns, err) != 0)
			return -1;
	return 0;
}

/* Stops of what is traced are told whether asked for or not: wait_task_stopped(), kernel/exit.c. */
bool thump_newborn_lost_thread(const struct thump_newborn *newborn)
{
	for (size_t i = 0; i < newborn->nr_tids; i++) {
		siginfo_t info = { .si_pid = 0 };

		if (waitid(P_PID, (id_t)newborn->tids[i], &info,
			   WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 ||
		    (info.si_pid && info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED))
			return true;
	}
	return false;
}

/*
 * The kernel takes exactly its own size (xstateregs_set()): an image from a machine with less state
 * is filled up with zeros, features in their initial state. What this machine does not have is
 * refused by the kernel if it is in use, and cut off otherwise.
 */
static int set_xstate(pid_t tid, const void *xstate, size_t xstate_size)
{
	unsigned char buf[XSTATE_ROOM];
	size_t size_bytes;

	if (thump_ptrace_get_xstate(tid, buf, sizeof(buf), &size_bytes) != 0)
		return -1;
	memset(buf, 0, size_bytes);
	memcpy(buf, xstate, size_bytes < xstate_size ? size_bytes : xstate_size);
	return thump_ptrace_set_xstate(tid, buf, size_bytes);
}

int thump_newborn_set_thread(struct thump_newborn *newborn, pid_t tid,
			     const struct user_regs_struct *regs, const void *xstate,
			     size_t xstate_size, uint64_t sigmask, struct thump_err *err)
{
	if (thump_ptrace_set_regs(tid, regs) != 0)
		return thump_fail_errno(err, "write the registers of thread %d of process %d", tid,
					newborn->pid);
	if (xstate && set_xstate(tid, xstate, xstate_size) != 0)
		return thump_fail_errno(err,
					"write the extended registers of thread %d of process %d",
					tid, newborn->pid);
	if (thump_ptrace_set_sigmask(tid, sigmask) != 0)
		return thump_fail_errno(err, "write the signal mask of thread %d of process %d",
					tid, newborn->pid);
	return 0;
}

/*
 * SIGSTOP sent, delivered and obeyed while everything is held: the other threads take part in the
 * group-stop as soon as they are detached, before they reach user space.
 */
static int enter_group_stop(struct thump_newborn *newborn, struct thump_err *err)
{
	int status, signo = 0;

	if (kill(newborn->pid, SIGSTOP) != 0)
		return thump_fail_errno(err, "stop the new process %d", newborn->pid);
	do {
		if (advance(newborn, PTRACE_CONT, signo, UINT64_MAX, &status, err) != 0)
			return -1;
		signo = stop_signal(status);
	} while (thump_stop_event(status) != PTRACE_EVENT_STOP);
	return 0;
}

/* A thread that went before may have ended the process already: that is the program's own end, told
 * to whoever waits for it as soon as its traced threads are reaped. */
static int let_go(struct thump_newborn *newborn, pid_t tid, struct thump_err *err)
{
	int status;

	if (thump_ptrace(PTRACE_DETACH, tid, 0, 0) == 0)
		return 0;
	if (errno != ESRCH)
		return thump_fail_errno(err, "let go thread %d of the new process %d", tid,
					newborn->pid);
	while (tid != newborn->pid && waitpid(tid, &status, __WALL) > 0 && WIFSTOPPED(status))
		;
	return 0;
}

int thump_newborn_release(struct thump_newborn *newborn, bool group_stopped, struct thump_err *err)
{
	if ((group_stopped || newborn->stop_wanted) && enter_group_stop(newborn, err) != 0)
		return -1;
	/* Until the last one, the leader, is let go, EXITKILL holds for all. */
	for (size_t i = newborn->nr_tids; i-- > 0;) {
		if (let_go(newborn, newborn->tids[i], err) != 0)
			return -1;
	}
	newborn->released = true;
	thump_waiter_destroy(newborn->waiter);
	newborn->waiter = NULL;
	return 0;
}

int thump_newborn_release_at(struct thump_newborn *newborn, struct remote_addr entry,
			     struct remote_addr stack_top, uint64_t arg, struct thump_err *err)
{
	if (set_entry(newborn, entry, stack_top, arg, err) != 0)
		return -1;
	return thump_newborn_release(newborn, false, err);
}

/* The leader's end is reported when all other threads are gone; those we trace must be reaped. */
static void kill_and_reap(struct thump_newborn *newborn)
{
	int status = 0;

	(void)kill(newborn->pid, SIGKILL);
	for (size_t i = 1; i < newborn->nr_tids; i++) {
		while (waitpid(newborn->tids[i], &status, __WALL) > 0 && WIFSTOPPED(status))
			;
	}
	while (waitpid(newborn->pid, &status, __WALL) > 0 && WIFSTOPPED(status))
		;
	newborn->exit_status = status;
	newborn->gone = true;
}

void thump_newborn_destroy(struct thump_newborn *newborn)
{
	if (!newborn)
		return;
	if (!newborn->released && !newborn->gone)
		kill_and_reap(newborn);
	thump_waiter_destroy(newborn->waiter);
	thump_close_fd(&newborn->mem_fd);
	thump_close_fd(&newborn->proc_fd);
	free(newborn->tids);
	free(newborn);
}
