/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data region that thump and the blob share: a memfd, mapped here while it is written and
 * mapped into the new process at an address that is known beforehand. The blob's code comes first,
 * in pages of its own; the data begins with the blob's header; then what the child tells before its
 * exec, a pool for whatever steps point to, and, once their number is known, the steps. Room is
 * taken generously: a memfd is sparse, only what is used costs anything.
 */
#ifndef THUMP_REBUILD_REGION_H
#define THUMP_REBUILD_REGION_H

#include <sys/uio.h>

#include "base/err.h"
#include "rebuild/what.h"
#include "resume/abi.h"

/* The setup steps that depend on where exec put things are written last, into places before the
 * others that are kept free for them. */
#define THUMP_REGION_LAYOUT_STEPS 24

struct thump_region {
	int fd;		      /* the memfd: code_size of code, then the data */
	unsigned char *bytes; /* the data, mapped here */
	size_t room, used;    /* of the data */
	uint64_t code_addr;   /* of the blob in the new process; the data follows */
	uint64_t code_size;
	uint64_t addr; /* of the data in the new process */
	struct thump_blob_data *blob;
	struct thump_err *child_err; /* the child's error, when it ends before its exec */
	int32_t *fds;		     /* fd table; written by the child */
	uint32_t nr_fds;
	struct thump_step *steps;   /* = written, until thump_region_close() */
	struct thump_step *written; /* heap */
	uint32_t nr_steps, room_steps;
	size_t reserve_at;	    /* of thump_region_reserve(); used again from there */
	struct thump_step overflow; /* what step functions return when there is no more room */
	bool failed;		    /* something did not fit; sticky */
};

/* What has to fit, counted generously. */
struct thump_region_needs {
	size_t nr_steps, nr_fds, pool_bytes;
};

THUMP_MUST_CHECK int thump_region_create(struct thump_region *region, uint64_t code_addr,
					 const struct thump_region_needs *needs,
					 struct thump_err *err);
void thump_region_destroy(struct thump_region *region);

/* The blob's threads and helpers, once they are described. */
static inline const struct thump_blob_thread *
thump_region_threads(const struct thump_region *region)
{
	const unsigned char *at = region->bytes + (region->blob->threads - region->addr);

	return (const struct thump_blob_thread *)at;
}

/* Zeroed memory in the pool; *addr_ret is its address in the new process. NULL when there is no
 * room: region->failed is set and callers just go on. */
void *thump_region_alloc(struct thump_region *region, size_t size_bytes, uint64_t *addr_ret);

/* A copy of data in the pool; returns its address in the new process. */
uint64_t thump_region_put(struct thump_region *region, const void *data, size_t size_bytes);

/* Adds a system call that must succeed; the caller may change `expect` and so on. */
struct thump_step *thump_region_step(struct thump_region *region, enum thump_what what, long nr,
				     const uint64_t args[6]);

#define THUMP_STEP(region, what, nr, ...)                                                          \
	thump_region_step((region), (what), (nr), (const uint64_t[6]){ __VA_ARGS__ })

/* The same, best effort. */
void thump_step_try(struct thump_step *step);
/* The result must be `value`. */
void thump_step_expect(struct thump_step *step, uint64_t value);

/* Puts the steps behind the pool, so that what the new process maps is as small as can be; from
 * then on no step can be added but those about the layout. */
void thump_region_close(struct thump_region *region);

/* Before that: room for what is only known when the blob has run these steps. */
void thump_region_reserve(struct thump_region *region, size_t size_bytes);
/* What is put from now on goes there, first of all a list of at most nr_steps steps. */
void thump_region_begin_again(struct thump_region *region, size_t nr_steps);

/* 0 unless something did not fit. */
THUMP_MUST_CHECK int thump_region_check(const struct thump_region *region, struct thump_err *err);

#endif
