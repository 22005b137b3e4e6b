/* SPDX-License-Identifier: Apache-2.0 */
/* Threads: what the stop read, what /proc and system calls of our own tell, and what only the
 * thread itself can tell. */
#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "capture/context.h"

/* sched_getattr(2); glibc 2.36 has no declaration. */
struct sched_attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

#define UTIL_MAX_DEFAULT 1024U
#define MAX_CPU_WORDS	 ((size_t)1024)

/* ---- from outside ------------------------------------------------------------------------ */

/* Threads may have other credentials than the process (raw setresuid(2)); libc keeps them equal. */
static void compare_creds(struct thump_capture *cap, const struct thump_status *status)
{
	const struct thump_status *leader = &cap->status;

	if (memcmp(status->uid, leader->uid, sizeof(status->uid)) != 0 ||
	    memcmp(status->gid, leader->gid, sizeof(status->gid)) != 0 ||
	    status->nr_groups != leader->nr_groups ||
	    (status->nr_groups && memcmp(status->groups, leader->groups,
					 status->nr_groups * sizeof(status->groups[0])) != 0) ||
	    status->cap_effective != leader->cap_effective ||
	    status->cap_permitted != leader->cap_permitted ||
	    status->cap_inheritable != leader->cap_inheritable ||
	    status->cap_bounding != leader->cap_bounding ||
	    status->cap_ambient != leader->cap_ambient ||
	    status->no_new_privs != leader->no_new_privs)
		thump_capture_refuse(cap, "thread-credentials",
				     "thread %d: has other credentials than the process, which "
				     "cannot be saved",
				     status->pid);
}

static int read_status(struct thump_capture *cap, size_t index, struct thump_task *task,
		       struct thump_err *err)
{
	pid_t tid = cap->target->threads[index].tid;
	auto_free char *text = NULL;
	struct thump_status status;
	char name[48];

	(void)snprintf(name, sizeof(name), "task/%d/status", tid);
	if (thump_capture_slurp(cap, name, &text, NULL, err) < 0 ||
	    thump_status_parse(text, &cap->scratch, &status, err) < 0)
		return -1;
	task->tid = status.ns_pid;
	compare_creds(cap, &status);
	thump_capture_refuse_speculation(cap, &status);
	return 0;
}

/*
 * Bits that prctl(2) sets in the flags of one thread: PR_MCE_KILL and PR_SET_IO_FLUSHER
 * (include/linux/sched.h of the kernel). Where they mean something else by now, and differ, threads
 * are asked for nothing.
 */
#define PF_MODES (0x00000080UL | 0x08000000UL | 0x00080000UL | 0x00100000UL)

/* More that belongs to each thread alone, though libc and shells treat it as the process's. */
static int compare_rest(struct thump_capture *cap, pid_t tid, struct thump_err *err)
{
	auto_free char *stat_text = NULL, *personality = NULL;
	struct thump_stat stat;
	char name[48];

	(void)snprintf(name, sizeof(name), "task/%d/stat", tid);
	if (thump_capture_slurp(cap, name, &stat_text, NULL, err) < 0 ||
	    thump_stat_parse(stat_text, &stat, err) < 0)
		return -1;
	cap->thread_flags_differ |= ((stat.flags ^ cap->stat.flags) & PF_MODES) != 0;
	(void)snprintf(name, sizeof(name), "task/%d/personality", tid);
	if (thump_capture_slurp(cap, name, &personality, NULL, err) < 0)
		return -1;
	if (strtoul(personality, NULL, 16) != cap->model.process.personality)
		thump_capture_refuse(cap, "thread-mode",
				     "thread %d: has a personality(2) of its own, %.8s, which "
				     "cannot be saved",
				     tid, personality);
	return 0;
}

static int read_comm(struct thump_capture *cap, pid_t tid, struct thump_task *task,
		     struct thump_err *err)
{
	auto_free char *text = NULL;
	char name[48];
	size_t size;

	(void)snprintf(name, sizeof(name), "task/%d/comm", tid);
	if (thump_capture_slurp(cap, name, &text, &size, err) < 0)
		return -1;
	if (size && text[size - 1] == '\n') /* the kernel's; one in the name is kept */
		size--;
	memcpy(task->comm, text, thump_min_u64(size, THUMP_COMM_SIZE - 1));
	return 0;
}

static int read_sched(struct thump_capture *cap, pid_t tid, struct thump_task *task,
		      struct thump_err *err)
{
	struct sched_attributes attr = { .util_max = UTIL_MAX_DEFAULT };
	long ioprio = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid);

	if (syscall(SYS_sched_getattr, tid, &attr, sizeof(attr), 0) < 0)
		return thump_fail_errno(err, "sched_getattr of thread %d", tid);
	if (ioprio < 0)
		return thump_fail_errno(err, "ioprio_get of thread %d", tid);
	task->sched_policy = (int32_t)attr.policy;
	task->sched_priority = (int32_t)attr.priority;
	task->nice = attr.nice;
	task->sched_flags = (uint32_t)attr.flags & SCHED_FLAG_RESET_ON_FORK;
	task->ioprio = (int32_t)ioprio;
	if (attr.policy == SCHED_DEADLINE)
		thump_capture_refuse(cap, "sched-deadline",
				     "thread %d: scheduling policy SCHED_DEADLINE cannot be saved",
				     tid);
	if (attr.size >= sizeof(attr) &&
	    (attr.util_min != 0 || attr.util_max != UTIL_MAX_DEFAULT) &&
	    (attr.flags & (SCHED_FLAG_UTIL_CLAMP_MIN | SCHED_FLAG_UTIL_CLAMP_MAX)))
		thump_capture_refuse(cap, "uclamp",
				     "thread %d: utilisation clamps %u to %u cannot be saved", tid,
				     attr.util_min, attr.util_max);
	return 0;
}

static int read_affinity(struct thump_capture *cap, pid_t tid, struct thump_task *task,
			 struct thump_err *err)
{
	uint64_t words[MAX_CPU_WORDS];
	/* The raw call returns how many bytes the kernel's own mask has. */
	long size = syscall(SYS_sched_getaffinity, tid, sizeof(words), words);

	if (size < 0)
		return thump_fail_errno(err, "sched_getaffinity of thread %d", tid);
	task->nr_affinity_words = (uint32_t)((size_t)size / sizeof(words[0]));
	task->affinity = thump_arena_memdup(&cap->model.arena, words, (size_t)size);
	return task->affinity ? 0 : thump_out_of_memory(err);
}

/* get_robust_list(2) works from outside for whoever may ptrace. */
static int read_lists(struct thump_capture *cap, size_t index, struct thump_task *task,
		      struct thump_err *err)
{
	pid_t tid = cap->target->threads[index].tid;
	void *head = NULL;
	size_t len = 0;

	if (syscall(SYS_get_robust_list, tid, &head, &len) < 0)
		return thump_fail_errno(err, "get_robust_list of thread %d", tid);
	task->robust_list = (uintptr_t)head;
	task->robust_list_len = len;
	return thump_target_rseq(cap->target, index, &task->rseq_addr, &task->rseq_len,
				 &task->rseq_sig, err);
}

static int read_pending(struct thump_capture *cap, size_t index, bool process_wide,
			struct thump_siginfo **infos_ret, uint32_t *count_ret,
			struct thump_err *err)
{
	auto_free siginfo_t *infos = NULL;
	size_t count;

	_Static_assert(sizeof(siginfo_t) == THUMP_SIGINFO_SIZE, "siginfo is 128 bytes");
	if (thump_target_pending(cap->target, index, process_wide, &infos, &count, err) < 0)
		return -1;
	*infos_ret = thump_arena_memdup(&cap->model.arena, infos, count * sizeof(*infos));
	*count_ret = (uint32_t)count;
	return *infos_ret ? 0 : thump_out_of_memory(err);
}

static int read_registers(struct thump_capture *cap, size_t index, struct thump_task *task,
			  struct thump_err *err)
{
	const struct thump_target_thread *thread = &cap->target->threads[index];

	task->state = thread->group_stopped ? THUMP_TASK_STOPPED : THUMP_TASK_RUNNING;
	task->regs = thread->image_regs;
	task->sigmask = thread->sigmask;
	task->blocked_syscall = thread->blocked_syscall;
	/* Stopped before, and nothing tells any more which call it sleeps in (trace/settle.c). */
	if (thread->blocked_syscall == SYS_restart_syscall)
		thump_problem_add(
			cap->problems, true, -1, "interrupted-call",
			"thread %d waits in a system call that was interrupted before and "
			"cannot be told: in the restored process the call ends with EINTR",
			thread->tid);
	task->xstate_size = thread->xstate_used;
	task->xstate = thump_arena_memdup(&cap->model.arena, thread->xstate, thread->xstate_used);
	return task->xstate ? 0 : thump_out_of_memory(err);
}

static int read_task(struct thump_capture *cap, size_t index, struct thump_err *err)
{
	struct thump_task *task = &cap->model.tasks[index];
	pid_t tid = cap->target->threads[index].tid;

	if (read_registers(cap, index, task, err) < 0 || read_status(cap, index, task, err) < 0 ||
	    (index > 0 && compare_rest(cap, tid, err) < 0) || read_comm(cap, tid, task, err) < 0 ||
	    read_sched(cap, tid, task, err) < 0 || read_affinity(cap, tid, task, err) < 0 ||
	    read_lists(cap, index, task, err) < 0)
		return -1;
	return read_pending(cap, index, false, &task->pending, &task->nr_pending, err);
}

int thump_capture_tasks(struct thump_capture *cap, struct thump_err *err)
{
	size_t nr_threads = cap->target->nr_threads;
	struct thump_process *process = &cap->model.process;

	cap->model.tasks =
		thump_arena_alloc(&cap->model.arena, nr_threads, sizeof(*cap->model.tasks));
	if (!cap->model.tasks)
		return thump_out_of_memory(err);
	cap->model.nr_tasks = (uint32_t)nr_threads;
	for (size_t i = 0; i < nr_threads; i++) {
		if (read_task(cap, i, err) < 0)
			return thump_add_context(err, "thread %d", cap->target->threads[i].tid);
	}
	return read_pending(cap, 0, true, &process->pending, &process->nr_pending, err);
}

/* ---- from inside: remote calls in every thread -------------------------------------------- */

/* What remote calls write into the area of each thread; then come the answers about modes. */
struct task_answers {
	uint64_t altstack_sp;
	uint32_t altstack_flags, pad;
	uint64_t altstack_size;
	uint64_t clear_child_tid;
	int32_t pdeathsig;
	uint32_t pad2;
};
#define IN_AREA(member) (THUMP_AREA + offsetof(struct task_answers, member))

static const struct {
	const char *what;
	struct thump_remote_call call;
} own_calls[] = {
	{ "sigaltstack", { SYS_sigaltstack, { 0, IN_AREA(altstack_sp) } } },
	{ "prctl(PR_GET_TID_ADDRESS)",
	  { SYS_prctl, { PR_GET_TID_ADDRESS, IN_AREA(clear_child_tid) } } },
	{ "prctl(PR_GET_PDEATHSIG)", { SYS_prctl, { PR_GET_PDEATHSIG, IN_AREA(pdeathsig) } } },
	/* Only root reads it in /proc (proc(5), timerslack_ns). */
	{ "prctl(PR_GET_TIMERSLACK)", { SYS_prctl, { PR_GET_TIMERSLACK } } },
};
#define NR_OWN_CALLS	THUMP_ARRAY_SIZE(own_calls)
#define TIMERSLACK_CALL (NR_OWN_CALLS - 1)

static size_t offset_of_question(size_t which)
{
	return sizeof(struct task_answers) + which * sizeof(uint64_t);
}

static int take_task(struct thump_capture *cap, size_t index,
		     const struct thump_remote_calls *calls, struct thump_err *err)
{
	struct thump_task *task = &cap->model.tasks[index];
	const long *results = &calls->results[index * calls->count];
	const unsigned char *area =
		(const unsigned char *)calls->answers + index * calls->answer_bytes;
	struct task_answers answers;

	for (size_t i = 0; i < NR_OWN_CALLS; i++) {
		if (results[i] < 0)
			return thump_fail(err, "%s in the target: %s", own_calls[i].what,
					  strerrordesc_np((int)-results[i]));
	}
	memcpy(&answers, area, sizeof(answers));
	task->altstack_sp = answers.altstack_sp;
	task->altstack_size = answers.altstack_size;
	/* SS_ONSTACK is a fact about the stack pointer; sigaltstack(2) takes it for nothing. */
	task->altstack_flags = answers.altstack_flags & ~(uint32_t)SS_ONSTACK;
	task->clear_child_tid = answers.clear_child_tid;
	task->pdeathsig = answers.pdeathsig;
	task->timer_slack_ns = (uint64_t)results[TIMERSLACK_CALL];
	for (size_t i = 0; i < cap->nr_questions; i++) {
		uint64_t value;

		memcpy(&value, area + offset_of_question(i), sizeof(value));
		thump_capture_check_mode(cap, index, i, results[NR_OWN_CALLS + i], value);
	}
	return 0;
}

static int list_calls(struct thump_capture *cap, struct thump_remote_calls *calls_ret,
		      struct thump_err *err)
{
	const size_t nr_tasks = cap->model.nr_tasks, count = NR_OWN_CALLS + cap->nr_questions;
	const size_t answer_bytes = offset_of_question(cap->nr_questions);
	struct thump_remote_call *list = thump_arena_alloc(&cap->scratch, count, sizeof(*list));
	long *results = thump_arena_alloc(&cap->scratch, nr_tasks * count, sizeof(*results));
	void *answers = thump_arena_alloc(&cap->scratch, nr_tasks, answer_bytes);

	if (!list || !results || !answers)
		return thump_out_of_memory(err);
	for (size_t i = 0; i < NR_OWN_CALLS; i++)
		list[i] = own_calls[i].call;
	for (size_t i = 0; i < cap->nr_questions; i++)
		thump_capture_question(cap, i, offset_of_question(i), &list[NR_OWN_CALLS + i]);
	*calls_ret = (struct thump_remote_calls){
		.list = list,
		.count = count,
		.answer_bytes = answer_bytes,
		.results = results,
		.answers = answers,
	};
	return 0;
}

int thump_capture_remote_tasks(struct thump_capture *cap, struct thump_err *err)
{
	struct thump_remote_calls calls;

	if (list_calls(cap, &calls, err) < 0 ||
	    thump_remote_calls_in_all(cap->target, &calls, err) < 0)
		return -1;
	for (size_t i = 0; i < cap->model.nr_tasks; i++) {
		if (take_task(cap, i, &calls, err) < 0)
			return thump_add_context(err, "thread %d", cap->target->threads[i].tid);
	}
	return 0;
}
