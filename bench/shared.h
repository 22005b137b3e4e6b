/* SPDX-License-Identifier: Apache-2.0 */
/* What bench/stopwatch and bench/trivial share through a file that both have mapped. */
#ifndef THUMP_BENCH_SHARED_H
#define THUMP_BENCH_SHARED_H

#include <stdint.h>

struct bench_shared {
	uint32_t armed;	  /* stopwatch -> program: stamp the time */
	uint32_t stamped; /* program -> stopwatch: done; a futex */
	uint32_t quit;	  /* stopwatch -> program: end */
	uint32_t pad;
	uint64_t stamp_ns; /* CLOCK_REALTIME */
};

#endif
