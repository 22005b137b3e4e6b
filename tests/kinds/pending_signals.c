/* SPDX-License-Identifier: Apache-2.0 */
/* Pending signals: queued with values and in order, for the process and for one thread. */
#include "workload.h"

#include <pthread.h>
#include <sys/syscall.h>

static pthread_barrier_t barrier;

static siginfo_t take(int signo)
{
	struct timespec at_once = { 0, 0 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	/* The raw call: glibc turns SI_TKILL into SI_USER. */
	CHECK_EQ(MUST(syscall(SYS_rt_sigtimedwait, &set, &info, &at_once, 8)), signo);
	return info;
}

static void none_left(int signo)
{
	sigset_t set;

	MUST(sigpending(&set));
	CHECK_EQ(sigismember(&set, signo), 0);
}

static void *thread_main(void *arg)
{
	siginfo_t info;

	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	info = take(SIGHUP);
	CHECK_EQ(info.si_code, SI_TKILL);
	CHECK_EQ(info.si_pid, getpid());
	none_left(SIGHUP);
	return arg;
}

int main(void)
{
	sigset_t all;
	pthread_t thread;
	siginfo_t info;

	workload_init();
	sigfillset(&all);
	MUST(sigprocmask(SIG_BLOCK, &all, NULL));
	MUST_PTHREAD(pthread_barrier_init(&barrier, NULL, 2));
	MUST_PTHREAD(pthread_create(&thread, NULL, thread_main, NULL));
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < 5; i++)
		MUST(sigqueue(getpid(), SIGRTMIN + 2, (union sigval){ .sival_int = 100 + i }));
	MUST(kill(getpid(), SIGTERM));
	MUST(sigqueue(getpid(), SIGALRM, (union sigval){ .sival_ptr = &barrier }));
	MUST_PTHREAD(pthread_kill(thread, SIGHUP));
	MUST_PTHREAD(pthread_kill(pthread_self(), SIGWINCH));

	workload_checkpoint();

	for (int i = 0; i < 5; i++) {
		info = take(SIGRTMIN + 2);
		CHECK_EQ(info.si_code, SI_QUEUE);
		CHECK_EQ(info.si_value.sival_int, 100 + i);
		CHECK_EQ(info.si_pid, getpid());
		CHECK_EQ(info.si_uid, getuid());
	}
	none_left(SIGRTMIN + 2);
	CHECK_EQ(take(SIGTERM).si_code, SI_USER);
	CHECK(take(SIGALRM).si_value.sival_ptr == &barrier);
	CHECK_EQ(take(SIGWINCH).si_code, SI_TKILL);
	none_left(SIGHUP);
	pthread_barrier_wait(&barrier);
	MUST_PTHREAD(pthread_join(thread, NULL));
	workload_pass();
}
