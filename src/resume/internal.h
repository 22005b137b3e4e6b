/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the blob. */
#ifndef THUMP_RESUME_INTERNAL_H
#define THUMP_RESUME_INTERNAL_H

#include <stdbool.h>

#include "abi.h"

/* The entry: what it is told with tells what it is to be. */
void thump_blob_leader(struct thump_blob_data *data)
	__attribute__((noreturn, visibility("hidden")));
void thump_blob_park(struct thump_blob_park *park) __attribute__((noreturn, visibility("hidden")));

static inline bool is_error(long result)
{
	return (unsigned long)result >= (unsigned long)-4095L;
}

#endif
