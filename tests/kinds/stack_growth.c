/* SPDX-License-Identifier: Apache-2.0 */
/* The main stack is content, and goes on growing to its limit; so do stacks of new threads. */
#include "workload.h"

#include <alloca.h>
#include <pthread.h>

static void *thread_main(void *arg)
{
	volatile char *deep = alloca(2 << 20);

	for (size_t i = 0; i < (2 << 20); i += 4096)
		deep[i] = 1;
	return arg;
}

static void __attribute__((noinline)) grow(size_t size_bytes)
{
	volatile char *deep = alloca(size_bytes);

	for (size_t i = size_bytes; i >= 4096; i -= 4096)
		deep[i - 1] = 1;
}

int main(void)
{
	char on_stack[100000];
	pthread_t thread;

	workload_init();
	fill_pattern(on_stack, sizeof(on_stack), 1);

	workload_checkpoint();

	CHECK(has_pattern(on_stack, sizeof(on_stack), 1));
	grow(4 << 20);
	MUST_PTHREAD(pthread_create(&thread, NULL, thread_main, NULL));
	MUST_PTHREAD(pthread_join(thread, NULL));
	workload_pass();
}
