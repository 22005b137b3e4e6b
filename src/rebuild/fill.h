/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filling the new process from here: where content is made by a supply of the image (image/image.h)
 * it goes straight from the threads that make it into the new process, checked on the way. The
 * blob only makes the pages (THUMP_ONLY_PREPARE), and waits.
 */
#ifndef THUMP_REBUILD_FILL_H
#define THUMP_REBUILD_FILL_H

#include "rebuild/jobs.h"
#include "trace/newborn.h"

struct thump_filler;

/* Starts the threads, which wait. *filler_ret is NULL when there can be none. */
THUMP_MUST_CHECK int thump_filler_create(const struct thump_plan *plan,
					 struct thump_filler **filler_ret, struct thump_err *err);
/* Ends them wherever they are; nothing is written from then on. NULL is fine. */
void thump_filler_destroy(struct thump_filler *filler);

/* What is to be filled; both outlive the filler. */
void thump_filler_begin(struct thump_filler *filler, const struct thump_jobs *jobs,
			struct thump_blob_data *blob);
/* Where: before the blob runs. `newborn` outlives the filler. */
void thump_filler_aim(struct thump_filler *filler, const struct thump_newborn *newborn);
/* When the blob has trapped, with or without success: -1 when it is the filler that failed. NULL is
 * fine. */
THUMP_MUST_CHECK int thump_filler_result(struct thump_filler *filler, struct thump_err *err);

#endif
