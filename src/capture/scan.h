/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside src/capture: which pages of private mappings hold something of their own.
 * PAGEMAP_SCAN (Linux 6.7) tells ranges at a cost that follows what is touched; the fallback reads
 * 8 bytes of /proc/PID/pagemap per page of address space.
 */
#ifndef THUMP_CAPTURE_SCAN_H
#define THUMP_CAPTURE_SCAN_H

#include "base/err.h"

struct thump_scan {
	int pagemap_fd;
	bool have_ioctl;
	uint64_t guard_mask; /* PAGE_IS_GUARD where the kernel knows it, else 0 */
	void *regions;	     /* room for answers */
	uint64_t *entries;   /* room for pagemap entries, made on first use */
};

enum thump_scan_what {
	THUMP_SCAN_ANON, /* touched and not the zero page */
	THUMP_SCAN_FILE, /* private copies of pages of a file */
	THUMP_SCAN_OWN,	 /* both: pages that nobody shares */
	THUMP_SCAN_SEEN, /* pages of a file that are mapped as they are */
};

struct thump_scan_sink {
	void *ctx;
	/* Ranges in ascending order; neighbours may touch. `guard`: MADV_GUARD_INSTALL, no content.
	 */
	int (*found)(void *ctx, uint64_t start, uint64_t end, bool guard, struct thump_err *err);
};

/* proc_fd is /proc/PID. `use_ioctl` false: only pagemap, as on an old kernel. */
THUMP_MUST_CHECK int thump_scan_init(struct thump_scan *scan, int proc_fd, bool use_ioctl,
				     struct thump_err *err);
void thump_scan_deinit(struct thump_scan *scan);

THUMP_MUST_CHECK int thump_scan_range(struct thump_scan *scan, uint64_t start, uint64_t end,
				      enum thump_scan_what what, const struct thump_scan_sink *sink,
				      struct thump_err *err);

#endif
