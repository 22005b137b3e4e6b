/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May the threads of a target make system calls that are none of their own? What stands against it
 * would end the process, so it is looked for in every thread: each may have modes of its own
 * (seccomp(2) without SECCOMP_FILTER_FLAG_TSYNC, prctl(PR_SET_SYSCALL_USER_DISPATCH)).
 */
#include <fcntl.h>
#include <stdio.h>

#include "base/fd.h"
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
	const char *text;
} obstacles[] = {
	{ is_strict, "is in seccomp's strict mode" },
	{ is_filtered, "has seccomp filters of its own" },
	{ has_shadow_stack, "uses a shadow stack" },
	{ is_dispatched, "has syscall user dispatch (PR_SET_SYSCALL_USER_DISPATCH)" },
};

static int read_status(int dir_fd, const char *path, struct thump_arena *arena,
		       struct thump_status *status_ret, struct thump_err *err)
{
	auto_free char *text = NULL;

	if (thump_slurp(dir_fd, path, &text, NULL) != 0)
		return thump_fail_errno(err, "read %s", path);
	return thump_status_parse(text, arena, status_ret, err);
}

static int look_at(const struct thump_target *target, pid_t tid, struct thump_arena *arena,
		   struct thread_facts *facts, struct thump_err *err)
{
	char path[48];

	(void)snprintf(path, sizeof(path), "task/%d/status", tid);
	if (read_status(target->proc_fd, path, arena, &facts->status, err) != 0)
		return thump_add_context(err, "process %d", target->pid);
	/* Before Linux 6.4 the request is unknown: then nobody can tell. */
	facts->dispatch = (struct dispatch_config){ 0 };
	(void)thump_ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, tid, sizeof(facts->dispatch),
			   (uintptr_t)&facts->dispatch);
	return 0;
}

int thump_check_calls_allowed(const struct thump_target *target, struct thump_arena *arena,
			      struct thump_err *err)
{
	struct thread_facts facts = { 0 };
	struct thump_status own;

	if (read_status(AT_FDCWD, "/proc/self/status", arena, &own, err) != 0)
		return -1;
	facts.own_filters = own.seccomp_filters;
	for (size_t i = 0; i < target->nr_threads; i++) {
		const pid_t tid = target->threads[i].tid;

		if (look_at(target, tid, arena, &facts, err) != 0)
			return -1;
		for (size_t k = 0; k < THUMP_ARRAY_SIZE(obstacles); k++)
			if (obstacles[k].found(&facts))
				return thump_refuse(err, "thread %d of process %d %s", tid,
						    target->pid, obstacles[k].text);
	}
	return 0;
}
