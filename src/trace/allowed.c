/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May the threads of a target make system calls that are none of their own? What stands against it
 * would end the process, so it is looked for in every thread: each may have modes of its own
 * (seccomp(2) without SECCOMP_FILTER_FLAG_TSYNC, prctl(PR_SET_SYSCALL_USER_DISPATCH)).
 *
 * As many filters as thump itself has are those of the container or service around both. They may
 * still forbid, by death, what a checkpoint asks for: rehearse.c finds out.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "proc/status.h"
#include "trace/internal.h"

/* linux/ptrace.h of Linux 6.4; Debian 12 has older headers. */
#ifndef PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
#endif
struct dispatch_config {
	uint64_t mode, selector, offset, len;
};

struct thread_facts {
	struct thump_status status;
	uint32_t own_filters; /* seccomp filters that thump itself has */
	struct dispatch_config dispatch;
};

static bool is_strict(const struct thread_facts *facts)
{
	return facts->status.seccomp == 1;
}

static bool is_filtered(const struct thread_facts *facts)
{
	return facts->status.seccomp_filters > facts->own_filters;
}

/* rt_sigreturn(2) would need a token on it. */
static bool has_shadow_stack(const struct thread_facts *facts)
{
	return facts->status.shadow_stack;
}

/* A call from outside of the allowed range raises SIGSYS, which is fatal while it is blocked. */
static bool is_dispatched(const struct thread_facts *facts)
{
	return facts->dispatch.mode != 0;
}

static const struct {
	bool (*found)(const struct thread_facts *facts);
	const char *word, *text;
} obstacles[] = {
	{ is_strict, "seccomp", "is in seccomp's strict mode" },
	{ is_filtered, "seccomp", "has seccomp filters of its own" },
	{ has_shadow_stack, "shadow-stack", "uses a shadow stack (CET)" },
	{ is_dispatched, "user-dispatch",
	  "has syscall user dispatch (PR_SET_SYSCALL_USER_DISPATCH)" },
};

struct obstacle_list {
	struct thump_obstacle *list;
	size_t count;
	bool filtered; /* some thread has filters, be they ours, too */
};

static int add(struct obstacle_list *found, pid_t tid, const char *word, const char *text,
	       struct thump_err *err)
{
	struct thump_obstacle *grown =
		realloc(found->list, (found->count + 1) * sizeof(found->list[0]));

	if (!grown)
		return thump_fail_errno(err, "look at thread %d", tid);
	found->list = grown;
	grown[found->count++] = (struct thump_obstacle){ tid, word, text };
	return 0;
}

static int look_at(const struct thump_target *target, pid_t tid, struct thump_arena *arena,
		   struct thread_facts *facts, struct thump_err *err)
{
	char path[48];

	(void)snprintf(path, sizeof(path), "task/%d/status", tid);
	if (thump_status_read(target->proc_fd, path, arena, &facts->status, err) != 0)
		return thump_add_context(err, "process %d", target->pid);
	/* Before Linux 6.4 the request is unknown: then nobody can tell. */
	facts->dispatch = (struct dispatch_config){ 0 };
	(void)thump_ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, tid, sizeof(facts->dispatch),
			   (uintptr_t)&facts->dispatch);
	return 0;
}

/* Sent to the thread by itself, it does nothing: by default it is ignored, and the program has
 * neither a handler for it nor keeps it back for sigwait(3) or signalfd(2). 0: none is. */
static int quiet_signal(const struct thump_target_thread *thread, const struct thump_status *status)
{
	static const int ignored[] = { SIGURG, SIGWINCH };
	const uint64_t wanted = status->sigcaught | status->sigblocked | thread->sigmask;

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(ignored); i++)
		if (!(wanted >> (ignored[i] - 1) & 1))
			return ignored[i];
	return 0;
}

static int look_at_all(const struct thump_target *target, struct thump_arena *arena,
		       struct obstacle_list *found, struct thump_err *err)
{
	struct thread_facts facts = { 0 };
	struct thump_status own;

	if (thump_status_read(AT_FDCWD, "/proc/self/status", arena, &own, err) != 0)
		return -1;
	facts.own_filters = own.seccomp_filters;
	for (size_t i = 0; i < target->nr_threads; i++) {
		struct thump_target_thread *thread = &target->threads[i];
		const pid_t tid = thread->tid;

		if (look_at(target, tid, arena, &facts, err) != 0)
			return -1;
		thread->tid_inside = facts.status.ns_pid;
		thread->quiet_signal = quiet_signal(thread, &facts.status);
		found->filtered |= facts.status.seccomp != 0;
		for (size_t k = 0; k < THUMP_ARRAY_SIZE(obstacles); k++)
			if (obstacles[k].found(&facts) &&
			    add(found, tid, obstacles[k].word, obstacles[k].text, err) != 0)
				return -1;
	}
	for (size_t i = 0; i < target->nr_kernel_workers; i++)
		if (add(found, target->kernel_workers[i], "io_uring",
			"is a worker of the kernel for io_uring(7)", err) != 0)
			return -1;
	return 0;
}

static int find_obstacles(struct thump_target *target, struct obstacle_list *found_ret,
			  struct thump_err *err)
{
	struct obstacle_list found = { 0 };
	struct thump_arena arena;
	int result;

	thump_arena_init(&arena);
	result = look_at_all(target, &arena, &found, err);
	thump_arena_deinit(&arena);
	if (result != 0) {
		free(found.list);
		return -1;
	}
	target->calls_refused |= found.count > 0;
	target->filtered = found.filtered;
	target->filters_known = true;
	*found_ret = found;
	return 0;
}

int thump_target_obstacles(struct thump_target *target, struct thump_obstacle **list_ret,
			   size_t *count_ret, struct thump_err *err)
{
	struct obstacle_list found;

	if (find_obstacles(target, &found, err) != 0)
		return -1;
	*list_ret = found.list;
	*count_ret = found.count;
	return 0;
}

int thump_check_calls_allowed(struct thump_target *target, bool *filtered_ret,
			      struct thump_err *err)
{
	struct obstacle_list found;

	/* Of threads that have stood still since. */
	if (target->filters_known && !target->calls_refused) {
		*filtered_ret = target->filtered;
		return 0;
	}
	if (find_obstacles(target, &found, err) != 0)
		return -1;
	if (found.count != 0)
		(void)thump_refuse(err, "thread %d of process %d %s", found.list[0].tid,
				   target->pid, found.list[0].text);
	free(found.list);
	*filtered_ret = found.filtered;
	return found.count == 0 ? 0 : -1;
}
