/* SPDX-License-Identifier: Apache-2.0 */
/* What cannot be saved: each makes one thing, and tells the driver how it must be named. */
#ifndef THUMP_TESTS_REFUSALS_H
#define THUMP_TESTS_REFUSALS_H

#include "workload.h"

struct refusal {
	const char *name;
	void (*make)(int given); /* a descriptor from the driver, or -1 */
};

extern const struct refusal refused_modes[];
extern const size_t nr_refused_modes;

/* It is refused with all of these words, parted by tabs; fd -1: whichever descriptor, or none. */
void refuse(int fd, const char *words);

#endif
