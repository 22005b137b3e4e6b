/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/scan.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fd.h"

/* linux/fs.h of Linux 6.7; Debian 12 has older headers. */
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
struct scan_region {
	uint64_t start, end, categories;
};
#define SCAN_REQUEST _IOWR('f', 16, struct scan_arg)
enum {
	IS_FILE = 1 << 2,
	IS_PRESENT = 1 << 3,
	IS_SWAPPED = 1 << 4,
	IS_PFNZERO = 1 << 5,
	IS_GUARD = 1 << 8, /* Linux 6.16 */
};
#define NR_REGIONS 1024U

/* Documentation/admin-guide/mm/pagemap.rst */
#define PM_GUARD   (UINT64_C(1) << 58)
#define PM_FILE	   (UINT64_C(1) << 61)
#define PM_SWAP	   (UINT64_C(1) << 62)
#define PM_PRESENT (UINT64_C(1) << 63)
#define NR_ENTRIES 8192U

/* What a page must be, and must not be, besides present or swapped. */
static const struct question {
	uint64_t wanted, excluded;
} questions[] = {
	[THUMP_SCAN_ANON] = { .excluded = IS_PFNZERO },
	[THUMP_SCAN_FILE] = { .excluded = IS_FILE },
	[THUMP_SCAN_OWN] = { .excluded = IS_FILE | IS_PFNZERO },
	[THUMP_SCAN_SEEN] = { .wanted = IS_FILE },
};

static int request(const struct thump_scan *scan, uint64_t start, uint64_t end,
		   enum thump_scan_what what, uint64_t *walk_end_ret)
{
	const struct question *question = &questions[what];
	struct scan_arg arg = {
		.size = sizeof(arg),
		.start = start,
		.end = end,
		.vec = (uintptr_t)scan->regions,
		.vec_len = NR_REGIONS,
		.category_inverted = question->excluded,
		.category_mask = question->excluded | question->wanted,
		.category_anyof_mask = IS_PRESENT | IS_SWAPPED,
		.return_mask = IS_PRESENT | IS_SWAPPED | scan->guard_mask,
	};
	int count = ioctl(scan->pagemap_fd, SCAN_REQUEST, &arg);

	if (count >= 0)
		*walk_end_ret = arg.walk_end;
	return count;
}

int thump_scan_init(struct thump_scan *scan, int proc_fd, bool use_ioctl, struct thump_err *err)
{
	uint64_t walk_end;

	*scan = (struct thump_scan){
		.pagemap_fd = openat(proc_fd, "pagemap", O_RDONLY | O_CLOEXEC),
		.regions = malloc(NR_REGIONS * sizeof(struct scan_region)),
		.guard_mask = IS_GUARD,
	};
	if (scan->pagemap_fd < 0)
		return thump_fail_errno(err, "open pagemap");
	if (!scan->regions)
		return thump_fail(err, "out of memory");
	/* An empty range asks what the kernel knows: EINVAL for a category, ENOTTY for all of it.
	 */
	if (use_ioctl && request(scan, 0, 0, THUMP_SCAN_ANON, &walk_end) < 0)
		scan->guard_mask = 0;
	scan->have_ioctl = use_ioctl && request(scan, 0, 0, THUMP_SCAN_ANON, &walk_end) >= 0;
	return 0;
}

void thump_scan_deinit(struct thump_scan *scan)
{
	thump_close_fd(&scan->pagemap_fd);
	thump_free_ptr(&scan->regions);
	thump_free_ptr(&scan->entries);
}

static int scan_by_ioctl(struct thump_scan *scan, uint64_t start, uint64_t end,
			 enum thump_scan_what what, const struct thump_scan_sink *sink,
			 struct thump_err *err)
{
	const struct scan_region *regions = scan->regions;

	while (start < end) {
		int count = request(scan, start, end, what, &start);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return thump_fail_errno(err, "PAGEMAP_SCAN");
		for (int i = 0; i < count; i++) {
			bool guard = (regions[i].categories & scan->guard_mask) != 0;

			if (sink->found(sink->ctx, regions[i].start, regions[i].end, guard, err) <
			    0)
				return -1;
		}
	}
	return 0;
}

static bool is_wanted(uint64_t entry, enum thump_scan_what what)
{
	if (!(entry & (PM_PRESENT | PM_SWAP | PM_GUARD)))
		return false;
	return what == THUMP_SCAN_ANON || !(entry & PM_FILE) == (what != THUMP_SCAN_SEEN);
}

static int scan_by_pagemap(struct thump_scan *scan, uint64_t start, uint64_t end,
			   enum thump_scan_what what, const struct thump_scan_sink *sink,
			   struct thump_err *err)
{
	if (!scan->entries)
		scan->entries = malloc(NR_ENTRIES * sizeof(*scan->entries));
	if (!scan->entries)
		return thump_fail(err, "out of memory");
	while (start < end) {
		uint64_t count = thump_min_u64((end - start) / THUMP_PAGE_SIZE, NR_ENTRIES);

		if (thump_pread_full(scan->pagemap_fd, scan->entries,
				     count * sizeof(*scan->entries),
				     start / THUMP_PAGE_SIZE * sizeof(*scan->entries)) < 0)
			return thump_fail_errno(err, "read pagemap");
		for (uint64_t i = 0; i < count; i++, start += THUMP_PAGE_SIZE) {
			if (is_wanted(scan->entries[i], what) &&
			    sink->found(sink->ctx, start, start + THUMP_PAGE_SIZE,
					scan->entries[i] & PM_GUARD, err) < 0)
				return -1;
		}
	}
	return 0;
}

int thump_scan_range(struct thump_scan *scan, uint64_t start, uint64_t end,
		     enum thump_scan_what what, const struct thump_scan_sink *sink,
		     struct thump_err *err)
{
	return scan->have_ioctl ? scan_by_ioctl(scan, start, end, what, sink, err)
				: scan_by_pagemap(scan, start, end, what, sink, err);
}
