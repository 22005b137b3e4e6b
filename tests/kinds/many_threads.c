/* SPDX-License-Identifier: Apache-2.0 */
/* 200 threads, asleep in a futex, with TLS and names; afterwards more can be started. */
#include "workload.h"

#include <pthread.h>

#define NR_THREADS 200

static __thread uintptr_t in_tls;
static pthread_barrier_t barrier;

static void *thread_main(void *arg)
{
	in_tls = (uintptr_t)arg;
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return (void *)in_tls;
}

static void round_of_threads(bool checkpoint)
{
	pthread_t threads[NR_THREADS];
	pthread_attr_t attr;
	void *result;

	MUST_PTHREAD(pthread_barrier_init(&barrier, NULL, NR_THREADS + 1));
	MUST_PTHREAD(pthread_attr_init(&attr));
	MUST_PTHREAD(pthread_attr_setstacksize(&attr, 65536));
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		MUST_PTHREAD(pthread_create(&threads[i], &attr, thread_main, (void *)i));
	pthread_barrier_wait(&barrier);
	if (checkpoint)
		workload_checkpoint();
	pthread_barrier_wait(&barrier);
	for (uintptr_t i = 0; i < NR_THREADS; i++) {
		MUST_PTHREAD(pthread_join(threads[i], &result));
		CHECK_EQ((uintptr_t)result, i);
	}
	MUST_PTHREAD(pthread_barrier_destroy(&barrier));
}

int main(void)
{
	workload_init();
	round_of_threads(true);
	round_of_threads(false);
	workload_pass();
}
