/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THUMP_BASE_CLOCK_H
#define THUMP_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define THUMP_NS_PER_S UINT64_C(1000000000)

/* CLOCK_MONOTONIC. */
static inline uint64_t thump_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * THUMP_NS_PER_S + (uint64_t)now.tv_nsec;
}

#endif
