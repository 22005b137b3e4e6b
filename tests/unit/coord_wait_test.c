/* SPDX-License-Identifier: Apache-2.0 */
/* A program that waits for the outcome of its checkpoint, and looks after the engine meanwhile. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "coord/abi.h"
#include "coord/wait.h"

#define REFUSED "fd 7: a connection cannot be saved"

struct waiter {
	struct thump_coord_page page;
	pthread_t thread;
	pid_t tid; /* atomic */
};

static void *wait_main(void *arg)
{
	struct waiter *waiter = arg;

	__atomic_store_n(&waiter->tid, gettid(), __ATOMIC_RELEASE);
	thump_coord_wait(&waiter->page, 0);
	return NULL;
}

/* A pid that nobody has: of a child that was reaped. */
static pid_t ended_pid(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

/* proc_pid_syscall(5) */
static bool is_in_futex(pid_t tid)
{
	char path[64];
	long number = -1;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)tid);
	file = tid ? fopen(path, "re") : NULL;
	if (!file)
		return false;
	if (fscanf(file, "%ld", &number) != 1)
		number = -1;
	(void)fclose(file);
	return number == SYS_futex;
}

static void begin(struct waiter *waiter)
{
	*waiter = (struct waiter){ .page = { .state = THUMP_COORD_WAITING } };
	assert_int_equal(pthread_create(&waiter->thread, NULL, wait_main, waiter), 0);
	while (!is_in_futex(__atomic_load_n(&waiter->tid, __ATOMIC_ACQUIRE)))
		(void)sched_yield();
}

/* Nothing wakes the program when the outcome is there: a stop does, unless the wait was over by
 * itself meanwhile. The engine may have ended when the program looks. */
static void an_outcome_that_is_seen_late(void **unused)
{
	struct waiter waiter;
	uint32_t ended = (uint32_t)ended_pid();

	(void)unused;
	begin(&waiter);
	(void)snprintf(waiter.page.text, sizeof(waiter.page.text), REFUSED);
	waiter.page.code = 3;
	__atomic_store_n(&waiter.page.state, THUMP_COORD_FAILED, __ATOMIC_RELEASE);
	__atomic_store_n(&waiter.page.helper_pid, ended, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(waiter.thread, NULL), 0);
	assert_int_equal(waiter.page.state, THUMP_COORD_FAILED);
	assert_int_equal(waiter.page.code, 3);
	assert_string_equal(waiter.page.text, REFUSED);
}

static void an_engine_that_ended_without_one(void **unused)
{
	struct waiter waiter;
	uint32_t ended = (uint32_t)ended_pid();

	(void)unused;
	begin(&waiter);
	__atomic_store_n(&waiter.page.helper_pid, ended, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(waiter.thread, NULL), 0);
	assert_int_equal(waiter.page.state, THUMP_COORD_FAILED);
	assert_string_equal(waiter.page.text, "thump checkpoint: it ended before it had answered");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_outcome_that_is_seen_late),
		cmocka_unit_test(an_engine_that_ended_without_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
