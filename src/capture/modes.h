/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/capture: one remote call per mode, and what its answer means. */
#ifndef THUMP_CAPTURE_MODES_H
#define THUMP_CAPTURE_MODES_H

#include "capture/context.h"

struct thump_mode_answer {
	long result;	/* raw: -errno on failure */
	uint64_t value; /* the first 8 bytes of the area after the call */
};

struct thump_mode {
	long nr;
	uint64_t args[6];
	void (*take)(struct thump_capture *cap, const struct thump_mode_answer *answer);
	/*
	 * Of modes that every thread has for itself: what sets it, and whether threads may differ
	 * in it here, as far as that can be told without asking, which is dear. Then every thread
	 * is asked.
	 */
	const char *setter;
	bool (*may_differ)(const struct thump_capture *cap);
};

extern const struct thump_mode thump_modes[];
extern const size_t thump_nr_modes;
/* arch/: modes of this architecture. */
extern const struct thump_mode thump_arch_modes[];
extern const size_t thump_nr_arch_modes;
/* What takes more than one question, after those of the tables. */
THUMP_MUST_CHECK int thump_capture_arch_process(struct thump_capture *cap, struct thump_err *err);

#endif
