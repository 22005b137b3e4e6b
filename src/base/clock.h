/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THUMP_BASE_CLOCK_H
#define THUMP_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define THUMP_NS_PER_S UINT64_C(1000000000)

/* Of any clock that clock_gettime(2) knows. */
static inline uint64_t thump_clock_ns(clockid_t clock)
{
	struct timespec now = { 0 };

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * THUMP_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* CLOCK_MONOTONIC. */
static inline uint64_t thump_now_ns(void)
{
	return thump_clock_ns(CLOCK_MONOTONIC);
}

#endif
