/* SPDX-License-Identifier: Apache-2.0 */
/* Threads: tids, names, TLS, signal masks, alternate stacks, waiting in a futex, and being joined
 * (which needs clear_child_tid). */
#include "workload.h"

#include <pthread.h>
#include <sys/prctl.h>

#define NR_THREADS 8

struct worker {
	pthread_t thread;
	pid_t tid;
	char name[16];
	sigset_t mask;
	stack_t altstack;
	char altstack_bytes[16384];
};

static struct worker workers[NR_THREADS];
static __thread uint64_t in_tls;
static pthread_barrier_t started;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool may_go_on;

static void set_up(struct worker *worker, int number)
{
	worker->tid = sys_gettid();
	snprintf(worker->name, sizeof(worker->name), "worker \"%d\"\n)", number);
	MUST(prctl(PR_SET_NAME, worker->name));
	in_tls = 0xabc000 + (uint64_t)number;
	MUST_PTHREAD(pthread_sigmask(SIG_BLOCK, NULL, &worker->mask));
	sigaddset(&worker->mask, SIGRTMIN + number);
	sigaddset(&worker->mask, number % 2 ? SIGHUP : SIGQUIT);
	MUST_PTHREAD(pthread_sigmask(SIG_SETMASK, &worker->mask, NULL));
	if (number % 3 == 0)
		return;
	worker->altstack.ss_sp = worker->altstack_bytes;
	worker->altstack.ss_size = sizeof(worker->altstack_bytes);
	worker->altstack.ss_flags = number % 3 == 1 ? 0 : (int)(1u << 31); /* SS_AUTODISARM */
	MUST(sigaltstack(&worker->altstack, NULL));
}

static void verify(const struct worker *worker, int number)
{
	char name[16];
	sigset_t mask;
	stack_t altstack;

	CHECK_EQ(sys_gettid(), worker->tid);
	CHECK_EQ(in_tls, 0xabc000 + number);
	CHECK(pthread_equal(pthread_self(), worker->thread));
	MUST(prctl(PR_GET_NAME, name));
	CHECK(strcmp(name, worker->name) == 0);
	MUST_PTHREAD(pthread_sigmask(SIG_BLOCK, NULL, &mask));
	for (int signo = 1; signo <= SIGRTMAX; signo++)
		if (sigismember(&mask, signo) != sigismember(&worker->mask, signo))
			FAIL("thread %d: signal %d has another mask bit", number, signo);
	MUST(sigaltstack(NULL, &altstack));
	if (number % 3 == 0) {
		CHECK_EQ(altstack.ss_flags, SS_DISABLE);
		return;
	}
	CHECK(altstack.ss_sp == worker->altstack.ss_sp);
	CHECK_EQ(altstack.ss_size, worker->altstack.ss_size);
	CHECK_EQ(altstack.ss_flags, worker->altstack.ss_flags);
}

static void *thread_main(void *arg)
{
	struct worker *worker = arg;
	int number = (int)(worker - workers);

	set_up(worker, number);
	pthread_barrier_wait(&started);
	MUST_PTHREAD(pthread_mutex_lock(&lock));
	while (!may_go_on)
		MUST_PTHREAD(pthread_cond_wait(&changed, &lock));
	MUST_PTHREAD(pthread_mutex_unlock(&lock));
	verify(worker, number);
	return NULL;
}

int main(void)
{
	workload_init();
	MUST_PTHREAD(pthread_barrier_init(&started, NULL, NR_THREADS + 1));
	for (int i = 0; i < NR_THREADS; i++)
		MUST_PTHREAD(pthread_create(&workers[i].thread, NULL, thread_main, &workers[i]));
	pthread_barrier_wait(&started);
	for (int i = 0; i < NR_THREADS; i++)
		wait_until_blocked(workers[i].tid);

	workload_checkpoint();

	MUST_PTHREAD(pthread_mutex_lock(&lock));
	may_go_on = true;
	MUST_PTHREAD(pthread_cond_broadcast(&changed));
	MUST_PTHREAD(pthread_mutex_unlock(&lock));
	for (int i = 0; i < NR_THREADS; i++)
		MUST_PTHREAD(pthread_join(workers[i].thread, NULL));
	workload_pass();
}
