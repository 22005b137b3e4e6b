/* SPDX-License-Identifier: Apache-2.0 */
/* Interval timers: what is left of them, their intervals, and that they go off. */
#include "workload.h"

#include <sys/time.h>

static volatile sig_atomic_t alarms;

static void on_alarm(int signo)
{
	(void)signo;
	alarms++;
}

static void set(int which, long seconds, long interval)
{
	struct itimerval value = { .it_value.tv_sec = seconds, .it_interval.tv_sec = interval };

	MUST(setitimer(which, &value, NULL));
}

static void expect(int which, long seconds, long interval)
{
	struct itimerval value;

	MUST(getitimer(which, &value));
	CHECK_EQ(value.it_interval.tv_sec, interval);
	CHECK_EQ(value.it_interval.tv_usec, 0);
	/* Five minutes is more than the driver's deadline. */
	CHECK(value.it_value.tv_sec <= seconds && value.it_value.tv_sec >= seconds - 300);
}

int main(void)
{
	struct itimerval soon = { .it_value.tv_usec = 1000 };

	workload_init();
	MUST(signal(SIGALRM, on_alarm) == SIG_ERR ? -1 : 0);
	set(ITIMER_REAL, 1000, 50);
	set(ITIMER_VIRTUAL, 2000, 60);
	set(ITIMER_PROF, 3000, 0);

	workload_checkpoint();

	expect(ITIMER_REAL, 1000, 50);
	expect(ITIMER_VIRTUAL, 2000, 60);
	expect(ITIMER_PROF, 3000, 0);
	CHECK_EQ(alarms, 0);
	MUST(setitimer(ITIMER_REAL, &soon, NULL));
	while (alarms == 0)
		;
	workload_pass();
}
