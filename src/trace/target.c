/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "trace/internal.h"

/* SIGKILL works at once on stopped threads; the bound is for a kernel that cannot end one. */
#define KILL_PATIENCE_MS 10000
/* For threads that were told to stop and are wanted back in a failed stop. */
#define UNDO_PATIENCE_NS ((uint64_t)50 * 1000 * 1000)

static int open_target(struct thump_target *target, pid_t pid, struct thump_err *err)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d", pid);
	target->proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (target->proc_fd < 0)
		return errno == ENOENT ? thump_fail(err, "there is no process %d", pid)
				       : thump_fail_errno(err, "open %s", path);
	/* Opened before the process is looked at: from here on all facts are about this one. */
	target->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (thump_check_process(pid, target->proc_fd, &target->start_time, err) != 0)
		return -1;
	return thump_find_kernel_workers(target, err);
}

static int open_mem(struct thump_target *target, struct thump_err *err)
{
	target->mem_fd = openat(target->proc_fd, "mem", O_RDWR | O_CLOEXEC);
	if (target->mem_fd >= 0)
		return 0;
	/* proc_pid_mem(5): it takes the same permission as an attach, and comes first. */
	if (errno == EACCES || errno == EPERM)
		return thump_explain_eperm(target->pid, target->pid, target->proc_fd, err);
	return thump_fail_errno(err, "open the memory of process %d", target->pid);
}

static int stop(struct thump_target *target, unsigned patience_ms, struct thump_err *err)
{
	struct thump_sleepers sleepers = { 0 };
	int result;

	if (open_target(target, target->pid, err) != 0)
		return -1;
	thump_sleepers_look(target->proc_fd, target->pid, &sleepers);
	result = thump_waiter_create(&target->waiter, err);
	if (result == 0) {
		target->stopped = true;
		result = open_mem(target, err);
	}
	target->seized_at_ns = thump_now_ns();
	if (result == 0)
		result = thump_seize_all(target, patience_ms, err);
	target->stopped_at_ns = thump_now_ns();
	for (size_t i = 0; result == 0 && i < target->nr_threads; i++) {
		struct thump_target_thread *thread = &target->threads[i];

		result = thump_read_thread(target, thread, thump_sleeper_of(&sleepers, thread->tid),
					   err);
	}
	thump_sleepers_deinit(&sleepers);
	return result;
}

int thump_target_stop(pid_t pid, unsigned patience_ms, struct thump_target **target_ret,
		      struct thump_err *err)
{
	struct thump_target *target = calloc(1, sizeof(*target));

	if (!target)
		return thump_fail_errno(err, "stop process %d", pid);
	target->pid = pid;
	target->proc_fd = -1;
	target->mem_fd = -1;
	target->pidfd = -1;
	if (stop(target, patience_ms, err) != 0) {
		thump_target_destroy(target);
		return -1;
	}
	*target_ret = target;
	return 0;
}

/* A thread that is not in a stop (PTRACE_DETACH wants one) has been told to come to one. */
static void detach(struct thump_target *target, struct thump_target_thread *thread)
{
	int signo;

	if (thread->gone || thump_ptrace(PTRACE_DETACH, thread->tid, 0, 0) == 0)
		return;
	if (thump_run_to_event_stop(target, thread->tid, thump_now_ns() + UNDO_PATIENCE_NS,
				    &signo) == 1)
		(void)thump_ptrace(PTRACE_DETACH, thread->tid, 0, 0);
	thread->gone = true;
}

void thump_target_resume(struct thump_target *target)
{
	uint64_t held_ns;

	if (!target->stopped)
		return;
	if (target->is_copy) {
		thump_copy_end(target);
		return;
	}
	thump_remote_finish(target);
	held_ns = thump_now_ns() - target->stopped_at_ns;
	for (size_t i = 0; i < target->nr_threads; i++) {
		thump_shorten_timeout(&target->threads[i], held_ns);
		detach(target, &target->threads[i]);
	}
	target->stopped = false;
	thump_waiter_destroy(target->waiter);
	target->waiter = NULL;
}

/* One round of reaping; the number of threads that are still there. */
static size_t reap_all(struct thump_target *target)
{
	size_t left = 0;
	int status;

	/* The leader last: its end is reported only after all others are reaped. */
	for (size_t i = target->nr_threads; i-- > 0;) {
		struct thump_target_thread *thread = &target->threads[i];
		pid_t got = 1;

		while (!thread->gone && got > 0) {
			got = waitpid(thread->tid, &status, __WALL | WNOHANG);
			thread->gone = got < 0 || (got > 0 && !WIFSTOPPED(status));
		}
		left += !thread->gone;
	}
	return left;
}

int thump_target_kill(struct thump_target *target, struct thump_err *err)
{
	const uint64_t deadline_ns = thump_deadline_ns(KILL_PATIENCE_MS);

	/* No other process can have this pid: it is not reused before we have reaped it. */
	if (!target->stopped || kill(target->pid, SIGKILL) != 0)
		return thump_fail_errno(err, "kill process %d", target->pid);
	while (reap_all(target) > 0) {
		if (!thump_wait_any(target->waiter, deadline_ns))
			return thump_fail(err, "process %d does not end after SIGKILL",
					  target->pid);
	}
	target->stopped = false;
	thump_waiter_destroy(target->waiter);
	target->waiter = NULL;
	return 0;
}

void thump_target_destroy(struct thump_target *target)
{
	if (!target)
		return;
	thump_target_resume(target);
	/* The end of a tracee is told to its parent once its tracer has seen it. */
	if (target->is_copy)
		(void)waitpid(target->pid, NULL, __WALL | WNOHANG);
	thump_inject_destroy(target->inject);
	for (size_t i = 0; i < target->nr_threads; i++)
		free(target->threads[i].xstate);
	free(target->threads);
	free(target->kernel_workers);
	thump_close_fd(&target->proc_fd);
	thump_close_fd(&target->mem_fd);
	thump_close_fd(&target->pidfd);
	free(target);
}
