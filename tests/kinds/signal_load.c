/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: signal_load: gets signals from outside all the time, while it computes and reads and
 * writes. Those of SIGRTMIN carry a number, and queue: none may be missing, come twice or out of
 * order. Of SIGURG, which do not queue, some come. SIGUSR1 or SIGUSR2: says "seen" and how many
 * numbers of series 1, 2 and 3 it has seen, and ends.
 *
 * usage: signal_load send PID SERIES FILE: sends 10,000 of both each second until standard input is
 * at its end; FILE begins with how many the kernel has taken, as a uint64_t.
 */
#include "workload.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

enum {
	TICK_NS = 1000000,
	SIGNALS_PER_TICK = 10,
	SERIES_SHIFT = 24, /* a value is a series and a number in it, both from 1 */
	MAX_SERIES = 3,
};

/* ---- sender -------------------------------------------------------------------------------- */

static uint64_t *map_count(const char *path)
{
	int fd = (int)MUST(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	uint64_t *count;

	MUST(ftruncate(fd, sizeof(*count)));
	count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(count != MAP_FAILED);
	return count;
}

static bool input_has_ended(void)
{
	char byte;

	return read(STDIN_FILENO, &byte, 1) == 0;
}

/* Where the queue is full (RLIMIT_SIGPENDING) the same number is tried in the next tick. */
static void send_tick(pid_t pid, int series, uint64_t *count)
{
	for (int i = 0; i < SIGNALS_PER_TICK; i++) {
		union sigval value = { .sival_int = series << SERIES_SHIFT | (int)(*count + 1) };

		if (sigqueue(pid, SIGRTMIN, value) < 0) {
			CHECK_EQ(errno, EAGAIN);
			return;
		}
		__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
		MUST(kill(pid, SIGURG));
	}
}

/* A tick that comes late is made up for: the rate holds on a busy machine, too. */
static int send_all(pid_t pid, int series, uint64_t *count)
{
	struct timespec next;

	MUST(fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK));
	MUST(clock_gettime(CLOCK_MONOTONIC, &next));
	while (!input_has_ended()) {
		send_tick(pid, series, count);
		next.tv_nsec += TICK_NS;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL), 0);
	}
	return 0;
}

/* ---- target -------------------------------------------------------------------------------- */

static volatile int numbers[MAX_SERIES + 1], series, urgent;
static volatile bool over;
static int there[2], back[2]; /* pipes */

static void take_number(int signo, siginfo_t *info, void *context)
{
	int value = info->si_value.sival_int;

	(void)signo;
	(void)context;
	CHECK_EQ(info->si_code, SI_QUEUE);
	CHECK(value >> SERIES_SHIFT >= series && value >> SERIES_SHIFT <= MAX_SERIES);
	series = value >> SERIES_SHIFT;
	numbers[series]++;
	CHECK_EQ(value & ((1 << SERIES_SHIFT) - 1), numbers[series]);
}

static void take_urgent(int signo)
{
	(void)signo;
	urgent++;
}

/* The only thread that gets these signals. Nothing here may see an EINTR (SA_RESTART). */
static void *receive(void *unused)
{
	double sum = 0;
	sigset_t set;

	MUST(sigemptyset(&set));
	MUST(sigaddset(&set, SIGRTMIN));
	MUST(sigaddset(&set, SIGURG));
	CHECK_EQ(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
	for (uint32_t round = 0, answer; !over; round++) {
		must_write(there[1], &round, sizeof(round));
		must_read(back[0], &answer, sizeof(answer));
		CHECK_EQ(answer, ~round);
		for (int i = 1; i <= 1000; i++)
			sum += 1.0 / i;
		CHECK(sum > 7.485470860549 && sum < 7.485470860551);
		sum = 0;
	}
	MUST(close(there[1]));
	return unused;
}

static void *echo(void *unused)
{
	uint32_t round;

	while (MUST(read(there[0], &round, sizeof(round))) == sizeof(round)) {
		round = ~round;
		must_write(back[1], &round, sizeof(round));
	}
	return unused;
}

static void block_signals(void)
{
	sigset_t set;

	MUST(sigemptyset(&set));
	MUST(sigaddset(&set, SIGRTMIN));
	MUST(sigaddset(&set, SIGURG));
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
}

/* Blocked here, so that this sees what the process has not got yet. */
static bool is_pending(void)
{
	sigset_t set;

	MUST(sigpending(&set));
	return sigismember(&set, SIGRTMIN);
}

static void receive_all(void)
{
	struct sigaction queued = { .sa_sigaction = take_number,
				    .sa_flags = SA_SIGINFO | SA_RESTART };
	struct sigaction merged = { .sa_handler = take_urgent, .sa_flags = SA_RESTART };
	pthread_t receiver, echoer;

	workload_init();
	block_signals();
	MUST(pipe(there));
	MUST(pipe(back));
	MUST(sigaction(SIGRTMIN, &queued, NULL));
	MUST(sigaction(SIGURG, &merged, NULL));
	CHECK_EQ(pthread_create(&receiver, NULL, receive, NULL), 0);
	CHECK_EQ(pthread_create(&echoer, NULL, echo, NULL), 0);

	workload_checkpoint();

	while (is_pending())
		MUST(sched_yield());
	over = true;
	CHECK_EQ(pthread_join(receiver, NULL), 0);
	CHECK_EQ(pthread_join(echoer, NULL), 0);
	CHECK(urgent > 0);
	workload_tell("seen", "%d %d %d", numbers[1], numbers[2], numbers[3]);
	workload_pass();
}

int main(int argc, char **argv)
{
	if (argc == 5)
		return send_all((pid_t)atoi(argv[2]), atoi(argv[3]), map_count(argv[4]));
	receive_all();
}
