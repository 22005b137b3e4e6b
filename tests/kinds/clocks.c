/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks: that of the wall is the machine's, those of the time since the boot go on, that of the
 * CPU time of a restored process begins anew; overruns of a timer are counted from the next expiry
 * on. */
#include "workload.h"

#include <sys/syscall.h>

#define SIGNO	40
#define BURN_NS UINT64_C(400000000)

static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME };

/* One that should have gone off every million seconds since 1970. */
static int make_overrun(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGNO };
	struct itimerspec value = { .it_value.tv_sec = 1, .it_interval.tv_sec = 1000000 };
	siginfo_t info;
	sigset_t set;
	int id;

	sigemptyset(&set);
	sigaddset(&set, SIGNO);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	MUST(syscall(SYS_timer_create, CLOCK_REALTIME, &event, &id));
	MUST(syscall(SYS_timer_settime, id, TIMER_ABSTIME, &value, NULL));
	CHECK_EQ(MUST(sigwaitinfo(&set, &info)), SIGNO);
	CHECK(syscall(SYS_timer_getoverrun, id) > 0);
	return id;
}

int main(void)
{
	uint64_t before[NR_OF(clocks)];
	enum workload_life life;
	int timer;

	workload_init();
	timer = make_overrun();
	while (now_ns(CLOCK_PROCESS_CPUTIME_ID) < BURN_NS)
		;
	for (size_t i = 0; i < NR_OF(clocks); i++)
		before[i] = now_ns(clocks[i]);

	life = workload_checkpoint();

	for (size_t i = 0; i < NR_OF(clocks); i++) {
		CHECK(now_ns(clocks[i]) >= before[i]);
		/* Longer than the driver's deadline. */
		CHECK(now_ns(clocks[i]) < before[i] + UINT64_C(300000000000));
	}
	CHECK((now_ns(CLOCK_PROCESS_CPUTIME_ID) < BURN_NS) == (life == WORKLOAD_RESTORED));
	CHECK((syscall(SYS_timer_getoverrun, timer) == 0) == (life == WORKLOAD_RESTORED));
	workload_pass();
}
