/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a trained image says is hot. Nothing here changes content, so that nothing has to be right:
 * neither the table, nor what the kernel knows of such calls.
 *
 * Pages that are written to are made by the new process's own threads while others are created,
 * before the program runs: 1.4 us for each in a call for a range, where a fault that reads and one
 * that writes are 3.5 us, and come one by one in the first request. Pages that are only read are
 * not mapped beforehand: a fault maps 16 of them (fault_around_bytes in mm/memory.c), a populating
 * call looks at each. prefetch.c has both come from a disk, if the image is not in memory.
 */
#include <fcntl.h>

#include "rebuild/jobs.h"

static bool is_heeded(const struct thump_plan *plan)
{
	if (plan->options.train)
		return false;
	return plan->memory == THUMP_MEMORY_LAZY || plan->memory == THUMP_MEMORY_LAZY_UNSAFE;
}

/* What is private to the new process: touched elsewhere, holes of a file would become blocks. */
static bool is_private(const struct thump_vma *vma)
{
	return thump_vma_is_anonymous(vma) || vma->kind == THUMP_VMA_FILE_PRIVATE;
}

/* So much may be touched. Whoever restores a small image does not expect a big process. */
static uint64_t stored_bytes(const struct thump_model *model)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		for (uint32_t e = 0; e < model->vmas[i].nr_extents; e++)
			bytes += model->vmas[i].extents[e].end - model->vmas[i].extents[e].start;
	}
	return bytes;
}

/* The first range from *at to `end` that is hot and vouched for; *at moves behind it. */
static bool next_hot(const struct thump_model *model, uint64_t *at, uint64_t end,
		     struct thump_range *range_ret)
{
	const struct thump_hot *hot = &model->hot;
	struct thump_range part;

	while (thump_find_part(hot->written, hot->nr_written, *at, end, &part)) {
		if (thump_model_find_vouched(model, part.start, part.end, range_ret)) {
			*at = range_ret->end;
			return true;
		}
		*at = part.end;
	}
	return false;
}

/* Memory that is not vouched for is read anyway. */
uint64_t thump_hot_touches(const struct thump_plan *plan, struct thump_jobs *jobs)
{
	const struct thump_model *model = plan->model;
	uint64_t left = is_heeded(plan) ? stored_bytes(model) : 0, count = 0;

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];
		uint64_t at = is_private(vma) ? vma->start : vma->end;
		struct thump_range range;

		while (left && next_hot(model, &at, vma->end, &range)) {
			range.end = range.start + thump_min_u64(range.end - range.start, left);
			left -= range.end - range.start;
			count += thump_jobs_touches(range.end - range.start);
			if (jobs)
				thump_jobs_touch(jobs, &range);
		}
	}
	return count;
}

/* ---- to be trained ------------------------------------------------------------------------- */

/*
 * A fault maps 16 pages around what was touched, as far as they are in memory, and a fault that
 * reads from a disk brings megabytes of neighbours there (do_sync_mmap_readahead() in
 * mm/filemap.c). So that only what is touched is seen, nothing of the image is in memory but what
 * others have mapped, and MADV_RANDOM (memory.c) has faults read single pages.
 */
void thump_hot_forget(const struct thump_plan *plan)
{
	const int fd = thump_image_fd(plan->image);

	if (!plan->options.train)
		return;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
}
