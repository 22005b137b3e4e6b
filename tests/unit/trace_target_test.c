/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "trace/target.h"

/* ---- victims: children that do something, say so through a pipe, and are ended --------------- */

struct victim {
	pid_t pid;
	int pipe_fd; /* what it says */
};

static void say(int fd, char word)
{
	if (write(fd, &word, 1) != 1)
		_exit(99);
}

static char heard(const struct victim *victim)
{
	char word = 0;

	return read(victim->pipe_fd, &word, 1) == 1 ? word : '\0';
}

static struct victim start(void (*body)(int fd))
{
	struct victim victim;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	victim.pid = fork();
	if (victim.pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)prctl(PR_SET_NAME, "victim");
		(void)close(fds[0]);
		body(fds[1]);
		_exit(0);
	}
	(void)close(fds[1]);
	victim.pipe_fd = fds[0];
	assert_int_equal(heard(&victim), 'r');
	return victim;
}

static int wait_status(pid_t pid)
{
	int status = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void end(struct victim *victim)
{
	(void)kill(victim->pid, SIGKILL);
	(void)wait_status(victim->pid);
	thump_close_fd(&victim->pipe_fd);
}

static struct thump_target *stopped(pid_t pid)
{
	struct thump_target *target = NULL;
	struct thump_err err = THUMP_ERR_INIT;

	if (thump_target_stop(pid, 1000, &target, &err) != 0)
		fail_msg("%s", err.text);
	return target;
}

static void pause_for_ever(int fd)
{
	say(fd, 'r');
	for (;;)
		(void)pause();
}

static void *pause_thread(void *arg)
{
	pause_for_ever(*(int *)arg);
	return NULL;
}

static void pause_in_three_threads(int fd)
{
	pthread_t thread;
	int quiet[2];
	char word;

	if (pipe(quiet) != 0)
		_exit(98);
	for (int i = 0; i < 2; i++) {
		if (pthread_create(&thread, NULL, pause_thread, &quiet[1]) != 0 ||
		    read(quiet[0], &word, 1) != 1)
			_exit(97);
	}
	pause_for_ever(fd);
}

/* ---- tests -------------------------------------------------------------------------------------
 */

static void remote_calls_run_in_every_thread_and_leave_no_trace(void **state)
{
	const uint64_t no_args[6] = { 0 };
	struct victim victim = start(pause_in_three_threads);
	struct thump_target *target = stopped(victim.pid);
	struct thump_err err = THUMP_ERR_INIT;
	struct remote_addr area;
	long result;

	(void)state;
	assert_int_equal(target->nr_threads, 3);
	assert_int_equal(target->threads[0].tid, victim.pid);
	for (size_t i = 0; i < 3; i++) {
		if (thump_remote_syscall_in(target, i, SYS_gettid, no_args, &result, &err) != 0)
			fail_msg("%s", err.text);
		assert_int_equal(result, target->threads[i].tid);
		assert_int_equal(target->threads[i].blocked_syscall, SYS_pause);
	}
	assert_int_equal(thump_remote_area(target, &area, &err), 0);
	{
		const uint64_t args[6] = { PR_GET_NAME, area.addr };
		char name[16];

		assert_int_equal(thump_remote_syscall(target, SYS_prctl, args, &result, &err), 0);
		assert_int_equal(result, 0);
		assert_int_equal(thump_target_read(target, area, name, sizeof(name), &err), 0);
		assert_string_equal(name, "victim");
	}
	thump_target_resume(target);
	thump_target_destroy(target);
	end(&victim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remote_calls_run_in_every_thread_and_leave_no_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
