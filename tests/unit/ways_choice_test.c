/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rebuild/abilities.h"
#include "rebuild/spin.h"
#include "rebuild/ways.h"

#define ORDINARY_ID 12345
#define FREE_PID    4000000 /* above what machines with the usual pid_max ever give */

/* ---- where pids come up ------------------------------------------------------------------- */

static void the_next_pid_is_no_task_away(void **state)
{
	uint64_t distance = 99;

	(void)state;
	assert_true(thump_spin_distance(10, 32768, 11, &distance));
	assert_int_equal(distance, 0);
	assert_true(thump_spin_distance(10, 32768, 61, &distance));
	assert_int_equal(distance, 50);
}

static void a_pid_just_passed_is_a_turn_away(void **state)
{
	uint64_t distance;

	(void)state;
	/* 32760..32767, then from 300 on */
	assert_true(thump_spin_distance(32759, 32768, 400, &distance));
	assert_int_equal(distance, 8 + 100);
	assert_true(thump_spin_distance(5000, 32768, 5000, &distance));
	assert_int_equal(distance, (32768 - 5001) + (5000 - 300));
}

static void reserved_and_impossible_pids_never_come(void **state)
{
	uint64_t distance;

	(void)state;
	assert_false(thump_spin_distance(5000, 32768, 71, &distance));
	assert_false(thump_spin_distance(100, 32768, 71, &distance));
	assert_false(thump_spin_distance(100, 32768, 32768, &distance));
	assert_false(thump_spin_distance(100, 32768, 0, &distance));
}

/* ---- spawning ----------------------------------------------------------------------------- */

static void reap(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void spinning_reaches_a_pid_nearby(void **state)
{
	struct thump_err err = THUMP_ERR_INIT;
	uint32_t last_pid, pid_max;
	uint64_t spins;
	pid_t pid;
	int result = -1;

	(void)state;
	/* Other programs start processes, too: one of them may take the pid before us. */
	for (int i = 0; i < 50 && result < 0; i++) {
		pid_t wanted;

		assert_int_equal(thump_pid_cursor(&last_pid, &pid_max, &err), 0);
		wanted = (pid_t)last_pid + 40;
		result = thump_spawn_with_pid(THUMP_WAY_SPIN, wanted, 2000, &pid, &spins, &err);
		if (result == 0 && pid == 0)
			_exit(getpid() == wanted ? 0 : 1);
	}
	if (result < 0)
		fail_msg("%s", err.text);
	reap(pid);
	assert_in_range(spins, 1, 2000);
}

static void spinning_too_far_is_refused_with_numbers(void **state)
{
	struct thump_err err = THUMP_ERR_INIT;
	uint32_t last_pid, pid_max;
	uint64_t spins;
	pid_t pid;

	(void)state;
	assert_int_equal(thump_pid_cursor(&last_pid, &pid_max, &err), 0);
	assert_int_equal(thump_spawn_with_pid(THUMP_WAY_SPIN, (pid_t)(last_pid - 1000), 10, &pid,
					      &spins, &err),
			 -1);
	assert_int_equal(err.code, THUMP_REFUSED);
	/* taken, reserved or too far: whatever it is, the pid is named */
	assert_non_null(strstr(err.text, "pid "));
	assert_int_equal(spins, 0);
}

static void a_taken_pid_is_refused_naming_its_holder(void **state)
{
	static const enum thump_pid_way ways[] = { THUMP_WAY_SET_TID, THUMP_WAY_SPIN };
	struct thump_abilities can = { 0 };
	uint64_t spins;
	pid_t pid;

	(void)state;
	thump_probe_abilities(&can);
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(ways); i++) {
		struct thump_err err = THUMP_ERR_INIT;
		char expected[64];

		if (ways[i] == THUMP_WAY_SET_TID && !can.set_tid)
			continue;
		assert_int_equal(thump_spawn_with_pid(ways[i], getpid(), 2000, &pid, &spins, &err),
				 -1);
		assert_int_equal(err.code, THUMP_REFUSED);
		(void)snprintf(expected, sizeof(expected), "is taken by process %d (\"", getpid());
		assert_non_null(strstr(err.text, expected));
	}
}

static void a_zombie_still_holds_its_pid(void **state)
{
	struct thump_err err = THUMP_ERR_INIT;
	siginfo_t info;
	uint64_t spins;
	pid_t zombie = fork(), pid;

	(void)state;
	if (zombie == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(thump_spawn_with_pid(THUMP_WAY_SPIN, zombie, 2000, &pid, &spins, &err),
			 -1);
	assert_non_null(strstr(err.text, "zombie"));
	reap(zombie);
}

/* ---- choosing ----------------------------------------------------------------------------- */

struct choice {
	struct thump_model model;
	struct thump_task task;
	struct thump_rebuild_options options;
	struct thump_problems problems;
	enum thump_pid_way way;
};

static uint64_t clock_now(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void choice_init(struct choice *choice, pid_t pid)
{
	memset(choice, 0, sizeof(*choice));
	choice->task.tid = pid;
	choice->model.process.pid = pid;
	choice->model.tasks = &choice->task;
	choice->model.nr_tasks = 1;
	choice->model.machine.monotonic_ns = clock_now(CLOCK_MONOTONIC);
	choice->model.machine.boottime_ns = clock_now(CLOCK_BOOTTIME);
	thump_problems_init(&choice->problems);
}

static void choose(struct choice *choice)
{
	struct thump_err err = THUMP_ERR_INIT;

	assert_int_equal(thump_choose_way(&choice->model, &choice->options, &choice->problems,
					  &choice->way, &err),
			 0);
}

static pid_t a_free_pid(const struct thump_abilities *can)
{
	pid_t pid = (pid_t)can->pid_max - 1;

	while (thump_pid_taken(pid))
		pid--;
	return pid;
}

/* What the machine gives decides what is expected; each case says under what it holds. */
static void a_free_pid_is_set_where_that_is_allowed(void **state)
{
	struct thump_abilities can;
	struct choice choice;

	(void)state;
	thump_probe_abilities(&can);
	choice_init(&choice, a_free_pid(&can));
	choose(&choice);
	assert_int_equal(choice.way, can.set_tid	  ? THUMP_WAY_SET_TID
				     : can.user_namespace ? THUMP_WAY_NAMESPACE
							  : THUMP_WAY_NONE);
	thump_problems_deinit(&choice.problems);
}

static void a_taken_pid_needs_a_namespace(void **state)
{
	struct thump_abilities can;
	struct choice choice;

	(void)state;
	thump_probe_abilities(&can);
	choice_init(&choice, getpid());
	choose(&choice);
	assert_int_equal(choice.way, can.user_namespace ? THUMP_WAY_NAMESPACE : THUMP_WAY_NONE);
	thump_problems_deinit(&choice.problems);
}

static void a_pid_above_pid_max_fits_a_namespace_or_nothing(void **state)
{
	struct thump_abilities can;
	struct choice choice;

	(void)state;
	thump_probe_abilities(&can);
	choice_init(&choice, FREE_PID);
	choose(&choice);
	if (can.pid_max <= FREE_PID)
		assert_int_equal(choice.way, can.namespace_pid_max > FREE_PID ? THUMP_WAY_NAMESPACE
									      : THUMP_WAY_NONE);
	thump_problems_deinit(&choice.problems);
}

static void a_clock_that_would_run_back_needs_a_namespace(void **state)
{
	struct thump_abilities can;
	struct choice choice;

	(void)state;
	thump_probe_abilities(&can);
	choice_init(&choice, a_free_pid(&can));
	choice.model.machine.monotonic_ns += UINT64_C(10000000000);
	choose(&choice);
	assert_int_equal(choice.way, can.user_namespace && can.time_namespace ? THUMP_WAY_NAMESPACE
									      : THUMP_WAY_NONE);
	choice.options.allowed_ways = 1u << THUMP_WAY_SET_TID | 1u << THUMP_WAY_SPIN;
	choice.options.spin_limit = UINT32_MAX;
	choose(&choice);
	assert_int_equal(choice.way, THUMP_WAY_NONE);
	assert_int_equal(choice.problems.nr_fatal, 1);
	assert_string_equal(choice.problems.list[0].kind, "clock");
	assert_non_null(strstr(choice.problems.list[0].text, "run back by"));
	choice.options.allow_clock_jump = true;
	choose(&choice);
	assert_int_equal(choice.way, can.set_tid ? THUMP_WAY_SET_TID : THUMP_WAY_SPIN);
	thump_problems_deinit(&choice.problems);
}

static void pid_1_takes_a_namespace(void **state)
{
	struct thump_abilities can = { 0 };
	struct choice choice;

	(void)state;
	thump_probe_namespaces(&can);
	if (!can.user_namespace)
		skip();
	choice_init(&choice, 1);
	choose(&choice);
	assert_int_equal(choice.way, THUMP_WAY_NAMESPACE);
	thump_problems_deinit(&choice.problems);
}

static void pid_1_without_a_namespace_is_refused_with_every_reason(void **state)
{
	struct choice choice;

	(void)state;
	choice_init(&choice, 1);
	choice.options.allowed_ways = 1u << THUMP_WAY_SET_TID | 1u << THUMP_WAY_SPIN;
	choose(&choice);
	assert_int_equal(choice.way, THUMP_WAY_NONE);
	assert_int_equal(choice.problems.nr_fatal, 1);
	assert_string_equal(choice.problems.list[0].kind, "pid");
	assert_non_null(strstr(choice.problems.list[0].text, "spinning: pid 1 is taken by"));
	thump_problems_deinit(&choice.problems);
}

static void other_pids_only_when_vouched(void **state)
{
	struct choice choice;

	(void)state;
	choice_init(&choice, getpid());
	choice.options.allowed_ways = 1u << THUMP_WAY_OTHER;
	choose(&choice);
	assert_int_equal(choice.way, THUMP_WAY_NONE);
	choice.model.process.user_vouched = true;
	choose(&choice);
	assert_int_equal(choice.way, THUMP_WAY_OTHER);
	thump_problems_deinit(&choice.problems);
}

static void other_pids_not_with_a_lock_that_knows_them(void **state)
{
	struct choice choice;

	(void)state;
	choice_init(&choice, getpid());
	choice.options.allowed_ways = 1u << THUMP_WAY_OTHER;
	choice.model.process.user_vouched = true;
	choice.model.tid_obstacle = (char *)"thread 7 holds a lock";
	choose(&choice);
	assert_int_equal(choice.way, THUMP_WAY_NONE);
	assert_int_equal(choice.problems.nr_fatal, 1);
	assert_non_null(strstr(choice.problems.list[0].text, "other pids: thread 7 holds a lock"));
	thump_problems_deinit(&choice.problems);
}

static int run_group(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_next_pid_is_no_task_away),
		cmocka_unit_test(a_pid_just_passed_is_a_turn_away),
		cmocka_unit_test(reserved_and_impossible_pids_never_come),
		cmocka_unit_test(spinning_reaches_a_pid_nearby),
		cmocka_unit_test(spinning_too_far_is_refused_with_numbers),
		cmocka_unit_test(a_taken_pid_is_refused_naming_its_holder),
		cmocka_unit_test(a_zombie_still_holds_its_pid),
		cmocka_unit_test(a_free_pid_is_set_where_that_is_allowed),
		cmocka_unit_test(a_taken_pid_needs_a_namespace),
		cmocka_unit_test(a_pid_above_pid_max_fits_a_namespace_or_nothing),
		cmocka_unit_test(a_clock_that_would_run_back_needs_a_namespace),
		cmocka_unit_test(pid_1_takes_a_namespace),
		cmocka_unit_test(pid_1_without_a_namespace_is_refused_with_every_reason),
		cmocka_unit_test(other_pids_only_when_vouched),
		cmocka_unit_test(other_pids_not_with_a_lock_that_knows_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Once more as somebody who may nothing at all: other ways are expected then. */
static int run_as_ordinary_user(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (setgroups(0, NULL) < 0 ||
		    setresgid(ORDINARY_ID, ORDINARY_ID, ORDINARY_ID) < 0 ||
		    setresuid(ORDINARY_ID, ORDINARY_ID, ORDINARY_ID) < 0 ||
		    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
			_exit(96);
		exit(run_group());
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(void)
{
	int failed = run_group();

	(void)fflush(NULL);
	if (geteuid() == 0)
		failed += run_as_ordinary_user();
	return failed;
}
