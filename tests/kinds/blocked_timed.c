/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads blocked in system calls with a timeout of 4 s: after any number of checkpoints and
 * restores each ends by its timeout, and never early (25 ms are allowed: a remaining time that only
 * the kernel knows is estimated from the moment the thread went to sleep).
 */
#include "workload.h"

#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <netinet/in.h>

#define TIMEOUT_NS   4000000000ull
#define TOLERANCE_NS 25000000ull

struct sleeper {
	const char *name;
	long (*sleep)(void);
	long want;
	int want_errno;
	pthread_t thread;
	pid_t tid;
	uint64_t begin_ns, end_ns;
	long result;
	int error;
};

static pthread_barrier_t started;
static const struct timespec timeout = { TIMEOUT_NS / 1000000000, TIMEOUT_NS % 1000000000 };

static long sleep_nanosleep(void)
{
	return nanosleep(&timeout, NULL);
}

static long sleep_nanosleep_rem(void)
{
	struct timespec rest;

	return nanosleep(&timeout, &rest);
}

static long sleep_clock_absolute(void)
{
	uint64_t end = now_ns(CLOCK_MONOTONIC) + TIMEOUT_NS;
	struct timespec until = { (time_t)(end / 1000000000), (long)(end % 1000000000) };

	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static long sleep_poll(void)
{
	return poll(NULL, 0, TIMEOUT_NS / 1000000);
}

static long sleep_ppoll(void)
{
	return ppoll(NULL, 0, &timeout, NULL);
}

static long sleep_select(void)
{
	struct timeval interval = { TIMEOUT_NS / 1000000000, TIMEOUT_NS % 1000000000 / 1000 };

	return select(0, NULL, NULL, NULL, &interval);
}

static long sleep_epoll(void)
{
	struct epoll_event event;

	return epoll_wait((int)MUST(epoll_create1(EPOLL_CLOEXEC)), &event, 1, TIMEOUT_NS / 1000000);
}

static long sleep_futex(void)
{
	static uint32_t word;

	return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &timeout, NULL, 0);
}

static long sleep_futex_absolute(void)
{
	static uint32_t word;
	uint64_t end = now_ns(CLOCK_MONOTONIC) + TIMEOUT_NS;
	struct timespec until = { (time_t)(end / 1000000000), (long)(end % 1000000000) };

	return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &until, NULL,
		       FUTEX_BITSET_MATCH_ANY);
}

static long sleep_sigtimedwait(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMAX);
	return sigtimedwait(&set, NULL, &timeout);
}

static void set_timeout(int fd)
{
	struct timeval interval = { TIMEOUT_NS / 1000000000, TIMEOUT_NS % 1000000000 / 1000 };

	MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &interval, sizeof(interval)));
}

static long sleep_recv(void)
{
	int fds[2];
	char byte;

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
	set_timeout(fds[0]);
	return recv(fds[0], &byte, 1, 0);
}

static long sleep_accept(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	MUST(bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
	MUST(listen(fd, 5));
	set_timeout(fd);
	return accept(fd, NULL, NULL);
}

static struct sleeper sleepers[] = {
	{ .name = "nanosleep", .sleep = sleep_nanosleep },
	{ .name = "nanosleep with rmtp", .sleep = sleep_nanosleep_rem },
	{ .name = "clock_nanosleep absolute", .sleep = sleep_clock_absolute },
	{ .name = "poll", .sleep = sleep_poll },
	{ .name = "ppoll", .sleep = sleep_ppoll },
	{ .name = "select", .sleep = sleep_select },
	{ .name = "epoll_wait", .sleep = sleep_epoll },
	{ .name = "futex", .sleep = sleep_futex, .want = -1, .want_errno = ETIMEDOUT },
	{ .name = "futex absolute",
	  .sleep = sleep_futex_absolute,
	  .want = -1,
	  .want_errno = ETIMEDOUT },
	{ .name = "sigtimedwait", .sleep = sleep_sigtimedwait, .want = -1, .want_errno = EAGAIN },
	{ .name = "recv SO_RCVTIMEO", .sleep = sleep_recv, .want = -1, .want_errno = EAGAIN },
	{ .name = "accept SO_RCVTIMEO", .sleep = sleep_accept, .want = -1, .want_errno = EAGAIN },
};

static void *thread_main(void *arg)
{
	struct sleeper *sleeper = arg;

	sleeper->tid = sys_gettid();
	pthread_barrier_wait(&started);
	sleeper->begin_ns = now_ns(CLOCK_MONOTONIC);
	sleeper->result = sleeper->sleep();
	sleeper->error = errno;
	sleeper->end_ns = now_ns(CLOCK_MONOTONIC);
	return NULL;
}

int main(void)
{
	sigset_t set;

	workload_init();
	sigemptyset(&set);
	sigaddset(&set, SIGRTMAX);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	MUST_PTHREAD(pthread_barrier_init(&started, NULL, NR_OF(sleepers) + 1));
	for (size_t i = 0; i < NR_OF(sleepers); i++)
		MUST_PTHREAD(pthread_create(&sleepers[i].thread, NULL, thread_main, &sleepers[i]));
	pthread_barrier_wait(&started);
	for (size_t i = 0; i < NR_OF(sleepers); i++)
		wait_until_blocked(sleepers[i].tid);

	/* The original must not use up the time of what is restored after it. */
	if (workload_checkpoint() == WORKLOAD_ORIGINAL)
		workload_pass();

	for (size_t i = 0; i < NR_OF(sleepers); i++) {
		struct sleeper *sleeper = &sleepers[i];

		MUST_PTHREAD(pthread_join(sleeper->thread, NULL));
		if (sleeper->result != sleeper->want ||
		    (sleeper->want == -1 && sleeper->error != sleeper->want_errno))
			FAIL("%s: %ld (%s)", sleeper->name, sleeper->result,
			     strerror(sleeper->error));
		if (sleeper->end_ns - sleeper->begin_ns + TOLERANCE_NS < TIMEOUT_NS)
			FAIL("%s ended %lld us early", sleeper->name,
			     (long long)(TIMEOUT_NS - (sleeper->end_ns - sleeper->begin_ns)) /
				     1000);
	}
	workload_pass();
}
