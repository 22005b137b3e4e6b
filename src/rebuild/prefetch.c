/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trained image that is not in memory: what is needed of it is asked for in the order in which it
 * is needed, by a process beside us, while all else goes on.
 *
 * Nobody has to wait until it is there, but until it has been asked for: then its pages are known
 * to the kernel, and who touches one waits for just that one (filemap_fault() in mm/filemap.c). A
 * fault that does not find its page reads megabytes around it, at the end of everybody else's
 * requests. Hence also the rest: a restored program touches some pages that no training has seen,
 * most of them near to those that it has, and soon others.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/ioprio.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/beside.h"
#include "proc/available.h"
#include "rebuild/jobs.h"

/* So many places of the image are asked whether they are in memory. */
#define NR_PROBES 8u

/*
 * The kernel reads no more for one call than the device's read-ahead, or its biggest request, and
 * says nothing of the rest (force_page_cache_ra() in mm/readahead.c). This is the least that either
 * usually is.
 */
#define ASK_BYTES ((uint64_t)128 << 10)
/* What lies between two ranges costs less than another request. */
#define GAP_BYTES ((uint64_t)32 << 10)
/* What is near to what is hot. */
#define NEAR_BYTES ((uint64_t)1 << 20)
/* Of the rest, twice as much is asked for at a time: whoever needs a page waits for that, too. */
#define REST_BYTES ((uint64_t)1 << 20)
/* So much of the memory that is available may be filled with the rest. */
#define REST_SHARE  4
#define MOST_WAIT_S 5

/* Shared with the process beside us. */
struct thump_prefetch {
	uint32_t asked; /* enum thump_prefetched; a futex */
	int32_t pid;	/* of the program: 0 it does not run yet, -1 it never will */
};

struct wanted {
	struct thump_file_range *list;
	size_t count, room;
};

/* In the order in which they are needed. */
struct needs {
	struct wanted first;		 /* before the program runs */
	struct wanted all;		 /* until it is of use: these, and what it reads */
	struct thump_file_range content; /* of all private memory */
};

static void forget_needs(struct needs *needs)
{
	free(needs->first.list);
	free(needs->all.list);
}

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

static bool want_extent(struct needs *needs, const struct thump_model *model,
			const struct thump_extent *extent)
{
	const struct thump_hot *hot = &model->hot;
	struct thump_file_range *content = &needs->content;

	/* They lie back to back. */
	if (content->size_bytes == 0)
		content->offset = extent->file_offset;
	content->size_bytes += extent->end - extent->start;
	return want_unvouched(&needs->first, model, extent) &&
	       want_unvouched(&needs->all, model, extent) &&
	       want_parts(&needs->first, extent, hot->written, hot->nr_written) &&
	       want_parts(&needs->all, extent, hot->written, hot->nr_written) &&
	       want_parts(&needs->all, extent, hot->read, hot->nr_read);
}

static void sort(struct wanted *wanted)
{
	if (wanted->count)
		qsort(wanted->list, wanted->count, sizeof(*wanted->list),
		      thump_compare_file_ranges);
}

static bool find_needs(struct needs *needs, const struct thump_model *model)
{
	for (uint32_t i = 0; i < model->nr_vmas; i++)
		for (uint32_t e = 0; e < model->vmas[i].nr_extents; e++)
			if (!want_extent(needs, model, &model->vmas[i].extents[e]))
				return false;
	sort(&needs->first);
	sort(&needs->all);
	return needs->all.count > 0;
}

/* The next ranges of `wanted` from *index on with no more than `gap` between them, as one. */
static bool next_range(const struct wanted *wanted, uint64_t gap, size_t *index,
		       struct thump_file_range *range_ret)
{
	struct thump_file_range range;

	if (*index == wanted->count)
		return false;
	range = wanted->list[*index];
	for (++*index; *index < wanted->count; ++*index) {
		const struct thump_file_range *next = &wanted->list[*index];
		const uint64_t end = range.offset + range.size_bytes;

		if (next->offset > end + gap)
			break;
		if (next->offset + next->size_bytes > end)
			range.size_bytes = next->offset + next->size_bytes - range.offset;
	}
	*range_ret = range;
	return true;
}

/* What is in memory is passed over. */
static void ask(int fd, const struct thump_file_range *range)
{
	for (uint64_t done = 0; done < range->size_bytes; done += ASK_BYTES)
		(void)posix_fadvise(fd, (off_t)(range->offset + done),
				    (off_t)thump_min_u64(ASK_BYTES, range->size_bytes - done),
				    POSIX_FADV_WILLNEED);
}

static void ask_for(int fd, const struct wanted *wanted)
{
	struct thump_file_range range;
	size_t index = 0;

	while (next_range(wanted, GAP_BYTES, &index, &range))
		ask(fd, &range);
}

/* ---- the rest ------------------------------------------------------------------------------ */

struct rest {
	int fd;
	const int32_t *pid;		/* of struct thump_prefetch */
	uint64_t left_bytes;		/* may be read */
	struct thump_file_range before; /* asked for last */
};

static bool is_over(const struct rest *rest)
{
	const int32_t pid = __atomic_load_n(rest->pid, __ATOMIC_ACQUIRE);

	return pid < 0 || (pid > 0 && kill(pid, 0) < 0 && errno == ESRCH);
}

/* False: that is enough. The piece before it is waited for. */
static bool read_piece(struct rest *rest, const struct thump_file_range *piece)
{
	const struct thump_file_range before = rest->before;
	char byte;

	if (piece->size_bytes > rest->left_bytes || is_over(rest))
		return false;
	rest->left_bytes -= piece->size_bytes;
	ask(rest->fd, piece);
	rest->before = *piece;
	return before.size_bytes == 0 ||
	       pread(rest->fd, &byte, sizeof(byte),
		     (off_t)(before.offset + before.size_bytes - 1)) == sizeof(byte);
}

static bool read_pieces(struct rest *rest, const struct thump_file_range *range)
{
	struct thump_file_range piece = { .offset = range->offset };
	const uint64_t end = range->offset + range->size_bytes;

	for (; piece.offset < end; piece.offset += piece.size_bytes) {
		piece.size_bytes = thump_min_u64(REST_BYTES, end - piece.offset);
		if (!read_piece(rest, &piece))
			return false;
	}
	return true;
}

/* What is near to what is hot, then everything; after all others who want something of the disk,
 * where its scheduler knows of that (ioprio_set(2)). */
static void read_rest(int fd, const struct needs *needs, const int32_t *pid)
{
	struct rest rest = {
		.fd = fd,
		.pid = pid,
		.left_bytes = thump_memory_available() / REST_SHARE,
	};
	struct thump_file_range range;
	size_t index = 0;

	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		      IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
	while (next_range(&needs->all, NEAR_BYTES, &index, &range))
		if (!read_pieces(&rest, &range))
			return;
	(void)read_pieces(&rest, &needs->content);
}

/* ---- the process beside us ------------------------------------------------------------------- */

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

static void say_asked(struct thump_prefetch *prefetch, enum thump_prefetched what)
{
	__atomic_store_n(&prefetch->asked, what, __ATOMIC_RELEASE);
	(void)syscall(SYS_futex, &prefetch->asked, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

_Noreturn static void prefetch_main(int fd, const struct needs *needs,
				    struct thump_prefetch *prefetch)
{
	/* Nobody is to wait for the end of other descriptors. */
	if (dup2(fd, 0) == 0)
		(void)close_range(1, ~0U, 0);
	ask_for(0, &needs->first);
	say_asked(prefetch, THUMP_PREFETCHED_FIRST);
	ask_for(0, &needs->all);
	say_asked(prefetch, THUMP_PREFETCHED_HOT);
	read_rest(0, needs, &prefetch->pid);
	_exit(0);
}

/* In a process of its own: a request takes no time once it is made, but memory is found for it
 * first; and the rest takes longer than we are there. */
static struct thump_prefetch *prefetch_beside(int fd, const struct needs *needs)
{
	struct thump_prefetch *prefetch = mmap(NULL, sizeof(*prefetch), PROT_READ | PROT_WRITE,
					       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (prefetch == MAP_FAILED)
		return NULL;
	if (thump_fork_beside() == 0)
		prefetch_main(fd, needs, prefetch);
	return prefetch;
}

struct thump_prefetch *thump_prefetch_start(const struct thump_image *image)
{
	const int fd = thump_image_fd(image);
	struct thump_prefetch *prefetch = NULL;
	struct needs needs = { 0 };

	if (thump_image_has_hot(image) && !thump_image_is_unpacked(image) &&
	    find_needs(&needs, thump_image_model(image)) && is_cold(fd, &needs.all)) {
		/* Nothing but what is asked for; it is of no meaning to mappings. */
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
		prefetch = prefetch_beside(fd, &needs);
	}
	forget_needs(&needs);
	return prefetch;
}

/* One that ended without a word is not waited for much longer than a disk takes. */
void thump_prefetch_wait(const struct thump_prefetch *prefetch, enum thump_prefetched what)
{
	const struct timespec most = { .tv_sec = MOST_WAIT_S };
	uint32_t asked;

	while (prefetch &&
	       (asked = __atomic_load_n(&prefetch->asked, __ATOMIC_ACQUIRE)) < (uint32_t)what) {
		if (syscall(SYS_futex, &prefetch->asked, FUTEX_WAIT, asked, &most, NULL, 0) < 0 &&
		    errno == ETIMEDOUT)
			return;
	}
}

void thump_prefetch_end(struct thump_prefetch *prefetch, pid_t pid)
{
	if (!prefetch)
		return;
	__atomic_store_n(&prefetch->pid, pid > 0 ? pid : -1, __ATOMIC_RELEASE);
	(void)munmap(prefetch, sizeof(*prefetch));
}
