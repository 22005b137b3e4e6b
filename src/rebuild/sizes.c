/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this place large enough? What is read at once must fit into the control group's memory, or the
 * kernel ends the new process in the middle. What a runtime has set itself up for is only said: it
 * cannot be changed any more.
 */
#include <inttypes.h>

#include "proc/cgroup.h"
#include "rebuild/plan.h"

/* Less than this fits everywhere, and looking takes longer than reading it. */
#define WORTH_A_LOOK_BYTES ((uint64_t)32 << 20)
#define MB		   1000000

/* How much of a range may be mapped from the image, page by page as it is used. */
static uint64_t vouched_bytes(const struct thump_model *model, const struct thump_extent *extent)
{
	struct thump_range part = { .end = extent->start };
	uint64_t total = 0;

	while (thump_model_find_vouched(model, part.end, extent->end, &part))
		total += part.end - part.start;
	return total;
}

/* What a restore puts at once into memory that only the new process has. */
static uint64_t private_bytes(const struct thump_plan *plan)
{
	const struct thump_model *model = plan->model;
	uint64_t total = 0;

	if (plan->memory == THUMP_MEMORY_LAZY_UNSAFE)
		return 0;
	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		for (uint32_t k = 0; k < model->vmas[i].nr_extents; k++) {
			const struct thump_extent *extent = &model->vmas[i].extents[k];

			total += extent->end - extent->start;
			if (plan->memory == THUMP_MEMORY_LAZY)
				total -= vouched_bytes(model, extent);
		}
	}
	return total;
}

static void check_limit(const struct thump_plan *plan, struct thump_problems *problems)
{
	const struct thump_runtime *runtime = &plan->model->process.runtime;
	const uint64_t needed = private_bytes(plan);
	uint64_t limit;

	if (needed < WORTH_A_LOOK_BYTES && runtime->heap_max_bytes < WORTH_A_LOOK_BYTES)
		return;
	limit = thump_cgroup_own_limit("memory", "memory.max", "memory.limit_in_bytes");
	if (needed > limit)
		thump_problem_add(problems, false, -1, "memory-limit",
				  "%" PRIu64 " MB are read into memory at once, and the control "
				  "group allows %" PRIu64 " MB",
				  needed / MB, limit / MB);
	else if (runtime->heap_max_bytes > limit)
		thump_problem_add(problems, true, -1, "heap-limit",
				  "the heap of %s has %" PRIu64 " MB and may grow to %" PRIu64
				  " MB, and the control group allows %" PRIu64
				  " MB: give the program less before the checkpoint (-Xmx)",
				  runtime->name, runtime->heap_bytes / MB,
				  runtime->heap_max_bytes / MB, limit / MB);
}

static void check_processors(const struct thump_plan *plan, struct thump_problems *problems)
{
	const struct thump_runtime *runtime = &plan->model->process.runtime;
	uint64_t here;

	if (!runtime->processors)
		return;
	here = thump_min_u64(thump_own_processors(plan), thump_cgroup_own_processors());
	if (here == runtime->processors)
		return;
	thump_problem_add(
		problems, true, -1, "processors",
		"%s has set itself up for %u processor%s, and may use %" PRIu64 " here: the number "
		"of its own threads (collector, compilers) stays",
		runtime->name, runtime->processors, runtime->processors == 1 ? "" : "s", here);
}

void thump_check_sizes(const struct thump_plan *plan, struct thump_problems *problems)
{
	check_limit(plan, problems);
	check_processors(plan, problems);
}
