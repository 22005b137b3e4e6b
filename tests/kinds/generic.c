/* SPDX-License-Identifier: Apache-2.0 */
/* A bit of everything, built as PIE, non-PIE, static and static PIE: see CMakeLists.txt. */
#include "workload.h"

#include <pthread.h>
#include <sys/mman.h>

static char in_data[5000] = "initialised data";
static char in_bss[100000];
static __thread uint64_t in_tls = 0x1111222233334444;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int nr_waiting;
static bool may_go_on;

static void *thread_main(void *arg)
{
	uint64_t own = (uint64_t)(uintptr_t)arg;

	in_tls = own;
	MUST_PTHREAD(pthread_mutex_lock(&lock));
	nr_waiting++;
	MUST_PTHREAD(pthread_cond_broadcast(&changed));
	while (!may_go_on)
		MUST_PTHREAD(pthread_cond_wait(&changed, &lock));
	MUST_PTHREAD(pthread_mutex_unlock(&lock));
	CHECK_EQ(in_tls, own);
	return (void *)(uintptr_t)in_tls;
}

/* A new thread shows up in /proc before it has reached its function. */
static void wait_until_waiting(int nr_threads)
{
	MUST_PTHREAD(pthread_mutex_lock(&lock));
	while (nr_waiting < nr_threads)
		MUST_PTHREAD(pthread_cond_wait(&changed, &lock));
	MUST_PTHREAD(pthread_mutex_unlock(&lock));
}

int main(void)
{
	pthread_t threads[4];
	char on_stack[3000], *on_heap = malloc(1000000);
	void *result;

	workload_init();
	CHECK(on_heap != NULL);
	fill_pattern(on_stack, sizeof(on_stack), 1);
	fill_pattern(on_heap, 1000000, 2);
	fill_pattern(in_bss, sizeof(in_bss), 3);
	fill_pattern(in_data + 100, sizeof(in_data) - 100, 4);
	for (uintptr_t i = 0; i < NR_OF(threads); i++)
		MUST_PTHREAD(pthread_create(&threads[i], NULL, thread_main, (void *)(i + 77)));
	wait_until_waiting(NR_OF(threads));

	workload_checkpoint();

	CHECK(has_pattern(on_stack, sizeof(on_stack), 1));
	CHECK(has_pattern(on_heap, 1000000, 2));
	CHECK(has_pattern(in_bss, sizeof(in_bss), 3));
	CHECK(has_pattern(in_data + 100, sizeof(in_data) - 100, 4));
	CHECK(strcmp(in_data, "initialised data") == 0);
	CHECK_EQ(in_tls, 0x1111222233334444);
	MUST_PTHREAD(pthread_mutex_lock(&lock));
	may_go_on = true;
	MUST_PTHREAD(pthread_cond_broadcast(&changed));
	MUST_PTHREAD(pthread_mutex_unlock(&lock));
	for (uintptr_t i = 0; i < NR_OF(threads); i++) {
		MUST_PTHREAD(pthread_join(threads[i], &result));
		CHECK_EQ((uintptr_t)result, i + 77);
	}
	free(on_heap);
	workload_pass();
}
