/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that ends with a robust mutex held passes it on with EOWNERDEAD: the kernel must know
 * the robust list of every restored thread. */
#include "workload.h"

#include <pthread.h>

static pthread_mutex_t mutex;
static pthread_barrier_t barrier;

static void *holder(void *arg)
{
	MUST_PTHREAD(pthread_mutex_lock(&mutex));
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return arg;
}

int main(void)
{
	pthread_mutexattr_t attr;
	pthread_t thread;

	workload_init();
	MUST_PTHREAD(pthread_mutexattr_init(&attr));
	MUST_PTHREAD(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
	MUST_PTHREAD(pthread_mutex_init(&mutex, &attr));
	MUST_PTHREAD(pthread_barrier_init(&barrier, NULL, 2));
	MUST_PTHREAD(pthread_create(&thread, NULL, holder, NULL));
	pthread_barrier_wait(&barrier);

	workload_checkpoint();

	CHECK_EQ(pthread_mutex_trylock(&mutex), EBUSY);
	pthread_barrier_wait(&barrier);
	MUST_PTHREAD(pthread_join(thread, NULL));
	CHECK_EQ(pthread_mutex_lock(&mutex), EOWNERDEAD);
	MUST_PTHREAD(pthread_mutex_consistent(&mutex));
	MUST_PTHREAD(pthread_mutex_unlock(&mutex));
	workload_pass();
}
