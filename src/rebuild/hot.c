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
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/beside.h"
#include "rebuild/jobs.h"

/* So many places of the image are asked whether they are in memory. */
#define NR_PROBES 8u

#define PREFETCH_GAP_BYTES ((uint64_t)64 << 10)
#define PREFETCH_MOST_S	   5

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

/* ---- from a disk --------------------------------------------------------------------------- */

struct wanted {
	struct thump_file_range *list;
	size_t count, room;
};

static bool want(struct wanted *wanted, const struct thump_extent *extent, uint64_t start,
		 uint64_t end)
{
	struct thump_file_range *bigger;

	if (wanted->count == wanted->room) {
		wanted->room = wanted->room ? 2 * wanted->room : 1024;
		bigger = reallocarray(wanted->list, wanted->room, sizeof(*bigger));
		if (!bigger)
			return false;
		wanted->list = bigger;
	}
	wanted->list[wanted->count++] = (struct thump_file_range){
		.offset = extent->file_offset + (start - extent->start),
		.size_bytes = end - start,
	};
	return true;
}

static bool want_parts(struct wanted *wanted, const struct thump_extent *extent,
		       const struct thump_range *ranges, uint32_t count)
{
	struct thump_range part = { .end = extent->start };

	while (thump_find_part(ranges, count, part.end, extent->end, &part))
		if (!want(wanted, extent, part.start, part.end))
			return false;
	return true;
}

/* What nobody vouches for is read in any case. */
static bool want_unvouched(struct wanted *wanted, const struct thump_model *model,
			   const struct thump_extent *extent)
{
	uint64_t at = extent->start;
	struct thump_range part;

	for (; thump_model_find_vouched(model, at, extent->end, &part); at = part.end)
		if (part.start > at && !want(wanted, extent, at, part.start))
			return false;
	return at == extent->end || want(wanted, extent, at, extent->end);
}

static bool find_wanted(struct wanted *wanted, const struct thump_model *model)
{
	const struct thump_hot *hot = &model->hot;

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		for (uint32_t e = 0; e < model->vmas[i].nr_extents; e++) {
			const struct thump_extent *extent = &model->vmas[i].extents[e];

			if (!want_unvouched(wanted, model, extent) ||
			    !want_parts(wanted, extent, hot->written, hot->nr_written) ||
			    !want_parts(wanted, extent, hot->read, hot->nr_read))
				return false;
		}
	}
	return true;
}

/* In the order of the file, with what lies between where that is little: fewer and bigger requests.
 */
static void read_wanted(int fd, const struct wanted *wanted)
{
	struct thump_file_range open = { 0 };

	for (size_t i = 0; i <= wanted->count; i++) {
		const struct thump_file_range *next = &wanted->list[i];
		const uint64_t open_end = open.offset + open.size_bytes;

		if (i < wanted->count && open.size_bytes &&
		    next->offset <= open_end + PREFETCH_GAP_BYTES) {
			if (next->offset + next->size_bytes > open_end)
				open.size_bytes = next->offset + next->size_bytes - open.offset;
			continue;
		}
		if (open.size_bytes)
			(void)posix_fadvise(fd, (off_t)open.offset, (off_t)open.size_bytes,
					    POSIX_FADV_WILLNEED);
		if (i < wanted->count)
			open = *next;
	}
}

/* Asks for what it lies on, without waiting for it (preadv2(2), RWF_NOWAIT). */
static bool is_in_memory(int fd, uint64_t offset)
{
	char byte;
	struct iovec iov = { &byte, sizeof(byte) };

	return preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT) >= 0 || errno != EAGAIN;
}

static bool is_cold(int fd, const struct wanted *wanted)
{
	for (size_t i = 0; i < NR_PROBES; i++) {
		if (!is_in_memory(fd, wanted->list[wanted->count * i / NR_PROBES].offset))
			return true;
	}
	return false;
}

/* Requests are answered in the order in which they are made, more or less. */
static void wait_for_wanted(int fd, const struct wanted *wanted)
{
	char byte;

	for (size_t i = 0; i < wanted->count; i++)
		(void)!pread(fd, &byte, sizeof(byte),
			     (off_t)(wanted->list[i].offset + wanted->list[i].size_bytes - 1));
}

_Noreturn static void prefetch_main(int fd, const struct wanted *wanted, uint32_t *done)
{
	/* Nobody is to wait for the end of other descriptors. */
	if (dup2(fd, 0) == 0)
		(void)close_range(1, ~0U, 0);
	read_wanted(0, wanted);
	wait_for_wanted(0, wanted);
	__atomic_store_n(done, 1, __ATOMIC_RELEASE);
	(void)syscall(SYS_futex, done, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
	_exit(0);
}

/* In a process of its own: a request takes no time until it is made, but memory is found for it
 * first. */
static uint32_t *prefetch_beside(int fd, const struct wanted *wanted)
{
	uint32_t *done = mmap(NULL, THUMP_PAGE_SIZE, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (done == MAP_FAILED)
		return NULL;
	if (thump_fork_beside() == 0)
		prefetch_main(fd, wanted, done);
	return done;
}

uint32_t *thump_prefetch_start(const struct thump_image *image)
{
	const struct thump_model *model = thump_image_model(image);
	const int fd = thump_image_fd(image);
	struct wanted wanted = { 0 };
	uint32_t *done = NULL;

	if (thump_image_has_hot(image) && !thump_image_is_unpacked(image) &&
	    find_wanted(&wanted, model) && wanted.count && is_cold(fd, &wanted)) {
		qsort(wanted.list, wanted.count, sizeof(*wanted.list), thump_compare_file_ranges);
		/* Nothing but what is asked for; it is of no meaning to mappings. */
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
		done = prefetch_beside(fd, &wanted);
	}
	free(wanted.list);
	return done;
}

/*
 * A fault that does not find its page in memory reads megabytes around it: it is cheaper to wait
 * for what has been asked for. One that ended without a word is not waited for much longer than a
 * disk takes.
 */
void thump_prefetch_wait(const uint32_t *done)
{
	const struct timespec most = { .tv_sec = PREFETCH_MOST_S };

	if (!done)
		return;
	/* EINTR and EAGAIN need no care: it is only a matter of time. */
	if (!__atomic_load_n(done, __ATOMIC_ACQUIRE))
		(void)syscall(SYS_futex, done, FUTEX_WAIT, 0, &most, NULL, 0);
}

void thump_prefetch_end(uint32_t *done)
{
	if (done)
		(void)munmap(done, THUMP_PAGE_SIZE);
}
