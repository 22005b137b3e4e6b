/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups: cgroups(7). */
#ifndef THUMP_PROC_CGROUP_H
#define THUMP_PROC_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The path of the group under `controller` in /proc/PID/cgroup, "" for version 2. False when there
 * is none or it is too long. */
bool thump_cgroup_path(const char *text, const char *controller, char *path_ret, size_t size);

/* A file like memory.max or pids.max; UINT64_MAX: no limit ("max", or a number of version 1 that
 * stands for none). False when it is neither. */
bool thump_cgroup_limit(const char *text, uint64_t *limit_ret);

/*
 * The limit of the control group that this process is in, UINT64_MAX for none: of version 2, then
 * of version 1. A container may see its group as the root, whatever /proc/self/cgroup says. Limits
 * of groups above are not looked at, as a container does not see those.
 */
uint64_t thump_cgroup_own_limit(const char *controller, const char *file_v2, const char *file_v1);

/* What a limit leaves of which `usage` is used: pages of files, which are given back when others
 * need them, do not count. `stat` is memory.stat of either version, or "". */
uint64_t thump_cgroup_memory_left(uint64_t limit, uint64_t usage, const char *stat);
/* The same of that group, UINT64_MAX: no limit. */
uint64_t thump_cgroup_own_memory_left(void);

/* How many processors' time that group may use (cpu.max, cpu.cfs_quota_us), rounded up; UINT64_MAX:
 * no limit. */
uint64_t thump_cgroup_own_processors(void);

#endif
