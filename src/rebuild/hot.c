/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a trained image says is hot. Nothing here changes content, so that nothing has to be right:
 * neither the table, nor what the kernel knows of such calls.
 *
 * Pages that are written to are made by the new process's own threads while others are created,
 * before the program runs: 1.4 us for each in a call for a range, where a fault that reads and one
 * that writes are 3.5 us, and come one by one in the first request. Pages that are only read are
 * not mapped beforehand: a fault maps 16 of them (fault_around_bytes in mm/memory.c), a populating
 * call looks at each. They are read ahead from a disk, if the image is not in memory.
 */
#include <fcntl.h>
#include <sys/uio.h>

#include "rebuild/jobs.h"

/* So many places of the image are asked whether they are in memory. */
#define NR_PROBES 8u

static bool maps_image(const struct thump_plan *plan)
{
	return plan->memory == THUMP_MEMORY_LAZY || plan->memory == THUMP_MEMORY_LAZY_UNSAFE;
}

/* Memory that is not vouched for is read anyway. */
void thump_hot_touches(const struct thump_plan *plan, struct thump_jobs *jobs)
{
	const struct thump_hot *hot = &plan->model->hot;

	for (uint32_t i = 0; maps_image(plan) && i < hot->nr_written; i++) {
		const struct thump_range *range = &hot->written[i];
		struct thump_range part = { .end = range->start };

		while (thump_model_find_vouched(plan->model, part.end, range->end, &part))
			thump_jobs_touch(jobs, &part);
	}
}

/* ---- from a disk --------------------------------------------------------------------------- */

static void read_ahead_extent(int fd, const struct thump_extent *extent,
			      const struct thump_range *ranges, uint32_t count)
{
	struct thump_range part = { .end = extent->start };

	while (thump_find_part(ranges, count, part.end, extent->end, &part))
		(void)posix_fadvise(fd, (off_t)(extent->file_offset + (part.start - extent->start)),
				    (off_t)(part.end - part.start), POSIX_FADV_WILLNEED);
}

/* Asks for what it lies on, without waiting for it (preadv2(2), RWF_NOWAIT). */
static bool is_in_memory(int fd, uint64_t offset)
{
	char byte;
	struct iovec iov = { &byte, sizeof(byte) };

	return preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT) >= 0 || errno != EAGAIN;
}

static bool is_cold(const struct thump_plan *plan)
{
	const uint64_t content = thump_image_parts(plan->image).backings;
	const int fd = thump_image_fd(plan->image);

	for (uint64_t i = 0; i < NR_PROBES; i++) {
		if (!is_in_memory(fd, content / NR_PROBES * i))
			return true;
	}
	return false;
}

void thump_hot_read_ahead(const struct thump_plan *plan)
{
	const struct thump_model *model = plan->model;
	const struct thump_hot *hot = &model->hot;
	const int fd = thump_image_fd(plan->image);

	if (!maps_image(plan) || (!hot->nr_read && !hot->nr_written) || !is_cold(plan))
		return;
	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		for (uint32_t e = 0; e < model->vmas[i].nr_extents; e++) {
			const struct thump_extent *extent = &model->vmas[i].extents[e];

			read_ahead_extent(fd, extent, hot->written, hot->nr_written);
			read_ahead_extent(fd, extent, hot->read, hot->nr_read);
		}
	}
}
