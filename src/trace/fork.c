/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy of a process, made by the process itself. What of it could be noticed, and why it is not:
 *
 *  - The copy never runs the program. Until PTRACE_O_EXITKILL is set, and should the tracer be
 *    killed, its registers lead to a chain that makes exit_group(2). The option is set on the copy
 *    alone: on a thread of the target it would end the target with the tracer.
 *  - It is no child of the program's. What the program makes is a go-between, whose exit signal is
 *    0; that makes the copy, which has the same memory (CLONE_VM), and ends. The program reaps it
 *    before it runs again, by a call for thump, and the copy is an orphan, which init reaps. A
 *    program that is itself the one to whom orphans go has the go-between as its copy: only
 *    wait(2) with __WALL or __WCLONE sees that one, and it is reaped in another stop.
 *  - It must not keep descriptors open that the program closes: a peer would wait for the end of a
 *    connection. CLONE_FILES and then CLOSE_RANGE_UNSHARE give it an empty table without touching
 *    an open file. Where the second is not to be had, they share a table; POSIX locks, which belong
 *    to a table, would be lost if the program executed another meanwhile.
 *  - A session of its own keeps signals to the program's group away from it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "proc/status.h"
#include "trace/internal.h"

/* A copy that has just been made stops at once; a killed one gives back what memory it has. */
#define BIRTH_PATIENCE_MS 10000
#define END_PATIENCE_MS	  60000

/* TRACECLONE: what it makes is ours from its birth on, and has the same options. */
#define COPY_OPTIONS (PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE)

/* kill(2) of a process of one's own cannot fail; who filters system calls may (as in wait.c), and
 * what would be left is a zombie of the target's. */
static void kill_surely(pid_t pid)
{
	for (int i = 0; i < THUMP_TRIES_MAX && kill(pid, SIGKILL) != 0; i++)
		;
}

static int lost(const struct thump_target *copy, struct thump_err *err)
{
	return thump_fail(err, "the copy of the process, process %d, was ended", copy->pid);
}

static int await_birth(struct thump_target *copy, struct thump_err *err)
{
	struct thump_target_thread *thread = &copy->threads[0];
	int status;

	if (thump_wait_tid(copy->waiter, copy->pid, thump_deadline_ns(BIRTH_PATIENCE_MS),
			   &status) != 1 ||
	    !WIFSTOPPED(status) ||
	    thump_ptrace(PTRACE_SETOPTIONS, copy->pid, 0, COPY_OPTIONS) != 0 ||
	    thump_ptrace_get_regs(copy->pid, &thread->regs) != 0 ||
	    thump_ptrace_get_sigmask(copy->pid, &thread->sigmask) != 0)
		return lost(copy, err);
	return 0;
}

static int open_copy(struct thump_target *copy, struct thump_err *err)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d", copy->pid);
	copy->proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (copy->proc_fd < 0)
		return thump_fail_errno(err, "open %s", path);
	copy->mem_fd = openat(copy->proc_fd, "mem", O_RDWR | O_CLOEXEC);
	if (copy->mem_fd < 0)
		return thump_fail_errno(err, "open the memory of process %d", copy->pid);
	return 0;
}

static struct thump_target *create_copy(pid_t pid)
{
	struct thump_target *copy = calloc(1, sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = (struct thump_target){
		.pid = pid,
		.proc_fd = -1,
		.mem_fd = -1,
		.pidfd = -1,
		.threads = calloc(1, sizeof(*copy->threads)),
		.nr_threads = 1,
		.is_copy = true,
	};
	if (!copy->threads) {
		free(copy);
		return NULL;
	}
	copy->threads[0].tid = pid;
	copy->stopped = true;
	return copy;
}

static int get_ready(const struct thump_target *maker, struct thump_target *copy,
		     struct thump_err *err)
{
	if (thump_waiter_create(&copy->waiter, err) != 0)
		return -1;
	return await_birth(copy, err) != 0 || open_copy(copy, err) != 0
		       ? -1
		       : thump_inject_inherit(maker, copy, err);
}

/* Whatever it does, and whether or not there is a struct for it. */
static void end_at_once(struct thump_target *maker, pid_t pid)
{
	struct thump_err ignored = THUMP_ERR_INIT;

	kill_surely(pid);
	/* WNOWAIT: its number is needed until its parent has reaped it, too. */
	while (waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT | __WALL) != 0 &&
	       errno == EINTR)
		;
	(void)!thump_target_reap(maker, pid, &ignored);
}

/* Process `pid`, which maker has just made, in its first stop. It is ended when that fails. */
static int adopt(struct thump_target *maker, pid_t pid, struct thump_target **copy_ret,
		 struct thump_err *err)
{
	struct thump_target *copy = create_copy(pid);

	if (copy && get_ready(maker, copy, err) == 0) {
		*copy_ret = copy;
		return 0;
	}
	if (!copy)
		(void)thump_fail(err, "copy process %d: out of memory", maker->pid);
	end_at_once(maker, pid);
	if (copy) {
		copy->stopped = false;
		thump_waiter_destroy(copy->waiter);
		thump_target_destroy(copy);
	}
	return -1;
}

/* The first bytes of the area are free: its chain lies at the end. */
static int give_name(struct thump_target *copy, struct thump_err *err)
{
	static const char name[] = THUMP_COPY_NAME;
	uint64_t args[6] = { PR_SET_NAME };
	struct remote_addr area;
	long ignored;

	if (thump_remote_area(copy, &area, err) != 0 ||
	    thump_target_write(copy, area, name, sizeof(name), err) != 0)
		return -1;
	args[1] = area.addr;
	return thump_remote_syscall(copy, SYS_prctl, args, &ignored, err);
}

static int close_descriptors(struct thump_target *copy, struct thump_err *err)
{
	const uint64_t args[6] = { 0, UINT_MAX, CLOSE_RANGE_UNSHARE };
	long ignored;

	return thump_remote_syscall(copy, SYS_close_range, args, &ignored, err);
}

static int refuse_copy(long result, struct thump_err *err)
{
	const char *reason = strerrordesc_np((int)-result);

	if (result == -EAGAIN)
		return thump_refuse(err,
				    "the process may have no other one beside it, which its copy "
				    "is (RLIMIT_NPROC, or pids.max of its control group): %s",
				    reason);
	if (result == -ENOMEM)
		return thump_refuse(err, "there is no memory for a copy of the process: %s",
				    reason);
	return thump_fail(err, "copy the process: clone: %s", reason);
}

static int fork_once(struct thump_target *maker, uint64_t flags, struct thump_target **copy_ret,
		     struct thump_err *err)
{
	pid_t pid = 0;
	long result;

	if (thump_remote_clone(maker, flags, &pid, &result, err) != 0)
		return -1;
	if (result < 0)
		return refuse_copy(result, err);
	/* Nobody told of it: it ends with its tracer. kill(0, ...) would be our own group. */
	if (pid <= 0)
		return thump_fail(err, "copy process %d: the copy is not known", maker->pid);
	return adopt(maker, pid, copy_ret, err);
}

/* Ends a child of a target that stands still, and has it reaped. */
static void end_child(struct thump_target *target, struct thump_target *child)
{
	struct thump_err ignored = THUMP_ERR_INIT;

	thump_copy_end(child);
	(void)!thump_target_reap(target, child->pid, &ignored);
	thump_target_destroy(child);
}

int thump_target_fork(struct thump_target *target, bool orphan, struct thump_target **copy_ret,
		      struct thump_err *err)
{
	struct thump_target *child, *copy;
	int result;

	if (fork_once(target, CLONE_FILES, &child, err) != 0)
		return -1;
	result = give_name(child, err) != 0 || close_descriptors(child, err) != 0 ? -1 : 0;
	if (result == 0 && !orphan) {
		*copy_ret = child;
		return 0;
	}
	if (result == 0)
		result = fork_once(child, CLONE_VM | CLONE_FILES | CLONE_FS, &copy, err);
	end_child(target, child);
	if (result == 0)
		*copy_ret = copy;
	return result;
}

void thump_copy_settle(struct thump_target *copy)
{
	const uint64_t no_args[6] = { 0 };
	struct thump_err ignored = THUMP_ERR_INIT;
	auto_close int fd = openat(copy->proc_fd, "oom_score_adj", O_WRONLY | O_CLOEXEC);
	long result;

	/* proc_pid_oom_score_adj(5): where memory is short, the copy goes before the program. */
	if (fd >= 0)
		(void)!write(fd, "1000", strlen("1000"));
	(void)!thump_remote_syscall(copy, SYS_setsid, no_args, &result, &ignored);
	thump_remote_finish(copy);
}

void thump_copy_end(struct thump_target *copy)
{
	if (!copy->stopped)
		return;
	kill_surely(copy->pid);
	(void)!thump_wait_end(copy->waiter, copy->pid, thump_deadline_ns(END_PATIENCE_MS));
	copy->stopped = false;
	thump_waiter_destroy(copy->waiter);
	copy->waiter = NULL;
}

/* Its number in its parent's pid namespace, which is its own, too; 0: there is none such. */
static pid_t pid_inside(pid_t pid)
{
	struct thump_status status = { 0 };
	struct thump_err ignored = THUMP_ERR_INIT;
	struct thump_arena arena;
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	thump_arena_init(&arena);
	for (int i = 0; i < THUMP_TRIES_MAX; i++) {
		if (thump_status_read(AT_FDCWD, path, &arena, &status, &ignored) == 0)
			break;
	}
	thump_arena_deinit(&arena);
	return status.ns_pid;
}

int thump_target_reap(struct thump_target *target, pid_t pid, struct thump_err *err)
{
	const uint64_t args[6] = { (uint64_t)pid_inside(pid), 0, WNOHANG | (unsigned)__WALL };
	long result;

	/* As its tracer first: then it is the parent's to wait for, who stands still. A call that
	 * is not let through (kill_surely()) would leave it a zombie of the target's. */
	for (int i = 0;
	     i < THUMP_TRIES_MAX && waitpid(pid, NULL, __WALL | WNOHANG) < 0 && errno != ECHILD;
	     i++)
		;
	/* ECHILD: somebody else's by now. */
	if (args[0] == 0)
		return 0;
	return thump_remote_syscall(target, SYS_wait4, args, &result, err);
}
