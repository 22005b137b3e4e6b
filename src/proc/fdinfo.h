/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/fdinfo/N, see proc(5): what is common to all kinds, and lists of the kinds' own. */
#ifndef THUMP_PROC_FDINFO_H
#define THUMP_PROC_FDINFO_H

#include "base/arena.h"
#include "base/err.h"

struct thump_fdinfo {
	uint64_t pos;
	uint32_t open_flags; /* O_* without O_CLOEXEC */
	bool cloexec;
	uint32_t mnt_id;
	uint64_t ino; /* 0 before Linux 5.14 */
	bool locked;  /* a `lock:` line: flock, POSIX or OFD lock, or lease */
};

THUMP_MUST_CHECK int thump_fdinfo_parse(const char *text, struct thump_fdinfo *info_ret,
					struct thump_err *err);

/* One `tfd:` line of an epoll descriptor. */
struct thump_epoll_target {
	int32_t fd;
	uint32_t events;
	uint64_t data;
	uint64_t ino; /* of the file, 0 where the kernel does not tell */
	uint64_t sdev;
};

THUMP_MUST_CHECK int thump_epoll_fdinfo_parse(const char *text, struct thump_arena *arena,
					      struct thump_epoll_target **targets_ret,
					      size_t *count_ret, struct thump_err *err);

/* A timerfd: remaining time and interval in nanoseconds. */
struct thump_timerfd_info {
	int32_t clock_id;
	uint64_t ticks;		/* expirations not read yet */
	uint32_t settime_flags; /* TFD_TIMER_* of timerfd_settime */
	uint64_t value_ns, interval_ns;
};

THUMP_MUST_CHECK int thump_timerfd_fdinfo_parse(const char *text,
						struct thump_timerfd_info *info_ret,
						struct thump_err *err);

#endif
