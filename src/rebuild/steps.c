/* SPDX-License-Identifier: Apache-2.0 */
/* The whole step list; the order of its parts is what abi.h and plan.h promise. */
#include <fcntl.h>

#include "rebuild/jobs.h"
#include "rebuild/spare.h"
#include "rebuild/spin.h"

/* Fewer bytes than this for each helper are read before it has started. */
#define HELPER_BYTES ((uint64_t)8 << 20)
#define MAX_HELPERS  8u

/* Counted generously; steps_test.c holds it against what is used. */
#define STEPS_PER_VMA	 16
#define STEPS_PER_THREAD 80
#define STEPS_PER_TIMER	 2
#define STEPS_OF_PROCESS 200
#define POOL_PER_THREAD	 ((size_t)THUMP_BLOB_STACK_SIZE + 1024)
#define POOL_OF_PROCESS	 ((size_t)64 << 10)

static size_t count_extents(const struct thump_model *model)
{
	size_t count = 0;

	for (uint32_t i = 0; i < model->nr_vmas; i++)
		count += model->vmas[i].nr_extents;
	return count;
}

static size_t pool_of_thread(const struct thump_task *task)
{
	return POOL_PER_THREAD + task->nr_pending * sizeof(struct thump_siginfo) +
	       task->nr_affinity_words * sizeof(*task->affinity);
}

/* Reserved memory has none. */
static uint64_t count_pieces(const struct thump_model *model)
{
	uint64_t pieces = 0;

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];

		for (uint32_t e = 0; e < vma->nr_extents; e++)
			pieces += thump_jobs_pieces(vma->extents[e].end - vma->extents[e].start);
	}
	for (uint32_t i = 0; i < model->nr_backings; i++) {
		const struct thump_backing *backing = &model->backings[i];

		for (uint32_t e = 0; e < backing->nr_extents; e++)
			pieces += thump_jobs_pieces(backing->extents[e].end -
						    backing->extents[e].start);
	}
	return pieces;
}

struct thump_region_needs thump_region_needs(const struct thump_plan *plan)
{
	const struct thump_model *model = plan->model;
	struct thump_region_needs needs = { .nr_fds = thump_nr_slots(model) };
	needs.nr_steps = STEPS_OF_PROCESS + (size_t)STEPS_PER_VMA * model->nr_vmas +
			 (plan->options.train ? 2 : 1) * count_extents(model) +
			 (size_t)STEPS_PER_THREAD * model->nr_tasks +
			 (size_t)STEPS_PER_TIMER * model->nr_timers + 2 * (size_t)model->nr_fds +
			 plan->rb.nr_late_locks + 2 * plan->rb.nr_late_owners +
			 3 * plan->rb.nr_late_opens + model->process.nr_pending;
	needs.pool_bytes = POOL_OF_PROCESS + model->mm.auxv_size +
			   thump_max_handed_over(model) * sizeof(int32_t) +
			   (sizeof(struct thump_read_job) + sizeof(struct iovec)) *
				   (count_pieces(model) + thump_hot_touches(plan, NULL)) +
			   128 * (size_t)model->nr_vmas + 128 * (size_t)model->nr_timers +
			   sizeof(struct flock) * plan->rb.nr_late_locks +
			   sizeof(uint64_t) * plan->rb.nr_late_owners +
			   (size_t)(THUMP_OWN_PROC_MAX_BYTES + 32) * plan->rb.nr_late_opens +
			   (size_t)model->process.nr_pending * sizeof(struct thump_siginfo) +
			   (plan->options.spare ? thump_spare_bytes(model) : 0) +
			   MAX_HELPERS * POOL_PER_THREAD;
	for (uint32_t i = 0; i < model->nr_tasks; i++) {
		needs.pool_bytes += pool_of_thread(&model->tasks[i]);
		needs.nr_steps += model->tasks[i].nr_pending;
	}
	return needs;
}

static uint32_t count_helpers(const struct thump_plan *plan, uint64_t eager_bytes)
{
	uint64_t useful = eager_bytes / HELPER_BYTES;
	uint32_t nr_threads = plan->model->nr_tasks, nr_cpus = thump_own_processors(plan);

	if (nr_cpus <= nr_threads)
		return 0;
	return (uint32_t)thump_min_u64(thump_min_u64(nr_cpus - nr_threads, useful), MAX_HELPERS);
}

static enum thump_tid_way blob_tid_way(enum thump_pid_way way)
{
	if (way == THUMP_WAY_SET_TID)
		return THUMP_TID_SET;
	return way == THUMP_WAY_SPIN ? THUMP_TID_SPIN : THUMP_TID_ANY;
}

/* What threads inherit, or what costs less while there are none. */
static void write_early(const struct thump_plan *plan, const struct thump_caps *caps,
			struct thump_region *region)
{
	if (plan->options.part == THUMP_PART_TEMPLATE)
		return;
	if (plan->options.part == THUMP_PART_CLONE)
		thump_clone_setup(plan, caps, region);
	thump_process_setup(plan, region);
}

/* What follows the mappings. */
static void write_setup(const struct thump_plan *plan, struct thump_jobs *jobs,
			struct thump_region *region)
{
	thump_hot_forget(plan);
	if (plan->options.part != THUMP_PART_CLONE)
		thump_bridge_steps(plan, region);
	/* In a template these pages would be copied by every fork, and again when written to. */
	if (plan->options.part != THUMP_PART_TEMPLATE)
		(void)thump_hot_touches(plan, jobs);
}

static void write_finish(const struct thump_plan *plan, const struct thump_caps *caps,
			 struct thump_region *region)
{
	const struct thump_task *leader = &plan->model->tasks[0];

	if (plan->options.part == THUMP_PART_TEMPLATE) {
		thump_template_finish(plan, region);
		return;
	}
	thump_process_finish(plan, region);
	thump_thread_steps(plan, leader, region);
	thump_process_last(plan, region);
	thump_caps_steps(leader, plan, caps, region);
}

int thump_write_steps(struct thump_plan *plan, enum thump_pid_way tid_way,
		      const struct thump_caps *caps, struct thump_jobs *jobs,
		      struct thump_region *region, struct thump_err *err)
{
	struct thump_blob_data *blob = region->blob;
	struct thump_memory *memory;

	blob->abi = THUMP_BLOB_ABI;
	blob->tid_way = blob_tid_way(tid_way);
	blob->spin_limit =
		plan->options.spin_limit ? plan->options.spin_limit : THUMP_DEFAULT_SPIN_LIMIT;
	blob->fds = region->addr + (uint64_t)((unsigned char *)region->fds - region->bytes);

	blob->first_setup_step = region->nr_steps;
	if (thump_memory_steps(plan, region, &plan->arena, jobs, &memory, err) < 0)
		return -1;
	write_setup(plan, jobs, region);
	blob->nr_setup_steps = region->nr_steps - blob->first_setup_step;

	/* Behind them: thump_layout_steps() puts something before the others. */
	blob->first_early_step = region->nr_steps;
	write_early(plan, caps, region);
	blob->nr_early_steps = region->nr_steps - blob->first_early_step;

	if (thump_threads_describe(plan, caps, count_helpers(plan, jobs->total_bytes), region,
				   err) < 0)
		return -1;

	blob->first_finish_step = region->nr_steps;
	thump_memory_finish(memory, region);
	write_finish(plan, caps, region);
	blob->nr_finish_steps = region->nr_steps - blob->first_finish_step;

	if (thump_jobs_write(jobs, region, err) < 0)
		return -1;
	if (plan->options.spare)
		thump_region_reserve(region, thump_spare_bytes(plan->model));
	thump_region_close(region);
	return thump_region_check(region, err);
}
