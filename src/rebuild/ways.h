/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by ways.c and namespace.c. */
#ifndef THUMP_REBUILD_WAYS_H
#define THUMP_REBUILD_WAYS_H

#include "rebuild/spawn.h"

/* How far a clock may run back without a time namespace. */
#define THUMP_CLOCK_TOLERANCE_NS UINT64_C(1000000000)

/* REFUSED when CLOCK_MONOTONIC or CLOCK_BOOTTIME here is behind the image's by more than that. */
/* The clocks may run back: somebody said so, or the runtime in the program keeps its own. */
bool thump_stands_clocks(const struct thump_model *model,
			 const struct thump_rebuild_options *options);
THUMP_MUST_CHECK int thump_check_clocks(const struct thump_model *model, struct thump_err *err);

/* The way will be a fresh namespace with an init of ours, whatever else is found out. Only where
 * thump_head_start_begin() has begun one. */
bool thump_way_is_namespace(const struct thump_model *model,
			    const struct thump_rebuild_options *options);

#endif
