/* SPDX-License-Identifier: Apache-2.0 */
#include "rebuild/jobs.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

/* Small enough that threads share the work evenly, big enough that a call costs nothing. */
#define JOB_BYTES      ((uint64_t)1 << 20)
#define HUGE_JOB_BYTES (2 * THUMP_HUGE_PAGE_SIZE)
/* From so much content on it is worth a huge page: heaps of JVMs are regions of 1 MiB and more with
 * some free pages at the end of each. */
#define DENSE_BYTES (THUMP_HUGE_PAGE_SIZE / 8 * 7)
#define JOB_IOVS    ((uint32_t)IOV_MAX)

void thump_jobs_deinit(struct thump_jobs *jobs)
{
	thump_free_ptr(&jobs->segments);
	thump_free_ptr(&jobs->touches);
	jobs->count = jobs->room = jobs->nr_touches = jobs->room_touches = 0;
}

/* Room for one more element of an array that doubles. */
static bool grow(void **array, size_t count, size_t *room, size_t size_bytes)
{
	size_t bigger = *room ? 2 * *room : 256;
	void *grown;

	if (count < *room)
		return true;
	grown = reallocarray(*array, bigger, size_bytes);
	if (!grown)
		return false;
	*array = grown;
	*room = bigger;
	return true;
}

void thump_jobs_add(struct thump_jobs *jobs, uint64_t addr, uint64_t size_bytes,
		    uint64_t file_offset, const struct thump_range *room)
{
	if (size_bytes == 0)
		return;
	if (!grow((void **)&jobs->segments, jobs->count, &jobs->room, sizeof(*jobs->segments))) {
		jobs->failed = true;
		return;
	}
	jobs->segments[jobs->count++] = (struct thump_segment){
		.addr = addr,
		.size_bytes = size_bytes,
		.file_offset = file_offset,
		.room = room ? *room : (struct thump_range){ 0 },
	};
	jobs->total_bytes += size_bytes;
}

/* In pieces, so that threads share them. */
void thump_jobs_touch(struct thump_jobs *jobs, const struct thump_range *range)
{
	uint64_t end;

	for (uint64_t at = range->start; at < range->end; at = end) {
		end = thump_min_u64(range->end, at + THUMP_TOUCH_BYTES);
		if (!grow((void **)&jobs->touches, jobs->nr_touches, &jobs->room_touches,
			  sizeof(*jobs->touches))) {
			jobs->failed = true;
			return;
		}
		jobs->touches[jobs->nr_touches++] = (struct thump_range){ at, end };
	}
}

/* ---- writing ------------------------------------------------------------------------------ */

struct writer {
	const struct thump_jobs *list;
	struct thump_read_job *jobs;
	uint32_t nr_jobs;
	struct iovec *iovs;
	uint64_t iovs_addr;
	uint32_t nr_iovs;
	uint64_t block; /* the last one looked at; no block has address 1 */
	bool dense;	/* it becomes a huge page */
};

static uint64_t block_of(uint64_t addr)
{
	return addr & ~(THUMP_HUGE_PAGE_SIZE - 1);
}

static bool same_room(const struct thump_segment *a, const struct thump_segment *b)
{
	return a->room.start == b->room.start && a->room.end == b->room.end;
}

/*
 * Is a block of the size of a huge page nearly full? Its content begins in segment `index` and must
 * be one range of the file. What lies between is zero in a huge page, as it would be without.
 */
static bool is_dense(const struct thump_jobs *list, size_t index, uint64_t block)
{
	const struct thump_segment *first = &list->segments[index], *segment;
	uint64_t end = block + THUMP_HUGE_PAGE_SIZE, content = 0, offset = 0;

	if (list->total_bytes < list->huge_from_bytes || block < first->room.start ||
	    end > first->room.end)
		return false;
	for (size_t i = index; i < list->count; i++) {
		segment = &list->segments[i];
		if (segment->addr >= end || !same_room(segment, first))
			break;
		if (i > index && segment->file_offset != offset)
			return false;
		content += thump_min_u64(segment->addr + segment->size_bytes, end) -
			   (segment->addr > block ? segment->addr : block);
		offset = segment->file_offset + segment->size_bytes;
	}
	return content >= DENSE_BYTES;
}

/* Does this piece of a dense block belong to the last job? */
static bool fits_huge(const struct thump_read_job *last, uint64_t block)
{
	if (!(last->flags & THUMP_READ_HUGE))
		return false;
	return block + THUMP_HUGE_PAGE_SIZE == last->huge_end ||
	       (block == last->huge_end && block - last->huge_start < HUGE_JOB_BYTES);
}

static bool fits_last(const struct writer *w, uint64_t file_offset)
{
	const struct thump_read_job *last = &w->jobs[w->nr_jobs ? w->nr_jobs - 1 : 0];

	if (w->nr_jobs == 0 || last->file_offset + last->size_bytes != file_offset ||
	    last->nr_iov == JOB_IOVS)
		return false;
	if (w->dense)
		return fits_huge(last, w->block);
	return !(last->flags & THUMP_READ_HUGE) && last->size_bytes < JOB_BYTES;
}

static void write_piece(struct writer *w, uint64_t addr, uint64_t size_bytes, uint64_t file_offset)
{
	struct thump_read_job *job;

	if (!fits_last(w, file_offset)) {
		w->jobs[w->nr_jobs++] = (struct thump_read_job){
			.iov = w->iovs_addr + w->nr_iovs * sizeof(*w->iovs),
			.file_offset = file_offset,
			.fd_slot = thump_slot_image(),
			.flags = (w->dense ? THUMP_READ_HUGE : THUMP_READ_POPULATE) |
				 (w->list->filled ? THUMP_ONLY_PREPARE : 0),
			.huge_start = w->dense ? w->block : 0,
		};
	}
	job = &w->jobs[w->nr_jobs - 1];
	job->nr_iov++;
	job->size_bytes += size_bytes;
	job->huge_end = w->dense ? w->block + THUMP_HUGE_PAGE_SIZE : 0;
	w->iovs[w->nr_iovs++] =
		(struct iovec){ .iov_base = (void *)(uintptr_t)addr, .iov_len = size_bytes };
}

/* Cut where blocks end: each is either a huge page or read like memory that has none. */
static void write_segment(struct writer *w, size_t index)
{
	const struct thump_segment *segment = &w->list->segments[index];
	uint64_t size;

	for (uint64_t at = 0; at < segment->size_bytes; at += size) {
		const uint64_t addr = segment->addr + at, block = block_of(addr);

		size = thump_min_u64(segment->size_bytes - at, block + THUMP_HUGE_PAGE_SIZE - addr);
		if (block != w->block)
			w->dense = is_dense(w->list, index, block);
		w->block = block;
		if (!w->dense)
			size = thump_min_u64(size, JOB_BYTES);
		write_piece(w, addr, size, segment->file_offset + at);
	}
}

static void write_touch(struct writer *w, const struct thump_range *range)
{
	const uint64_t size_bytes = range->end - range->start;
	struct thump_read_job *job = &w->jobs[w->nr_jobs ? w->nr_jobs - 1 : 0];

	if (w->nr_jobs == 0 || !(job->flags & THUMP_ONLY_TOUCH) ||
	    job->size_bytes + size_bytes > THUMP_TOUCH_BYTES) {
		job = &w->jobs[w->nr_jobs++];
		*job = (struct thump_read_job){
			.iov = w->iovs_addr + w->nr_iovs * sizeof(*w->iovs),
			.flags = THUMP_ONLY_TOUCH,
		};
	}
	job->nr_iov++;
	job->size_bytes += size_bytes;
	w->iovs[w->nr_iovs++] = (struct iovec){
		.iov_base = (void *)(uintptr_t)range->start,
		.iov_len = size_bytes,
	};
}

static size_t count_pieces(const struct thump_jobs *jobs)
{
	size_t count = jobs->nr_touches;

	for (size_t i = 0; i < jobs->count; i++)
		count += thump_jobs_pieces(jobs->segments[i].size_bytes);
	return count;
}

int thump_jobs_write(const struct thump_jobs *jobs, struct thump_region *region,
		     struct thump_err *err)
{
	size_t nr_pieces = count_pieces(jobs);
	struct writer w = { .list = jobs, .block = 1 };

	if (jobs->failed)
		return thump_fail(err, "no memory for %zu ranges to be read", jobs->count);
	w.jobs = thump_region_alloc(region, nr_pieces * sizeof(*w.jobs), &region->blob->jobs);
	w.iovs = thump_region_alloc(region, nr_pieces * sizeof(*w.iovs), &w.iovs_addr);
	if (thump_region_check(region, err) < 0)
		return -1;
	for (size_t i = 0; i < jobs->count; i++)
		write_segment(&w, i);
	for (size_t i = 0; i < jobs->nr_touches; i++)
		write_touch(&w, &jobs->touches[i]);
	region->blob->nr_jobs = w.nr_jobs;
	region->blob->nr_fills = jobs->filled;
	return 0;
}

/* ---- ranges of the file --------------------------------------------------------------------- */

int thump_compare_file_ranges(const void *a, const void *b)
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
	qsort(ranges, jobs->count, sizeof(*ranges), thump_compare_file_ranges);
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
