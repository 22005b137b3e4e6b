/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's side of a capture: start thump, wait in a futex on the coordination page. The wait
 * ends in the original process when the engine has written the outcome, and in the restored one
 * because the page says RESTORED there (coord/abi.h).
 */
#ifndef THUMP_COORD_WAIT_H
#define THUMP_COORD_WAIT_H

#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "coord/abi.h"

static inline uint32_t thump_coord_state(const struct thump_coord_page *page)
{
	return __atomic_load_n(&page->state, __ATOMIC_ACQUIRE);
}

/* FAILED, unless there is an outcome: the engine may have it, or saved us right here. */
void thump_coord_fail(struct thump_coord_page *page, const char *what, const char *why);

/* What the engine is to do. */
enum thump_coord_task {
	THUMP_COORD_LOOK,    /* what is in the way whatever hooks do? */
	THUMP_COORD_DRY_RUN, /* what is in the way? */
	THUMP_COORD_CAPTURE,
};

/* How many words thump_coord_order has at most. */
#define THUMP_COORD_WORDS_MAX 64

struct thump_coord_order {
	const char *thump; /* path */
	enum thump_coord_task task;
	const char *image;
	bool leave_running;
	const char *const *words; /* more options of `thump checkpoint`, up to a NULL; or NULL */
};

/*
 * Starts `thump checkpoint` for this process: 0, an errno, or -1 when it ended with a failure of
 * its own (which it has printed) or not at all (then it is killed). It starts a worker and exits,
 * so that the worker is no child of ours. Descriptors of the program are not inherited. Allocates
 * nothing.
 */
int thump_coord_start(const struct thump_coord_page *page, const struct thump_coord_order *order,
		      const posix_spawn_file_actions_t *actions);

/* What thump_coord_start() does to descriptors. 0 or an errno. Apart from it, because this
 * allocates memory, and that does not. */
int thump_coord_spawn_actions(posix_spawn_file_actions_t *actions_ret);

/* Until there is an outcome, or no engine any more. asker: who is expected to start it, or 0. */
void thump_coord_wait(struct thump_coord_page *page, pid_t asker);

#endif
