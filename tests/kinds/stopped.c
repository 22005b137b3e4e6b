/* SPDX-License-Identifier: Apache-2.0 */
/* A process in a group-stop (SIGSTOP from the driver) stays stopped until it gets SIGCONT. */
#include "workload.h"

#include <pthread.h>

static pthread_barrier_t barrier;

static void *thread_main(void *arg)
{
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return arg;
}

int main(void)
{
	pthread_t thread;

	workload_init();
	MUST_PTHREAD(pthread_barrier_init(&barrier, NULL, 2));
	MUST_PTHREAD(pthread_create(&thread, NULL, thread_main, NULL));
	pthread_barrier_wait(&barrier);
	workload_checkpoint();
	pthread_barrier_wait(&barrier);
	MUST_PTHREAD(pthread_join(thread, NULL));
	workload_pass();
}
