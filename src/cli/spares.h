/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's side of spares (spare.h): how many there are, making more, giving one away. All take
 * NULL, for a template without any. Whenever something is in the way, it is noted, and tried again
 * later: a template without spares is still a template.
 */
#ifndef THUMP_CLI_SPARES_H
#define THUMP_CLI_SPARES_H

#include <poll.h>

#include "cli/keeper.h"

THUMP_MUST_CHECK int thump_spares_create(unsigned wanted, struct thump_spares **spares_ret,
					 struct thump_err *err);
/* Those that nobody has taken end. */
void thump_spares_end(struct thump_spares *spares);
void thump_spares_destroy(struct thump_spares *spares);

/* For poll(2): a place for each that is there or being made; how long to wait at most. */
size_t thump_spares_count(const struct thump_spares *spares);
void thump_spares_poll(const struct thump_spares *spares, struct pollfd *fds);
int thump_spares_timeout_ms(const struct thump_spares *spares);
/* Takes note of what the first `count` have said, or that they have ended. */
void thump_spares_hear(struct thump_spares *spares, const struct thump_keeper *keeper,
		       const struct pollfd *fds, size_t count);
/* Begins to make one, when it is time and there is memory. */
void thump_spares_tend(struct thump_spares *spares, struct thump_keeper *keeper);
/* Gives one away with these descriptors (THUMP_NR_TAKING_FDS); the pid of its maker, 0 for none. */
pid_t thump_spares_take(struct thump_spares *spares, struct thump_keeper *keeper, const int *fds);
/* Whether this child of ours, which has ended, was the maker of one that nobody has taken. */
bool thump_spares_reap(struct thump_spares *spares, pid_t pid);

void thump_spares_describe(const struct thump_spares *spares, const struct thump_keeper *keeper,
			   struct thump_template_hello *hello);

/* The maker, in a child of the keeper (restore.c): the status to end with. */
THUMP_MUST_CHECK int thump_restore_as_spare(const struct thump_template_hello *hello, int keeper_fd,
					    int order_fd);

#endif
