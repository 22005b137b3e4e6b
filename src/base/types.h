/* SPDX-License-Identifier: Apache-2.0 */
/* Small types that every layer shares. */
#ifndef THUMP_BASE_TYPES_H
#define THUMP_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* An address in the target; never dereferenced here. */
struct remote_addr {
	uint64_t addr;
};

#define REMOTE(value) ((struct remote_addr){ (uint64_t)(value) })

/* The page size of x86-64 and of the aarch64 kernels that thump supports; checked at start-up. */
#define THUMP_PAGE_SIZE ((uint64_t)4096)

#define THUMP_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline uint64_t thump_page_down(uint64_t value)
{
	return value & ~(THUMP_PAGE_SIZE - 1);
}

static inline uint64_t thump_page_up(uint64_t value)
{
	return thump_page_down(value + THUMP_PAGE_SIZE - 1);
}

static inline uint64_t thump_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* For qsort(3), of int32_t: descriptors, ids. */
static inline int thump_compare_i32(const void *a, const void *b)
{
	const int32_t *x = (const int32_t *)a, *y = (const int32_t *)b;

	return *x < *y ? -1 : *x > *y;
}

#define THUMP_PRINTF(fmt_index, first) __attribute__((format(printf, fmt_index, first)))
#define THUMP_MUST_CHECK	       __attribute__((warn_unused_result))

#endif
