/* SPDX-License-Identifier: Apache-2.0 */
/* timerfds: armed once, periodic, absolute, disarmed, and with expirations not yet read. */
#include "workload.h"

#include <poll.h>
#include <sys/timerfd.h>

static int make(clockid_t clock, int flags, uint64_t value_ns, uint64_t interval_ns)
{
	struct itimerspec spec = {
		.it_value = { (time_t)(value_ns / 1000000000), (long)(value_ns % 1000000000) },
		.it_interval = { (time_t)(interval_ns / 1000000000),
				 (long)(interval_ns % 1000000000) },
	};
	int fd = (int)MUST(timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC));

	MUST(timerfd_settime(fd, flags, &spec, NULL));
	return fd;
}

static uint64_t rest_ns(int fd)
{
	struct itimerspec spec;

	MUST(timerfd_gettime(fd, &spec));
	return (uint64_t)spec.it_value.tv_sec * 1000000000u + (uint64_t)spec.it_value.tv_nsec;
}

static void wait_for(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	CHECK_EQ(MUST(poll(&pollfd, 1, -1)), 1);
}

int main(void)
{
	uint64_t hour = 3600ull * 1000000000, ms = 1000000, ticks, end;
	struct itimerspec spec;
	int once, periodic, absolute, disarmed, expired, realtime;

	workload_init();
	once = make(CLOCK_MONOTONIC, 0, hour, 0);
	periodic = make(CLOCK_MONOTONIC, 0, 20 * ms, 20 * ms);
	end = now_ns(CLOCK_MONOTONIC) + 2 * hour;
	absolute = make(CLOCK_MONOTONIC, TFD_TIMER_ABSTIME, end, hour);
	disarmed = make(CLOCK_BOOTTIME, 0, 0, 0);
	expired = make(CLOCK_MONOTONIC, 0, 1 * ms, 0);
	realtime = make(CLOCK_REALTIME, 0, hour, 0);
	wait_for(expired);

	workload_checkpoint();

	/* Five minutes is more than the driver's deadline. */
	CHECK(rest_ns(once) <= hour && rest_ns(once) > hour - 300000 * ms);
	CHECK(rest_ns(realtime) <= hour && rest_ns(realtime) > hour - 300000 * ms);
	CHECK_EQ(rest_ns(disarmed), 0);
	CHECK(rest_ns(absolute) + now_ns(CLOCK_MONOTONIC) - end + 1000 * ms < 2000 * ms);
	MUST(timerfd_gettime(absolute, &spec));
	CHECK_EQ(spec.it_interval.tv_sec, 3600);
	must_read(expired, &ticks, sizeof(ticks));
	CHECK_EQ(ticks, 1);
	CHECK_EQ(rest_ns(expired), 0);
	wait_for(periodic); /* all may be over before its first expiration */
	must_read(periodic, &ticks, sizeof(ticks));
	CHECK(ticks >= 1);
	wait_for(periodic);
	must_read(periodic, &ticks, sizeof(ticks));
	CHECK(ticks >= 1 && ticks < 100);
	CHECK_EQ(read(once, &ticks, sizeof(ticks)), -1);
	CHECK_EQ(errno, EAGAIN);
	workload_pass();
}
