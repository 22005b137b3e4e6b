/* SPDX-License-Identifier: Apache-2.0 */
/* Read jobs: from ranges of memory and where their content lies, to few calls of preadv(2). */
#ifndef THUMP_REBUILD_JOBS_H
#define THUMP_REBUILD_JOBS_H

#include "rebuild/plan.h"

/* Of a touched range, and of all ranges in one job: some 50 us of page faults. */
#define THUMP_TOUCH_BYTES ((uint64_t)32 * THUMP_PAGE_SIZE)

struct thump_segment {
	uint64_t addr, size_bytes, file_offset;
	struct thump_range room; /* where huge pages may be made; empty: nowhere */
};

/* A range of the image that is read into memory, to be verified. */
struct thump_file_range {
	uint64_t offset, size_bytes;
};

struct thump_jobs {
	struct thump_segment *segments;
	size_t count, room;
	uint64_t total_bytes;
	uint64_t huge_from_bytes;    /* where less than that is read, nothing becomes a huge page */
	struct thump_range *touches; /* of memory that is written to, not read from the image */
	size_t nr_touches, room_touches;
	bool filled; /* by us: the new process only makes pages */
	bool failed; /* memory ran out; sticky */
};

void thump_jobs_deinit(struct thump_jobs *jobs);

/*
 * Content of the image to be read to addr, in ascending order inside one room: the range around it
 * that is anonymous memory, where huge pages may be made; NULL: nowhere.
 */
void thump_jobs_add(struct thump_jobs *jobs, uint64_t addr, uint64_t size_bytes,
		    uint64_t file_offset, const struct thump_range *room);
/* Memory that the program will write to soon: its pages are made before it runs. */
void thump_jobs_touch(struct thump_jobs *jobs, const struct thump_range *range);
/* How many pieces, at most, so many bytes in one range become: two for each huge page touched. */
static inline uint64_t thump_jobs_pieces(uint64_t size_bytes)
{
	return 4 + (size_bytes >> 20);
}

/* The same for touches of so many bytes in one range. */
static inline uint64_t thump_jobs_touches(uint64_t size_bytes)
{
	return 2 + size_bytes / THUMP_TOUCH_BYTES;
}

/* Writes jobs and their iovecs into the region. */
THUMP_MUST_CHECK int thump_jobs_write(const struct thump_jobs *jobs, struct thump_region *region,
				      struct thump_err *err);

/* For qsort(3), by offset. */
int thump_compare_file_ranges(const void *a, const void *b);

/* Everything that is read, in ascending order without overlaps; heap, freed by the caller. */
THUMP_MUST_CHECK int thump_jobs_ranges(const struct thump_jobs *jobs,
				       struct thump_file_range **ranges_ret, size_t *count_ret,
				       struct thump_err *err);

/* hot.c: touches of what the image says is hot, where it is mapped lazily, but not of more bytes
 * than the image has for the program's memory. Returns how many they are at most; jobs NULL: does
 * nothing else. */
uint64_t thump_hot_touches(const struct thump_plan *plan, struct thump_jobs *jobs);
/* When it is being trained: the image leaves memory. */
void thump_hot_forget(const struct thump_plan *plan);

THUMP_MUST_CHECK int thump_memory_steps(const struct thump_plan *plan, struct thump_region *region,
					struct thump_arena *arena, struct thump_jobs *jobs,
					struct thump_memory **memory_ret, struct thump_err *err);

#endif
