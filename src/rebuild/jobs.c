/* SPDX-License-Identifier: Apache-2.0 */
#include "rebuild/jobs.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

/* Small enough that threads share the work evenly, big enough that a call costs nothing. */
#define JOB_BYTES      ((uint64_t)1 << 20)
#define HUGE_JOB_BYTES (2 * THUMP_HUGE_PAGE_SIZE)
#define JOB_IOVS       ((uint32_t)IOV_MAX)

void thump_jobs_deinit(struct thump_jobs *jobs)
{
	thump_free_ptr(&jobs->segments);
	jobs->count = jobs->room = 0;
}

static void add_segment(struct thump_jobs *jobs, uint64_t addr, uint64_t size_bytes,
			uint64_t file_offset, bool huge)
{
	if (size_bytes == 0)
		return;
	if (jobs->count == jobs->room) {
		size_t room = jobs->room ? 2 * jobs->room : 256;
		struct thump_segment *grown =
			reallocarray(jobs->segments, room, sizeof(*jobs->segments));

		if (!grown) {
			jobs->failed = true;
			return;
		}
		jobs->segments = grown;
		jobs->room = room;
	}
	jobs->segments[jobs->count++] = (struct thump_segment){
		.addr = addr,
		.size_bytes = size_bytes,
		.file_offset = file_offset,
		.huge = huge,
	};
	jobs->total_bytes += size_bytes;
}

void thump_jobs_add(struct thump_jobs *jobs, uint64_t addr, uint64_t size_bytes,
		    uint64_t file_offset, bool may_be_huge)
{
	uint64_t huge_start =
		(addr + THUMP_HUGE_PAGE_SIZE - 1) & ~(uint64_t)(THUMP_HUGE_PAGE_SIZE - 1);
	uint64_t huge_end = (addr + size_bytes) & ~(uint64_t)(THUMP_HUGE_PAGE_SIZE - 1);

	if (!may_be_huge || huge_start >= huge_end) {
		add_segment(jobs, addr, size_bytes, file_offset, false);
		return;
	}
	add_segment(jobs, addr, huge_start - addr, file_offset, false);
	add_segment(jobs, huge_start, huge_end - huge_start, file_offset + (huge_start - addr),
		    true);
	add_segment(jobs, huge_end, addr + size_bytes - huge_end, file_offset + (huge_end - addr),
		    false);
}

/* ---- writing ------------------------------------------------------------------------------ */

struct writer {
	struct thump_read_job *jobs;
	uint32_t nr_jobs;
	struct iovec *iovs;
	uint64_t iovs_addr;
	uint32_t nr_iovs;
};

static uint64_t piece_of(const struct thump_segment *segment)
{
	return segment->huge ? HUGE_JOB_BYTES : JOB_BYTES;
}

static bool fits_last(const struct writer *w, uint64_t file_offset, bool huge)
{
	const struct thump_read_job *last = &w->jobs[w->nr_jobs ? w->nr_jobs - 1 : 0];

	return w->nr_jobs > 0 && !huge && !(last->flags & THUMP_READ_HUGE) &&
	       last->file_offset + last->size_bytes == file_offset &&
	       last->size_bytes < JOB_BYTES && last->nr_iov < JOB_IOVS;
}

static void write_piece(struct writer *w, uint64_t addr, uint64_t size_bytes, uint64_t file_offset,
			bool huge)
{
	struct thump_read_job *job;

	if (!fits_last(w, file_offset, huge)) {
		w->jobs[w->nr_jobs++] = (struct thump_read_job){
			.iov = w->iovs_addr + w->nr_iovs * sizeof(*w->iovs),
			.file_offset = file_offset,
			.fd_slot = thump_slot_image(),
			.flags = huge ? THUMP_READ_HUGE : THUMP_READ_POPULATE,
		};
	}
	job = &w->jobs[w->nr_jobs - 1];
	job->nr_iov++;
	job->size_bytes += size_bytes;
	w->iovs[w->nr_iovs++] =
		(struct iovec){ .iov_base = (void *)(uintptr_t)addr, .iov_len = size_bytes };
}

static size_t count_pieces(const struct thump_jobs *jobs)
{
	size_t count = 0;

	for (size_t i = 0; i < jobs->count; i++)
		count += jobs->segments[i].size_bytes / piece_of(&jobs->segments[i]) + 1;
	return count;
}

int thump_jobs_write(const struct thump_jobs *jobs, struct thump_region *region,
		     struct thump_err *err)
{
	size_t nr_pieces = count_pieces(jobs);
	struct writer w = { 0 };

	if (jobs->failed)
		return thump_fail(err, "no memory for %zu ranges to be read", jobs->count);
	w.jobs = thump_region_alloc(region, nr_pieces * sizeof(*w.jobs), &region->blob->jobs);
	w.iovs = thump_region_alloc(region, nr_pieces * sizeof(*w.iovs), &w.iovs_addr);
	if (thump_region_check(region, err) < 0)
		return -1;
	for (size_t i = 0; i < jobs->count; i++) {
		const struct thump_segment *segment = &jobs->segments[i];
		uint64_t piece = piece_of(segment);

		for (uint64_t at = 0; at < segment->size_bytes; at += piece)
			write_piece(&w, segment->addr + at,
				    thump_min_u64(piece, segment->size_bytes - at),
				    segment->file_offset + at, segment->huge);
	}
	region->blob->nr_jobs = w.nr_jobs;
	return 0;
}

/* ---- ranges of the file --------------------------------------------------------------------- */

static int compare_ranges(const void *a, const void *b)
{
	const struct thump_file_range *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

int thump_jobs_ranges(const struct thump_jobs *jobs, struct thump_file_range **ranges_ret,
		      size_t *count_ret, struct thump_err *err)
{
	struct thump_file_range *ranges = calloc(jobs->count + 1, sizeof(*ranges));
	size_t count = 0;

	if (!ranges)
		return thump_fail_errno(err, "memory for %zu ranges", jobs->count);
	for (size_t i = 0; i < jobs->count; i++)
		ranges[i] = (struct thump_file_range){ jobs->segments[i].file_offset,
						       jobs->segments[i].size_bytes };
	qsort(ranges, jobs->count, sizeof(*ranges), compare_ranges);
	for (size_t i = 0; i < jobs->count; i++) {
		struct thump_file_range *last = &ranges[count ? count - 1 : 0];
		uint64_t end = ranges[i].offset + ranges[i].size_bytes;

		if (count == 0 || ranges[i].offset > last->offset + last->size_bytes)
			ranges[count++] = ranges[i];
		else if (end > last->offset + last->size_bytes)
			last->size_bytes = end - last->offset;
	}
	*ranges_ret = ranges;
	*count_ret = count;
	return 0;
}
