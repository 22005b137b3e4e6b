/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The init of fresh namespaces, made while the image is being read and the plan being made: the
 * kernel's part of that takes as long as both, and runs on another processor meanwhile.
 *
 * It shares our memory, so that it finds the plan there, and so that nothing is copied: a fork
 * costs more than all that it does. Rules, which follow from it:
 *  - It is cloned by a thread of ours made for that, whose stack is not used, but whose thread
 *    pointer it takes over (errno, malloc): that thread parks without touching either until the
 *    init has ended.
 *  - It shares our descriptors until the go, then gets its own. What it opens before that is closed
 *    before that.
 *  - After its hello it uses nothing but its stack, and frees nothing.
 */
#ifndef THUMP_REBUILD_HEAD_START_H
#define THUMP_REBUILD_HEAD_START_H

#include "rebuild/spawn.h"

struct thump_namespace_setup;
struct thump_head_start;

/* What the init does from the go on, with its namespaces made as *setup tells. */
typedef void thump_init_fn(struct thump_namespace_setup *setup, struct thump_plan *plan,
			   struct thump_rebuild_report *report, int control_fd);

THUMP_MUST_CHECK int thump_head_start_create(thump_init_fn *init,
					     struct thump_head_start **start_ret,
					     struct thump_err *err);
/* Once, before the go: its children's clocks go on from those of `clocks`, or show the machine's
 * (NULL). It gets no further without that. */
void thump_head_start_set_clocks(struct thump_head_start *start,
				 const struct thump_machine *clocks);
/* Lets it go on with plan and report, which stay until its hello. *control_fd_ret is our end of the
 * socket to it, *init_ret its pid; after a failure it is to be destroyed. */
THUMP_MUST_CHECK int thump_head_start_go(struct thump_head_start *start, struct thump_plan *plan,
					 struct thump_rebuild_report *report, int *control_fd_ret,
					 pid_t *init_ret, struct thump_err *err);
#endif
