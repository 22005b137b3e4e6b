/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX timers: ids (with a gap), clocks, ways of notifying, remaining time and intervals; the one
 * that goes off goes on doing so. */
#include "workload.h"

#include <sys/syscall.h>

/* SIGRTMIN of glibc and musl is no constant expression. */
#define FIRST_RT 40

struct spec {
	int id;
	clockid_t clock;
	int notify, signo;
	long seconds, interval;
};

static struct spec specs[] = {
	{ .clock = CLOCK_MONOTONIC,
	  .notify = SIGEV_SIGNAL,
	  .signo = FIRST_RT + 1,
	  .seconds = 1000,
	  .interval = 10 },
	{ .clock = CLOCK_REALTIME, .notify = SIGEV_NONE, .seconds = 2000 },
	{ .clock = CLOCK_BOOTTIME, .notify = SIGEV_THREAD_ID, .signo = FIRST_RT + 2, .seconds = 0 },
	{ .clock = CLOCK_PROCESS_CPUTIME_ID,
	  .notify = SIGEV_SIGNAL,
	  .signo = FIRST_RT + 3,
	  .seconds = 3000 },
};

static int create(clockid_t clock, int notify, int signo)
{
	struct sigevent event = { .sigev_notify = notify,
				  .sigev_signo = signo,
				  .sigev_value.sival_int = 4711 };
	int id;

	if (notify == SIGEV_THREAD_ID)
		event._sigev_un._tid = sys_gettid();
	/* The raw call: glibc's timer_t is not the kernel's id for every way of notifying. */
	MUST(syscall(SYS_timer_create, clock, &event, &id));
	return id;
}

static void set(int id, long seconds, long interval_ns)
{
	struct itimerspec value = { .it_value.tv_sec = seconds,
				    .it_interval = { interval_ns / 1000000000,
						     interval_ns % 1000000000 } };

	if (seconds == 0)
		value.it_value = value.it_interval;
	MUST(syscall(SYS_timer_settime, id, 0, &value, NULL));
}

static void verify(const struct spec *spec)
{
	struct itimerspec value;

	MUST(syscall(SYS_timer_gettime, spec->id, &value));
	CHECK_EQ(value.it_interval.tv_sec, spec->interval);
	CHECK(value.it_value.tv_sec <= spec->seconds);
	/* Five minutes is more than the driver's deadline. */
	CHECK(spec->seconds == 0 ? value.it_value.tv_nsec == 0
				 : value.it_value.tv_sec >= spec->seconds - 300);
}

int main(void)
{
	siginfo_t info;
	sigset_t set_of;
	int periodic, gap;

	workload_init();
	sigfillset(&set_of);
	MUST(sigprocmask(SIG_BLOCK, &set_of, NULL));
	gap = create(CLOCK_MONOTONIC, SIGEV_NONE, 0);
	for (size_t i = 0; i < NR_OF(specs); i++) {
		specs[i].id = create(specs[i].clock, specs[i].notify, specs[i].signo);
		if (specs[i].seconds)
			set(specs[i].id, specs[i].seconds, specs[i].interval * 1000000000);
	}
	MUST(syscall(SYS_timer_delete, gap));
	periodic = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, FIRST_RT + 9);
	set(periodic, 0, 20000000);

	workload_checkpoint();

	CHECK_EQ(syscall(SYS_timer_getoverrun, gap), -1);
	for (size_t i = 0; i < NR_OF(specs); i++)
		verify(&specs[i]);
	sigemptyset(&set_of);
	sigaddset(&set_of, FIRST_RT + 9);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(MUST(sigwaitinfo(&set_of, &info)), FIRST_RT + 9);
		CHECK_EQ(info.si_code, SI_TIMER);
		CHECK_EQ(info.si_timerid, periodic);
		CHECK_EQ(info.si_value.sival_int, 4711);
	}
	set(specs[2].id, 0, 1000000);
	sigemptyset(&set_of);
	sigaddset(&set_of, FIRST_RT + 2);
	CHECK_EQ(MUST(sigwaitinfo(&set_of, &info)), FIRST_RT + 2);
	workload_pass();
}
