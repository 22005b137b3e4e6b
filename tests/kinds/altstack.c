/* SPDX-License-Identifier: Apache-2.0 */
/* A thread is checkpointed inside of a handler that runs on its alternate stack; another one uses
 * its alternate stack only afterwards. */
#include "workload.h"

#include <pthread.h>

static char bytes[2][32768];
static pthread_barrier_t barrier;
static volatile sig_atomic_t handled[2];

static bool on_stack(const void *address, int number)
{
	return (const char *)address >= bytes[number] &&
	       (const char *)address < bytes[number] + sizeof(bytes[number]);
}

static void handler(int signo)
{
	int number = signo == SIGRTMIN ? 0 : 1;
	stack_t now;
	char local[500];

	fill_pattern(local, sizeof(local), (uint32_t)signo);
	CHECK(on_stack(local, number));
	if (number == 0) {
		pthread_barrier_wait(&barrier); /* ready */
		pthread_barrier_wait(&barrier); /* checkpointed */
	}
	MUST(sigaltstack(NULL, &now));
	CHECK_EQ(now.ss_flags, SS_ONSTACK);
	CHECK(now.ss_sp == bytes[number]);
	CHECK(has_pattern(local, sizeof(local), (uint32_t)signo));
	handled[number] = 1;
}

static void *thread_main(void *arg)
{
	int number = (int)(uintptr_t)arg;
	stack_t altstack = { .ss_sp = bytes[number], .ss_size = sizeof(bytes[number]) };

	MUST(sigaltstack(&altstack, NULL));
	if (number == 1) {
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
	}
	MUST_PTHREAD(pthread_kill(pthread_self(), SIGRTMIN + number));
	MUST(sigaltstack(NULL, &altstack));
	CHECK_EQ(altstack.ss_flags, 0);
	return NULL;
}

int main(void)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	pthread_t threads[2];

	workload_init();
	MUST(sigaction(SIGRTMIN, &sa, NULL));
	MUST(sigaction(SIGRTMIN + 1, &sa, NULL));
	MUST_PTHREAD(pthread_barrier_init(&barrier, NULL, 3));
	for (uintptr_t i = 0; i < 2; i++)
		MUST_PTHREAD(pthread_create(&threads[i], NULL, thread_main, (void *)i));
	pthread_barrier_wait(&barrier);

	workload_checkpoint();

	pthread_barrier_wait(&barrier);
	for (int i = 0; i < 2; i++) {
		MUST_PTHREAD(pthread_join(threads[i], NULL));
		CHECK_EQ(handled[i], 1);
	}
	workload_pass();
}
