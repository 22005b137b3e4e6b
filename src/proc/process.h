/* SPDX-License-Identifier: Apache-2.0 */
/* The smaller files of /proc/PID: limits, timers, auxv, sched, children, timens_offsets. */
#ifndef THUMP_PROC_PROCESS_H
#define THUMP_PROC_PROCESS_H

#include "base/err.h"
#include "model/model.h"

/* /proc/PID/limits -> [RLIMIT_*]; "unlimited" is UINT64_MAX (RLIM_INFINITY). */
THUMP_MUST_CHECK int thump_limits_parse(const char *text,
					struct thump_rlimit limits_ret[THUMP_NR_RLIMITS],
					struct thump_err *err);

/*
 * /proc/PID/timers -> id, clock, signal, value and notification of each POSIX timer, in the order
 * of the file; times are not in it. `tid` is a thread for SIGEV_THREAD_ID (as the reader of /proc
 * sees it), else 0.
 */
THUMP_MUST_CHECK int thump_timers_parse(const char *text, struct thump_arena *arena,
					struct thump_posix_timer **timers_ret, size_t *count_ret,
					struct thump_err *err);

/* Value of entry `type` (AT_*) of /proc/PID/auxv; false when there is none. */
bool thump_auxv_find(const void *auxv, size_t size_bytes, uint64_t type, uint64_t *value_ret);

/* Bytes of auxv up to and including AT_NULL; 0 when it does not end. */
size_t thump_auxv_size(const void *auxv, size_t size_bytes);

/* A "name : 1234.567890" line of /proc/PID/sched (milliseconds, six digits) in nanoseconds. */
bool thump_sched_ns(const char *text, const char *name, uint64_t *ns_ret);

/* /proc/PID/task/TID/children: "12 34 "; true when the text is a list of pids. */
THUMP_MUST_CHECK int thump_children_parse(const char *text, struct thump_arena *arena,
					  int32_t **pids_ret, size_t *count_ret,
					  struct thump_err *err);

/* /proc/PID/timens_offsets -> offset in ns of CLOCK_MONOTONIC and CLOCK_BOOTTIME. */
THUMP_MUST_CHECK int thump_timens_parse(const char *text, int64_t *monotonic_ns_ret,
					int64_t *boottime_ns_ret, struct thump_err *err);

/* Value of NAME= in /proc/PID/environ, size_bytes of NUL-terminated strings; NULL: not there. */
const char *thump_environ_find(const char *text, size_t size_bytes, const char *name);

#endif
