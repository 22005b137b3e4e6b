/* SPDX-License-Identifier: Apache-2.0 */
/* Moving processes between control groups: cgroups(7). */
#ifndef THUMP_PROC_CGROUP_MOVE_H
#define THUMP_PROC_CGROUP_MOVE_H

#include <sys/types.h>

#include "base/err.h"

/* Hierarchies of version 1, and that of version 2; Linux has not half as many. */
#define THUMP_MAX_HIERARCHIES 32

/* The groups that a process is to be moved into, as their cgroup.procs: the kernel goes by who
 * opened these, and where. */
struct thump_cgroup_move {
	size_t count;
	int fds[THUMP_MAX_HIERARCHIES];
};

/*
 * Where the file cgroup.procs of a group lies. `line` is one of /proc/PID/cgroup, `mounts` the text
 * of /proc/self/mountinfo. False when the hierarchy, or this part of it, is mounted nowhere, or the
 * path is too long.
 */
bool thump_cgroup_procs_path(const char *line, size_t len, const char *mounts, char *path_ret,
			     size_t size);

/* The groups of `pid` that another process is to be moved into which has those of `other`; none
 * where both have the same. -1: one of them cannot be moved into. */
THUMP_MUST_CHECK int thump_cgroup_move_open(pid_t pid, pid_t other,
					    struct thump_cgroup_move *move_ret,
					    struct thump_err *err);
void thump_cgroup_move_close(struct thump_cgroup_move *move);

/* Moves a process with all its threads; pid 0: ourselves. */
THUMP_MUST_CHECK int thump_cgroup_move(const struct thump_cgroup_move *move, pid_t pid,
				       struct thump_err *err);

/* Moves us into the group whose directory this is. */
THUMP_MUST_CHECK int thump_cgroup_enter(const char *directory, struct thump_err *err);

#endif
