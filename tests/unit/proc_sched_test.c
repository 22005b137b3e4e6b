/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "proc/sched.h"

static const char head[] = "bash (22824, #threads: 1)\n"
			   "-------------------------------------------------------------------\n";

static void sched_has_clock_and_switches(void **state)
{
	char text[512];
	struct thump_sched sched;

	(void)state;
	(void)snprintf(text, sizeof(text), "%s%s", head,
		       "se.exec_start                     :      12408421.062623\n"
		       "se.vruntime                       :        257016.736218\n"
		       "nr_switches                       :                  209\n"
		       "nr_voluntary_switches             :                  170\n");
	assert_true(thump_sched_parse(text, &sched));
	assert_int_equal(sched.exec_start_ns, 12408421062623);
	assert_int_equal(sched.nr_switches, 209);
}

static void a_thread_moved_but_not_run_has_no_clock(void **state)
{
	struct thump_sched sched = { .exec_start_ns = 7 };

	(void)state;
	assert_false(thump_sched_parse("se.exec_start : 0.000000\nnr_switches : 209\n", &sched));
	assert_int_equal(sched.exec_start_ns, 7);
}

static void incomplete_sched_is_no_sched(void **state)
{
	struct thump_sched sched;

	(void)state;
	assert_false(thump_sched_parse("", &sched));
	assert_false(thump_sched_parse("se.exec_start : 12\nnr_switches : 3\n", &sched));
	assert_false(thump_sched_parse("se.exec_start : 12.000001\n", &sched));
}

static void cpu_is_that_of_a_sleeper_only(void **state)
{
	(void)state;
#define STAT(state_letter, cpu)                                                                    \
	"7 (a) S (b) " state_letter " 1 7 7 0 -1 4194304 1 0 0 0 1 2 3 4 20 0 1 0 5 6 7 8 9 10 11" \
	" 12 13 14 15 16 17 18 19 20 21 " cpu " 0 0\n"
	assert_int_equal(thump_sched_cpu_asleep(STAT("S", "3")), 3);
	assert_int_equal(thump_sched_cpu_asleep(STAT("R", "3")), -1);
	assert_int_equal(thump_sched_cpu_asleep(STAT("t", "3")), -1);
	assert_int_equal(thump_sched_cpu_asleep(STAT("S", "x")), -1);
	assert_int_equal(thump_sched_cpu_asleep("7 (a) S 1 7"), -1);
	assert_int_equal(thump_sched_cpu_asleep(""), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sched_has_clock_and_switches),
		cmocka_unit_test(a_thread_moved_but_not_run_has_no_clock),
		cmocka_unit_test(incomplete_sched_is_no_sched),
		cmocka_unit_test(cpu_is_that_of_a_sleeper_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
