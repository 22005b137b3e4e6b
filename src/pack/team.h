/* SPDX-License-Identifier: Apache-2.0 */
/* As many threads as there are processors for us, all of which do the same. */
#ifndef THUMP_PACK_TEAM_H
#define THUMP_PACK_TEAM_H

#include <pthread.h>

#include "base/err.h"

struct pack_team {
	pthread_mutex_t lock; /* of what the members share */
	pthread_cond_t changed;
	struct thump_err *err; /* the first failure */
	bool failed;	       /* under lock */
};

/* How many members it is going to have, at most. */
uint32_t pack_team_size(uint64_t nr_tasks);

/*
 * Calls `member` in every thread, the caller's among them, and waits for all. A member that fails
 * (-1) makes the whole fail with its error; others see team->failed and end.
 */
THUMP_MUST_CHECK int pack_team_run(struct pack_team *team, uint64_t nr_tasks,
				   int (*member)(void *ctx, struct thump_err *err), void *ctx,
				   struct thump_err *err);

/* For a member that holds the lock, and leaves what is under it in no state for others. */
void pack_team_fail(struct pack_team *team, const struct thump_err *err);

#endif
