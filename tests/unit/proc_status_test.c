/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proc/status.h"
#include "proc/text.h"

static const char status_text[] = "Name:\ta b\n"
				  "Umask:\t0027\n"
				  "State:\tT (stopped)\n"
				  "Tgid:\t4711\n"
				  "Pid:\t4712\n"
				  "PPid:\t1\n"
				  "TracerPid:\t0\n"
				  "Uid:\t1000\t1001\t1002\t1003\n"
				  "Gid:\t5\t6\t7\t4294967294\n"
				  "Groups:\t4 27 \n"
				  "NStgid:\t4711\t12\t1\n"
				  "NSpid:\t4712\t13\t2\n"
				  "NSpgid:\t4711\t12\t0\n"
				  "NSsid:\t4711\t0\t0\n"
				  "VmLck:\t      16 kB\n"
				  "HugetlbPages:\t       4 kB\n"
				  "THP_enabled:\t0\n"
				  "Threads:\t3\n"
				  "SigPnd:\t0000000000000200\n"
				  "ShdPnd:\t0000000000004000\n"
				  "CapBnd:\t000001ffffffffff\n"
				  "NoNewPrivs:\t1\n"
				  "Seccomp:\t2\n"
				  "Seccomp_filters:\t1\n"
				  "Speculation_Store_Bypass:\tthread vulnerable\n"
				  "x86_Thread_features:\tshstk \n";

static void status_has_ids_of_the_innermost_namespace(void **state)
{
	struct thump_status status;
	struct thump_err err;
	struct thump_arena arena;

	(void)state;
	thump_arena_init(&arena);
	assert_int_equal(thump_status_parse(status_text, &arena, &status, &err), 0);
	assert_int_equal(status.state, 'T');
	assert_int_equal(status.umask, 027);
	assert_int_equal(status.tgid, 4711);
	assert_int_equal(status.pid, 4712);
	assert_int_equal(status.ns_pid, 2);
	assert_int_equal(status.ns_tgid, 1);
	assert_int_equal(status.ns_sid, 0);
	assert_int_equal(status.nspid_levels, 3);
	assert_int_equal(status.uid[3], 1003);
	assert_int_equal(status.gid[3], 4294967294U);
	assert_int_equal(status.nr_groups, 2);
	assert_int_equal(status.groups[1], 27);
	assert_int_equal(status.locked_kib, 16);
	assert_int_equal(status.hugetlb_kib, 4);
	assert_int_equal(status.sigpending, 0x200);
	assert_int_equal(status.shared_pending, 0x4000);
	assert_int_equal(status.cap_bounding, 0x1ffffffffff);
	assert_true(status.no_new_privs);
	assert_false(status.thp_enabled);
	assert_false(status.kernel_thread);
	assert_true(status.shadow_stack);
	assert_int_equal(status.seccomp, 2);
	assert_string_equal(status.speculation_store_bypass, "thread vulnerable");
	assert_string_equal(status.speculation_indirect_branch, "");
	thump_arena_deinit(&arena);
}

static void status_without_required_lines_is_an_error(void **state)
{
	static const char *const bad[] = {
		"",
		"State:\tS\n",
		"State:\n\nPid:\t1\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n",
		"State:\tS\nPid:\t1\nUid:\t0\t0\t0\nGid:\t0\t0\t0\t0\n",
		"State:\tS\nPid:\t1\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t99999999999\n",
	};
	struct thump_status status;
	struct thump_err err;
	struct thump_arena arena;

	(void)state;
	thump_arena_init(&arena);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (thump_status_parse(bad[i], &arena, &status, &err) != -1)
			fail_msg("accepted: %s", bad[i]);
	}
	thump_arena_deinit(&arena);
}

#define STAT_REST                                                                                  \
	" S 10 20 30 34816 -1 4194304 99 0 0 0 0 0 0 0 20 -5 7 0 147476 3133440 360 "              \
	"18446744073709551615 101 102 103 0 0 0 0 0 0 0 0 0 17 1 2 3 0 0 0 201 202 203 301 302 "   \
	"303 304 0\n"

static void stat_survives_any_name(void **state)
{
	struct thump_stat stat;
	struct thump_err err;

	(void)state;
	assert_int_equal(thump_stat_parse("4711 (a) S (b\n)" STAT_REST, &stat, &err), 0);
	assert_int_equal(stat.pid, 4711);
	assert_string_equal(stat.comm, "a) S (b\n");
	assert_int_equal(stat.state, 'S');
	assert_int_equal(stat.ppid, 10);
	assert_int_equal(stat.tty_nr, 34816);
	assert_int_equal(stat.nice, -5);
	assert_int_equal(stat.num_threads, 7);
	assert_int_equal(stat.start_time_ticks, 147476);
	assert_int_equal(stat.start_code, 101);
	assert_int_equal(stat.start_stack, 103);
	assert_int_equal(stat.exit_signal, 17);
	assert_int_equal(stat.rt_priority, 2);
	assert_int_equal(stat.policy, 3);
	assert_int_equal(stat.start_data, 201);
	assert_int_equal(stat.start_brk, 203);
	assert_int_equal(stat.env_end, 304);
}

static void malformed_stat_is_an_error(void **state)
{
	static const char *const bad[] = {
		"",	     "4711",
		"4711 (x",   "4711 (x)",
		"4711 (x) ", "4711 (x) S 1 2 3",
		"x (y) S 1", "4711 (x) S 1 2 three 4",
	};
	struct thump_stat stat;
	struct thump_err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (thump_stat_parse(bad[i], &stat, &err) != -1)
			fail_msg("accepted: %s", bad[i]);
	}
}

static void numbers_do_not_overflow(void **state)
{
	const char *at = "18446744073709551615", *over = "18446744073709551616";
	uint64_t value = 0;

	(void)state;
	assert_true(thump_text_u64(&at, 10, &value));
	assert_true(value == UINT64_MAX);
	assert_false(thump_text_u64(&over, 10, &value));
	assert_string_equal(over, "18446744073709551616");
	assert_true(value == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_has_ids_of_the_innermost_namespace),
		cmocka_unit_test(status_without_required_lines_is_an_error),
		cmocka_unit_test(stat_survives_any_name),
		cmocka_unit_test(malformed_stat_is_an_error),
		cmocka_unit_test(numbers_do_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
