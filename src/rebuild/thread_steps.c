/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that each thread runs for itself, after all memory is filled: rseq(2), for one, writes to
 * the thread's memory at once. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "rebuild/plan.h"

#ifndef SYS_rseq
#define SYS_rseq 334
#endif

#define IOPRIO_WHO_PROCESS 1

/* Some wait for a disk. More of them only take the processors from each other, and whoever has the
 * last job waits for a turn. */
#define READERS_PER_PROCESSOR 2u

/* sched_setattr(2); linux/sched/types.h does not go with sched.h. */
struct sched_attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

struct thump_inherited thump_inherited_of_us(void)
{
	struct thump_inherited own = { .sched_policy = UINT32_MAX }; /* unknown: never equal */
	struct sched_attributes attr = { .size = sizeof(attr) };

	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) == 0) {
		own.sched_policy = attr.policy;
		own.sched_flags = attr.flags;
		own.nice = attr.nice;
		own.priority = attr.priority;
	}
	(void)sched_getaffinity(0, sizeof(own.affinity), (cpu_set_t *)own.affinity);
	own.ioprio = (int32_t)syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
	own.timer_slack_ns = (uint64_t)prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
	return own;
}

static void step_sched(const struct thump_inherited *own, const struct thump_task *task,
		       struct thump_region *region)
{
	struct sched_attributes attr = {
		.size = sizeof(attr),
		.policy = (uint32_t)task->sched_policy,
		.flags = task->sched_flags,
		.nice = task->nice,
		.priority = (uint32_t)task->sched_priority,
	};
	struct thump_step *step;

	if (attr.policy == own->sched_policy && attr.nice == own->nice &&
	    attr.priority == own->priority && attr.flags == own->sched_flags)
		return;
	step = THUMP_STEP(region, THUMP_WHAT_SCHED, SYS_sched_setattr, 0,
			  thump_region_put(region, &attr, sizeof(attr)), 0);
	/* Asking for more than we have is up to RLIMIT_NICE and RLIMIT_RTPRIO; the plan warned. */
	if (attr.priority || attr.nice < own->nice)
		thump_step_try(step);
}

/*
 * The mask belongs to the machine as much as to the program. It is set where it means something:
 * when it was taken since this boot, or when the threads' masks differ from each other.
 */
static bool affinity_matters(const struct thump_model *model, bool same_boot)
{
	const struct thump_task *first = &model->tasks[0];

	for (uint32_t i = 1; i < model->nr_tasks && first->nr_affinity_words; i++) {
		const struct thump_task *task = &model->tasks[i];

		if (task->nr_affinity_words != first->nr_affinity_words ||
		    memcmp(task->affinity, first->affinity,
			   first->nr_affinity_words * sizeof(*first->affinity)) != 0)
			return true;
	}
	return same_boot;
}

uint32_t thump_own_processors(const struct thump_plan *plan)
{
	uint32_t nr_processors = 0;

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(plan->inherited.affinity); i++)
		nr_processors += (uint32_t)__builtin_popcountll(plan->inherited.affinity[i]);
	return nr_processors;
}

bool thump_affinity_restricts(const struct thump_plan *plan, const struct thump_task *task)
{
	bool common = false, restricted = false;

	for (uint32_t i = 0; i < THUMP_ARRAY_SIZE(plan->inherited.affinity); i++) {
		uint64_t ours = plan->inherited.affinity[i];
		uint64_t wanted = i < task->nr_affinity_words ? task->affinity[i] : 0;

		common |= (wanted & ours) != 0;
		restricted |= (ours & ~wanted) != 0;
	}
	/* Where none of its processors is left it runs on all of ours. */
	return common && restricted;
}

static void step_affinity(const struct thump_plan *plan, const struct thump_task *task,
			  struct thump_region *region)
{
	size_t size_bytes = task->nr_affinity_words * sizeof(*task->affinity);

	if (!plan->affinity_matters || !thump_affinity_restricts(plan, task))
		return;
	thump_step_try(THUMP_STEP(region, THUMP_WHAT_AFFINITY, SYS_sched_setaffinity, 0, size_bytes,
				  thump_region_put(region, task->affinity, size_bytes)));
}

static void step_altstack(const struct thump_task *task, struct thump_region *region)
{
	/* SS_ONSTACK follows from the stack pointer; SS_AUTODISARM is a flag of the thread. */
	stack_t stack = {
		.ss_sp = (void *)(uintptr_t)task->altstack_sp,
		.ss_flags = (int)(task->altstack_flags & ~(uint32_t)SS_ONSTACK),
		.ss_size = task->altstack_size,
	};

	if (task->altstack_size == 0 || task->altstack_flags & SS_DISABLE)
		return;
	(void)THUMP_STEP(region, THUMP_WHAT_ALTSTACK, SYS_sigaltstack,
			 thump_region_put(region, &stack, sizeof(stack)), 0);
}

static void step_registrations(const struct thump_task *task, struct thump_region *region)
{
	if (task->clear_child_tid)
		(void)THUMP_STEP(region, THUMP_WHAT_TID_ADDRESS, SYS_set_tid_address,
				 task->clear_child_tid);
	if (task->robust_list)
		(void)THUMP_STEP(region, THUMP_WHAT_ROBUST_LIST, SYS_set_robust_list,
				 task->robust_list, task->robust_list_len);
	step_altstack(task, region);
	if (task->rseq_addr)
		(void)THUMP_STEP(region, THUMP_WHAT_RSEQ, SYS_rseq, task->rseq_addr, task->rseq_len,
				 0, task->rseq_sig);
}

void thump_thread_steps(const struct thump_plan *plan, const struct thump_task *task,
			struct thump_region *region)
{
	const struct thump_task *leader = &plan->model->tasks[0];
	const struct thump_inherited *own = &plan->inherited;
	const uint32_t personality = plan->model->process.personality;

	step_registrations(task, region);
	/* The leader had its name before the others were made. */
	if (memcmp(task->comm, leader->comm, sizeof(task->comm)) != 0)
		(void)THUMP_STEP(region, THUMP_WHAT_NAME_THREAD, SYS_prctl, PR_SET_NAME,
				 thump_region_put(region, task->comm, sizeof(task->comm)));
	/* After the mappings and their protections, which it would change. */
	if (personality & READ_IMPLIES_EXEC)
		(void)THUMP_STEP(region, THUMP_WHAT_PERSONALITY, SYS_personality, personality);
	step_sched(own, task, region);
	if (task->ioprio != own->ioprio)
		thump_step_try(THUMP_STEP(region, THUMP_WHAT_IOPRIO, SYS_ioprio_set,
					  IOPRIO_WHO_PROCESS, 0, (uint64_t)task->ioprio));
	if (task->timer_slack_ns && task->timer_slack_ns != own->timer_slack_ns)
		(void)THUMP_STEP(region, THUMP_WHAT_TIMER_SLACK, SYS_prctl, PR_SET_TIMERSLACK,
				 task->timer_slack_ns);
	step_affinity(plan, task, region);
	for (uint32_t i = 0; i < task->nr_pending; i++)
		thump_step_queue(region, &task->pending[i], true);
}

void thump_caps_steps(const struct thump_task *task, const struct thump_plan *plan,
		      const struct thump_caps *caps, struct thump_region *region)
{
	const struct thump_capset set = thump_caps_encode(caps);

	if (plan->set_caps) {
		thump_step_try(THUMP_STEP(region, THUMP_WHAT_DROP_AMBIENT, SYS_prctl,
					  PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL));
		(void)THUMP_STEP(region, THUMP_WHAT_SET_CAPS, SYS_capset,
				 thump_region_put(region, &set.header, sizeof(set.header)),
				 thump_region_put(region, set.data, sizeof(set.data)));
	}
	for (unsigned cap = 0; cap < 64; cap++) {
		if (caps->ambient & THUMP_CAP_BIT(cap))
			(void)THUMP_STEP(region, THUMP_WHAT_RAISE_AMBIENT, SYS_prctl,
					 PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap);
	}
	/* Changing credentials clears it, so it comes last; a detached program has no parent. */
	if (task->pdeathsig && !plan->options.detach)
		(void)THUMP_STEP(region, THUMP_WHAT_PDEATHSIG, SYS_prctl, PR_SET_PDEATHSIG,
				 (uint64_t)task->pdeathsig);
}

/* ---- all threads but the leader ------------------------------------------------------------ */

struct creation {
	const struct thump_task *task;
	int64_t order;
};

static int compare_creations(const void *a, const void *b)
{
	const struct creation *x = a, *y = b;

	return x->order < y->order ? -1 : x->order > y->order;
}

/* Spinning reaches tids in ascending order from the leader's on; those below it come after the
 * kernel has begun again. */
static struct creation *order_of_creation(const struct thump_model *model)
{
	struct creation *list = calloc(model->nr_tasks, sizeof(*list));

	for (uint32_t i = 1; list && i < model->nr_tasks; i++) {
		const struct thump_task *task = &model->tasks[i];
		int64_t distance = (int64_t)task->tid - model->tasks[0].tid;

		list[i - 1] = (struct creation){
			.task = task,
			.order = distance > 0 ? distance : distance + ((int64_t)1 << 32),
		};
	}
	if (list)
		qsort(list, model->nr_tasks - 1, sizeof(*list), compare_creations);
	return list;
}

static uint64_t stack_top(struct thump_region *region)
{
	uint64_t addr;

	(void)thump_region_alloc(region, THUMP_BLOB_STACK_SIZE, &addr);
	return addr + THUMP_BLOB_STACK_SIZE;
}

int thump_threads_describe(struct thump_plan *plan, const struct thump_caps *caps,
			   uint32_t nr_helpers, struct thump_region *region, struct thump_err *err)
{
	const struct thump_model *model = plan->model;
	auto_free struct creation *order = order_of_creation(model);
	uint32_t nr_threads = plan->options.part == THUMP_PART_TEMPLATE ? 0 : model->nr_tasks - 1;
	struct thump_blob_thread *threads;

	if (!order)
		return thump_fail_errno(err, "memory for %u threads", model->nr_tasks);
	plan->affinity_matters = affinity_matters(model, plan->same_boot);
	threads = thump_region_alloc(region, (nr_threads + nr_helpers + 1) * sizeof(*threads),
				     &region->blob->threads);
	if (!threads)
		return thump_region_check(region, err);
	region->blob->nr_threads = nr_threads;
	region->blob->nr_readers = (uint32_t)thump_min_u64(
		nr_threads, (uint64_t)READERS_PER_PROCESSOR * thump_own_processors(plan));
	region->blob->nr_helpers = nr_helpers;
	region->blob->stack_top = stack_top(region);
	region->blob->spinner_stack_top = stack_top(region);
	for (uint32_t i = 0; i < nr_threads + nr_helpers; i++)
		threads[i].stack_top = stack_top(region);
	for (uint32_t i = 0; i < nr_threads; i++) {
		threads[i].wanted_tid = order[i].task->tid;
		threads[i].first_step = region->nr_steps;
		thump_thread_steps(plan, order[i].task, region);
		thump_caps_steps(order[i].task, plan, caps, region);
		threads[i].nr_steps = region->nr_steps - threads[i].first_step;
	}
	return 0;
}
