/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From "the blob has done its work" to a process that runs on its own: the threads are gathered,
 * what had to wait for that is done, blob and data go, registers are written. Until the release
 * the process dies with thump and with every error.
 */
#ifndef THUMP_REBUILD_COMMIT_H
#define THUMP_REBUILD_COMMIT_H

#include "rebuild/plan.h"
#include "trace/newborn.h"

/* clone_fd: our socket to it, of a clone; a spare waits in here until it is taken. */
THUMP_MUST_CHECK int thump_commit(struct thump_plan *plan, struct thump_region *region,
				  struct thump_newborn *newborn, int clone_fd,
				  struct thump_err *err);

/* Moves absolute times that threads wait for by what the clocks differ from the image's. */
THUMP_MUST_CHECK int thump_shift_deadlines(const struct thump_plan *plan,
					   const struct thump_newborn *newborn,
					   struct thump_err *err);
/* Where the threads have other tids than in the image, writes these over those that the program
 * remembers. */
THUMP_MUST_CHECK int thump_write_tids(const struct thump_plan *plan,
				      const struct thump_region *region,
				      const struct thump_newborn *newborn, struct thump_err *err);
/* Writes what the program's runtime wants to know. */
THUMP_MUST_CHECK int thump_write_parameters(const struct thump_plan *plan,
					    const struct thump_newborn *newborn,
					    struct thump_err *err);

#endif
