/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel keeps updating the cpu_id of every thread's rseq area (it is registered again), and a
 * second registration is refused as before. */
#include "workload.h"

#include <pthread.h>
#include <sched.h>
#include <sys/rseq.h>
#include <sys/syscall.h>

static pthread_barrier_t barrier;

static struct rseq *own_rseq(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static void verify(void)
{
	volatile struct rseq *rseq = own_rseq();
	cpu_set_t all;

	MUST(sched_getaffinity(0, sizeof(all), &all));
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		cpu_set_t one;

		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		MUST(sched_setaffinity(0, sizeof(one), &one));
		CHECK_EQ(rseq->cpu_id, cpu);
	}
	MUST(sched_setaffinity(0, sizeof(all), &all));
	CHECK_EQ(syscall(SYS_rseq, own_rseq(), 32, 0, RSEQ_SIG), -1);
	CHECK_EQ(errno, EBUSY);
}

static void *thread_main(void *arg)
{
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	verify();
	return arg;
}

int main(void)
{
	pthread_t thread;

	workload_init();
	if (__rseq_size == 0)
		workload_skip("the C library has not registered rseq");
	MUST_PTHREAD(pthread_barrier_init(&barrier, NULL, 2));
	MUST_PTHREAD(pthread_create(&thread, NULL, thread_main, NULL));
	pthread_barrier_wait(&barrier);

	workload_checkpoint();

	verify();
	pthread_barrier_wait(&barrier);
	MUST_PTHREAD(pthread_join(thread, NULL));
	workload_pass();
}
