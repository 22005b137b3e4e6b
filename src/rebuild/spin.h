/* SPDX-License-Identifier: Apache-2.0 */
/* Pids that come up by themselves: the kernel hands them out in a circle (alloc_pid). */
#ifndef THUMP_REBUILD_SPIN_H
#define THUMP_REBUILD_SPIN_H

#include "base/err.h"

/* After the first time round, the kernel gives no pid below this (RESERVED_PIDS of kernel/pid.c).
 */
#define THUMP_RESERVED_PIDS 300

/* What one task started in vain costs, for estimates; measured 10-25 us for tasks that share
 * everything, 57-110 us with the blob's own. */
#define THUMP_SPIN_TASK_US 60

/* How many tasks are started at most to reach a pid, unless somebody says another number. */
#define THUMP_DEFAULT_SPIN_LIMIT 2000

/* The last pid given in our pid namespace (/proc/loadavg) and pid_max; -1 with err. */
THUMP_MUST_CHECK int thump_pid_cursor(uint32_t *last_pid_ret, uint32_t *pid_max_ret,
				      struct thump_err *err);

/*
 * How many tasks must be started before `wanted` comes up, if nobody else starts any. false when
 * it never will: the kernel is past the reserved pids and wanted is one of them.
 */
bool thump_spin_distance(uint32_t last_pid, uint32_t pid_max, uint32_t wanted,
			 uint64_t *distance_ret);

/* Starts one task that shares everything with us and is gone again; *pid_ret is its pid. */
THUMP_MUST_CHECK int thump_spin_task(pid_t *pid_ret, struct thump_err *err);

/* Who holds `pid` in our pid namespace, for messages: `process 12 ("java")`, `thread 13 of process
 * 12 ("java")`, `a process group or session`. Returns text. */
const char *thump_pid_holder(pid_t pid, char *text, size_t text_size);

/* Whether `pid` is taken by a process or thread here, zombies included. */
bool thump_pid_taken(pid_t pid);

#endif
