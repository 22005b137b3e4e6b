/* SPDX-License-Identifier: Apache-2.0 */
#include "victim.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "arch/workers_arch.h"

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- registers, with signal handlers in between -------------------------------------------- */

static _Thread_local volatile sig_atomic_t alarms;

static void on_alarm(int signo)
{
	(void)signo;
	alarms++;
	victim_scribble_registers();
}

/* Handlers on an alternate stack, every 2 ms. */
static void start_alarms(void)
{
	const struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_ONSTACK };
	const struct itimerspec every = { .it_value = { .tv_nsec = 2000000 },
					  .it_interval = { .tv_nsec = 2000000 } };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };
	stack_t stack = { .ss_size = (size_t)64 << 10 };
	sigset_t set;
	timer_t timer;

	stack.ss_sp = malloc(stack.ss_size);
	event._sigev_un._tid = gettid();
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGALRM);
	victim_must(stack.ss_sp && sigaltstack(&stack, NULL) == 0 &&
			    sigaction(SIGALRM, &action, NULL) == 0 &&
			    timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 &&
			    timer_settime(timer, 0, &every, NULL) == 0 &&
			    pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0,
		    "alarms");
}

static void hold_registers(void)
{
	const sig_atomic_t before = alarms;

	while (alarms == before)
		victim_hold_registers();
}

/* ---- queued signals: none lost, none twice, in order --------------------------------------- */

#define BURST 8

static _Thread_local volatile int next_value;

static void on_queued(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)context;
	if (info->si_value.sival_int != next_value)
		victim_error("signals", "got value %d instead of %d", info->si_value.sival_int,
			     next_value);
	next_value = info->si_value.sival_int + 1;
}

static void set_up_signals(void)
{
	const struct sigaction action = { .sa_sigaction = on_queued, .sa_flags = SA_SIGINFO };

	victim_must(sigaction(SIGRTMIN + 1, &action, NULL) == 0, "sigaction");
}

static void queue_signals(void)
{
	siginfo_t info = { .si_signo = SIGRTMIN + 1, .si_code = SI_QUEUE };
	const int first = next_value;
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGRTMIN + 1);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < BURST; i++) {
		info.si_pid = getpid();
		info.si_value.sival_int = first + i;
		victim_must(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGRTMIN + 1,
				    &info) == 0,
			    "rt_tgsigqueueinfo");
	}
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	if (next_value != first + BURST)
		victim_error("signals", "%d of %d signals came", next_value - first, BURST);
}

/* ---- time ---------------------------------------------------------------------------------- */

#define NAP_NS	   5000000
#define TIMEOUT_MS 250
/* Far less than a thousand stops take; far more than a busy machine needs. */
#define TOO_LATE_MS 3000

static void check_nap(const char *who, int result, uint64_t before_ns)
{
	const uint64_t slept_ns = now_ns() - before_ns;

	if (result != 0 && errno == EINTR)
		victim_eintr(who);
	else if (result != 0)
		victim_error(who, "%s", strerror(errno));
	else if (slept_ns < NAP_NS)
		victim_error(who, "slept %lu ns only", slept_ns);
}

static void nap(void)
{
	const struct timespec wanted = { .tv_nsec = NAP_NS };
	const uint64_t before_ns = now_ns();

	check_nap("nanosleep", nanosleep(&wanted, NULL), before_ns);
}

/* The remainder is where a restored sleep goes on from. */
static void nap_with_remainder(void)
{
	const struct timespec wanted = { .tv_nsec = NAP_NS };
	const uint64_t before_ns = now_ns();
	struct timespec left = { .tv_sec = AN_HOUR_S };

	check_nap("nanosleep with remainder", nanosleep(&wanted, &left), before_ns);
}

static void nap_until(void)
{
	struct timespec until;
	uint64_t before_ns;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	before_ns = (uint64_t)until.tv_sec * 1000000000 + (uint64_t)until.tv_nsec;
	until.tv_nsec += NAP_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	check_nap("clock_nanosleep", errno == 0 ? 0 : -1, before_ns);
}

/*
 * A timeout that lives in a register: taken back and put in again at every stop. Never early; and
 * stops, however many, do not put it off.
 */
static void time_out(void)
{
	static _Thread_local int epoll_fd = -1;
	const uint64_t before_ns = now_ns();
	struct epoll_event event;
	uint64_t waited_ns;
	int got;

	if (epoll_fd < 0)
		epoll_fd = epoll_create1(0);
	got = epoll_wait(epoll_fd, &event, 1, TIMEOUT_MS);
	waited_ns = now_ns() - before_ns;
	if (got < 0 && errno == EINTR)
		victim_eintr("epoll timeout");
	else if (got != 0 || waited_ns < (uint64_t)TIMEOUT_MS * 1000000)
		victim_error("epoll timeout", "%d after %lu ns", got, waited_ns);
	else if (waited_ns > (uint64_t)TOO_LATE_MS * 1000000)
		victim_late("epoll timeout");
}

static _Thread_local int ticker = -1;

static void set_up_ticks(void)
{
	const struct itimerspec every = { .it_value = { .tv_nsec = NAP_NS },
					  .it_interval = { .tv_nsec = NAP_NS } };

	ticker = timerfd_create(CLOCK_MONOTONIC, 0);
	victim_must(ticker >= 0 && timerfd_settime(ticker, 0, &every, NULL) == 0, "timerfd");
}

static void read_ticks(void)
{
	uint64_t ticks = 0;

	if (read(ticker, &ticks, sizeof(ticks)) != sizeof(ticks) || ticks == 0)
		victim_error("timerfd", "%lu ticks: %s", ticks, strerror(errno));
}

/* ---- threads that come and go -------------------------------------------------------------- */

static void *return_argument(void *arg)
{
	return arg;
}

static void churn_threads(void)
{
	pthread_t thread;
	void *result = NULL;

	victim_must(pthread_create(&thread, NULL, return_argument, &result) == 0, "pthread_create");
	(void)pthread_join(thread, &result);
	if (result != &result)
		victim_error("threads", "a thread returned %p", result);
}

/* ---- per-CPU counters by restartable sequences --------------------------------------------- */

static atomic_ulong rseq_wanted;

/* The sum is looked at by the thread that adds; another one adding makes it only larger. */
static void count_per_cpu(void)
{
	for (int i = 0; i < 50; i++) {
		const unsigned long added = victim_rseq_add();

		(void)atomic_fetch_add(&rseq_wanted, added);
	}
}

static void check_counts(void)
{
	const unsigned long wanted = atomic_load(&rseq_wanted);
	const unsigned long counted = victim_rseq_sum();

	if (counted < wanted)
		victim_error("rseq", "counted %lu of %lu", counted, wanted);
	count_per_cpu();
}

const struct worker victim_workers[] = {
	{ "registers", start_alarms, hold_registers, false },
	{ "tiles", victim_set_up_tiles, victim_hold_tiles, false },
	{ "signals", set_up_signals, queue_signals, false },
	{ "nanosleep", NULL, nap, false },
	{ "nanosleep with remainder", NULL, nap_with_remainder, false },
	{ "clock_nanosleep", NULL, nap_until, false },
	{ "epoll timeout", NULL, time_out, true },
	{ "timerfd", set_up_ticks, read_ticks, false },
	{ "threads", NULL, churn_threads, false },
	{ "rseq", NULL, count_per_cpu, false },
	{ "rseq check", NULL, check_counts, false },
};
const size_t victim_nr_workers = sizeof(victim_workers) / sizeof(victim_workers[0]);
