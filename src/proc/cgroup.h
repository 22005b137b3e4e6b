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

#endif
