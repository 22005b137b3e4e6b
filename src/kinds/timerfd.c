/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timerfd_create(2). Time stands still between capture and restore: what remained remains, except
 * that an absolute time of the wall clock stays that time.
 *
 * Record: u32 clock, u32 settime flags, u64 ticks (expirations not read yet), u64 remaining (0:
 * disarmed), u64 interval, u64 absolute (time of the wall clock when it goes off; 0 unless it was
 * set as an absolute time of CLOCK_REALTIME).
 */
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/registry.h"
#include "kinds/restore.h"
#include "proc/fdinfo.h"

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#endif

#define NS_PER_S      1000000000U
#define SETTIME_FLAGS ((uint32_t)(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))

struct timerfd {
	clockid_t clock;
	uint32_t flags;
	uint64_t ticks, remaining_ns, interval_ns, absolute_ns;
};

static bool timerfd_matches(const struct thump_fd_facts *facts)
{
	return strcmp(facts->link, "anon_inode:[timerfd]") == 0;
}

static bool is_wall_clock(int clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM;
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now = { 0 };

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static int timerfd_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			   struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	struct thump_timerfd_info info;
	uint64_t absolute = 0;

	if (thump_timerfd_fdinfo_parse(facts->fdinfo, &info, err) < 0)
		return -1;
	/* fdinfo was read a moment ago: late by that moment, never early. */
	if (is_wall_clock(info.clock_id) && (info.settime_flags & TFD_TIMER_ABSTIME) &&
	    info.value_ns)
		absolute = now_ns(CLOCK_REALTIME) + info.value_ns;
	thump_buf_put_u32(record, (uint32_t)info.clock_id);
	thump_buf_put_u32(record, info.settime_flags & SETTIME_FLAGS);
	thump_buf_put_u64(record, info.ticks);
	thump_buf_put_u64(record, info.value_ns);
	thump_buf_put_u64(record, info.interval_ns);
	thump_buf_put_u64(record, absolute);
	return thump_ofd_describe(cap, ofd, err, "timerfd, clock %d, %s%llu ms left", info.clock_id,
				  info.value_ns ? "" : "disarmed, ",
				  (unsigned long long)(info.value_ns / 1000000U));
}

static bool is_clock(uint32_t clock)
{
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_REALTIME_ALARM:
	case CLOCK_BOOTTIME_ALARM:
		return true;
	default:
		return false;
	}
}

static int timerfd_decode(const struct thump_ofd *ofd, struct thump_arena *arena, void **object_ret,
			  struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);
	struct timerfd *timer = thump_arena_alloc(arena, 1, sizeof(*timer));
	uint32_t clock;

	if (!timer)
		return thump_fail(err, "out of memory");
	clock = thump_get_u32(&r);
	timer->clock = (clockid_t)clock;
	timer->flags = thump_get_u32(&r);
	timer->ticks = thump_get_u64(&r);
	timer->remaining_ns = thump_get_u64(&r);
	timer->interval_ns = thump_get_u64(&r);
	timer->absolute_ns = thump_get_u64(&r);
	/* Sums of two of these do not overflow. */
	if (!is_clock(clock) || (timer->flags & ~SETTIME_FLAGS) ||
	    timer->remaining_ns > INT64_MAX || timer->interval_ns > INT64_MAX ||
	    timer->absolute_ns > INT64_MAX)
		r.failed = true;
	*object_ret = timer;
	return thump_reader_done(&r, "timerfd", err);
}

/* The alarm clocks need CAP_WAKE_ALARM. */
static int timerfd_check(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
			 struct thump_problems *problems, struct thump_err *err)
{
	const struct timerfd *timer = object;
	auto_close int fd = timerfd_create(timer->clock, TFD_CLOEXEC);

	(void)err;
	if (fd < 0)
		thump_misfit(rb, ofd_id, problems, "timerfd", "timerfd with clock %d: %s",
			     (int)timer->clock, strerror(errno));
	return 0;
}

static struct timespec to_timespec(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_S),
				  .tv_nsec = (long)(ns % NS_PER_S) };
}

static int arm(int fd, const struct timerfd *timer, struct thump_err *err)
{
	bool absolute = (timer->flags & TFD_TIMER_ABSTIME) != 0;
	uint64_t value = timer->remaining_ns;
	struct itimerspec spec;

	/* ABSTIME is kept for its own sake: the next checkpoint looks at it. */
	if (absolute)
		value = timer->absolute_ns ? timer->absolute_ns : now_ns(timer->clock) + value;
	spec.it_value = to_timespec(value);
	spec.it_interval = to_timespec(timer->interval_ns);
	if (timerfd_settime(fd, (int)timer->flags, &spec, NULL) < 0)
		return thump_fail_errno(err, "timerfd_settime");
	return 0;
}

/*
 * A timer that went off and was not read yet stands still: no time remains, and a periodic one is
 * started again only by read(2) or timerfd_gettime(2) (fs/timerfd.c). The same comes of letting it
 * go off at once. After timerfd_gettime(2) it runs and has ticks.
 */
static int timerfd_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
			   struct thump_err *err)
{
	struct timerfd timer = *(const struct timerfd *)object;
	bool went_off = timer.ticks && !timer.remaining_ns;
	auto_close int fd = timerfd_create(timer.clock, TFD_CLOEXEC);

	(void)rb;
	(void)ofd_id;
	if (fd < 0)
		return thump_fail_errno(err, "timerfd_create");
	if (went_off)
		timer.remaining_ns = 1;
	/* Also without a time: the interval and flags of a disarmed timer show in fdinfo. */
	if ((timer.remaining_ns || timer.interval_ns) && arm(fd, &timer, err) < 0)
		return -1;
	/* Without CONFIG_CHECKPOINT_RESTORE these ticks are lost: ENOTTY. */
	if (timer.ticks && !went_off && ioctl(fd, TFD_IOC_SET_TICKS, &timer.ticks) < 0 &&
	    errno != ENOTTY)
		return thump_fail_errno(err, "ioctl(TFD_IOC_SET_TICKS)");
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

const struct thump_kind thump_kind_timerfd = {
	.name = "timerfd",
	.kind_id = 8,
	.version = 1,
	.matches = timerfd_matches,
	.capture = timerfd_capture,
	.decode = timerfd_decode,
	.check = timerfd_check,
	.rebuild = timerfd_rebuild,
};
