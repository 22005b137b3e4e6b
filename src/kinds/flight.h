/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors in flight: sent with SCM_RIGHTS (unix(7)) and not yet received. MSG_PEEK gives
 * duplicates of them to whoever calls, so a checkpoint looks at them in its own process. One whose
 * description nobody in the target has a descriptor of is, to the kinds, a descriptor with a number
 * that no process can have.
 */
#ifndef THUMP_KINDS_FLIGHT_H
#define THUMP_KINDS_FLIGHT_H

#include "kinds/capture.h"

/* fs.nr_open stays below; the rest is the number of a descriptor of ours. */
#define THUMP_FLIGHT_FIRST_FD (1 << 30)

static inline bool thump_is_in_flight(int fd)
{
	return fd >= THUMP_FLIGHT_FIRST_FD;
}

/* "fd/N" or "fdinfo/N" below target->proc_fd; absolute for one of ours, see openat(2). */
struct thump_fd_path {
	char text[48];
};
struct thump_fd_path thump_fd_path(const char *folder, int fd);

/* thump_target_dup_fd(), also of one in flight. */
THUMP_MUST_CHECK int thump_facts_dup(const struct thump_target *target, int fd);

/*
 * Appends what is in flight to the *count_ret facts of the target, as far as it can be looked at
 * here; sets cap->sees_flights. What nobody of the target has a descriptor of stays, the rest is
 * known already.
 */
THUMP_MUST_CHECK int thump_flights_collect(struct thump_fd_capture *cap, struct thump_arena *arena,
					   struct thump_fd_facts **facts_ret, size_t *count_ret,
					   struct thump_err *err);

/* The description that a duplicate of ours refers to; THUMP_NO_ID when there is none. */
uint32_t thump_flight_find(const struct thump_fd_capture *cap, int fd);

/* Closes the duplicates. */
void thump_flights_close(const struct thump_fd_capture *cap);

#endif
