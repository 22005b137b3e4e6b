/* SPDX-License-Identifier: Apache-2.0 */
/* What only the target can tell about the process as a whole: dispositions and timers. */
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "base/fd.h"
#include "capture/context.h"
#include "proc/process.h"

static int fail_result(const char *what, long result, struct thump_err *err)
{
	return thump_fail(err, "%s in the target: %s", what, strerrordesc_np((int)-result));
}

/* ---- dispositions -------------------------------------------------------------------------- */

/* struct kernel_sigaction of x86-64. */
struct raw_sigaction {
	uint64_t handler, flags, restorer, mask;
};

/* A copy needs the end of the area for itself. */
#define NR_AT_ONCE 16

/* Those of signals first + 1 to first + NR_AT_ONCE. */
static int read_actions(struct thump_target *target, int first, struct raw_sigaction *actions,
			struct thump_err *err)
{
	struct remote_addr area;

	_Static_assert(NR_AT_ONCE * sizeof(*actions) <= THUMP_COPY_AREA_SIZE, "they fit");
	_Static_assert(THUMP_NR_SIGNALS % NR_AT_ONCE == 0, "all are asked");
	if (thump_remote_area(target, &area, err) < 0)
		return -1;
	for (int i = 0; i < NR_AT_ONCE; i++) {
		const int signo = first + i + 1;
		const uint64_t at = area.addr + (uint64_t)i * sizeof(*actions);
		const uint64_t args[6] = { (uint64_t)signo, 0, at, sizeof(uint64_t) };
		long result;

		if (signo == SIGKILL || signo == SIGSTOP)
			continue;
		if (thump_remote_syscall(target, SYS_rt_sigaction, args, &result, err) < 0)
			return -1;
		if (result < 0)
			return fail_result("rt_sigaction", result, err);
	}
	return thump_target_read(target, area, actions, NR_AT_ONCE * sizeof(*actions), err);
}

/*
 * All 62: flags and mask of a signal that is ignored or has its default action exist, too
 * (SA_NOCLDWAIT), and a program that asks for the old action gets them.
 */
static int read_all_actions(struct thump_capture *cap, struct thump_target *target,
			    struct thump_err *err)
{
	struct raw_sigaction actions[THUMP_NR_SIGNALS];

	for (int first = 0; first < THUMP_NR_SIGNALS; first += NR_AT_ONCE) {
		if (read_actions(target, first, &actions[first], err) < 0)
			return -1;
	}
	memset(&actions[SIGKILL - 1], 0, sizeof(actions[0]));
	memset(&actions[SIGSTOP - 1], 0, sizeof(actions[0]));
	for (size_t i = 0; i < THUMP_NR_SIGNALS; i++) {
		cap->model.process.sigactions[i] = (struct thump_sigaction){
			.handler = actions[i].handler,
			.flags = actions[i].flags,
			.restorer = actions[i].restorer,
			.mask = actions[i].mask,
		};
	}
	return 0;
}

/* 62 calls are 1 ms: where there will be a copy, that is asked. */
int thump_capture_signals(struct thump_capture *cap, struct thump_err *err)
{
	if (cap->options.live && !cap->options.only_check)
		return 0;
	return read_all_actions(cap, cap->target, err);
}

int thump_capture_signals_of_copy(struct thump_capture *cap, struct thump_err *err)
{
	return read_all_actions(cap, cap->copy, err);
}

/* ---- timers ---------------------------------------------------------------------------------- */

static int read_itimer(struct thump_capture *cap, size_t which, struct thump_err *err)
{
	const uint64_t args[6] = { which, THUMP_AREA };
	struct itimerval timer;
	long result;

	if (thump_capture_call(cap, THUMP_ANY_THREAD, SYS_getitimer, args, &result, err) < 0)
		return -1;
	if (result < 0)
		return fail_result("getitimer", result, err);
	if (thump_capture_area(cap, &timer, sizeof(timer), err) < 0)
		return -1;
	cap->model.process.itimers[which] = (struct thump_itimer){
		.interval_us = (uint64_t)timer.it_interval.tv_sec * 1000000U +
			       (uint64_t)timer.it_interval.tv_usec,
		.value_us = (uint64_t)timer.it_value.tv_sec * 1000000U +
			    (uint64_t)timer.it_value.tv_usec,
	};
	return 0;
}

static uint64_t timespec_ns(const struct timespec *time)
{
	return (uint64_t)time->tv_sec * 1000000000U + (uint64_t)time->tv_nsec;
}

static int read_posix_timer(struct thump_capture *cap, struct thump_posix_timer *timer,
			    struct thump_err *err)
{
	const uint64_t get_args[6] = { (uint64_t)timer->id, THUMP_AREA };
	const uint64_t overrun_args[6] = { (uint64_t)timer->id };
	struct itimerspec spec;
	long result, overrun;

	if (thump_capture_call(cap, THUMP_ANY_THREAD, SYS_timer_gettime, get_args, &result, err) <
	    0)
		return -1;
	if (result < 0)
		return fail_result("timer_gettime", result, err);
	if (thump_capture_area(cap, &spec, sizeof(spec), err) < 0 ||
	    thump_capture_call(cap, THUMP_ANY_THREAD, SYS_timer_getoverrun, overrun_args, &overrun,
			       err) < 0)
		return -1;
	timer->interval_ns = timespec_ns(&spec.it_interval);
	timer->value_ns = timespec_ns(&spec.it_value);
	timer->overrun = overrun > 0 ? (uint32_t)overrun : 0;
	return 0;
}

/* A CPU-time clock: bits 0 and 1 are the kind, bit 2 says thread, the rest is ~tid; with tid 0 the
 * caller itself (include/linux/posix-timers_types.h). */
static void check_timer_clock(struct thump_capture *cap, const struct thump_posix_timer *timer)
{
	if (timer->clock_id >= 0)
		return;
	if (timer->clock_id & 4)
		thump_capture_refuse(cap, "timer",
				     "POSIX timer %d: measures the CPU time of a thread, which "
				     "cannot be saved",
				     timer->id);
	else if ((timer->clock_id & 3) == 3 || (~timer->clock_id >> 3) != 0)
		thump_capture_refuse(cap, "timer",
				     "POSIX timer %d: its clock (%d) belongs to another process "
				     "or a device and cannot be saved",
				     timer->id, timer->clock_id);
}

static int by_id(const void *left, const void *right)
{
	const struct thump_posix_timer *a = left, *b = right;

	return (a->id > b->id) - (a->id < b->id);
}

int thump_capture_timers(struct thump_capture *cap, struct thump_err *err)
{
	auto_free char *text = NULL;
	size_t count;

	for (size_t which = 0; which < THUMP_NR_ITIMERS; which++) {
		if (read_itimer(cap, which, err) < 0)
			return -1;
	}
	if (thump_capture_slurp(cap, "timers", &text, NULL, err) < 0 ||
	    thump_timers_parse(text, &cap->model.arena, &cap->model.timers, &count, err) < 0)
		return -1;
	/* The file is in the order of a hash table; whoever makes them again counts ids upwards. */
	if (count)
		qsort(cap->model.timers, count, sizeof(*cap->model.timers), by_id);
	cap->model.nr_timers = (uint32_t)count;
	for (size_t i = 0; i < count; i++) {
		struct thump_posix_timer *timer = &cap->model.timers[i];

		check_timer_clock(cap, timer);
		if (timer->tid)
			timer->tid = thump_capture_tid(cap, timer->tid);
		if (read_posix_timer(cap, timer, err) < 0)
			return thump_add_context(err, "timer %d", timer->id);
	}
	return 0;
}
