/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "proc/cgroup.h"
#include "proc/cgroup_move.h"
#include "proc/fdinfo.h"
#include "proc/process.h"

static struct thump_arena arena;
static struct thump_err err;

static int set_up(void **state)
{
	(void)state;
	thump_arena_init(&arena);
	err = THUMP_ERR_INIT;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	thump_arena_deinit(&arena);
	return 0;
}

static const char limits_text[] =
	"Limit                     Soft Limit           Hard Limit           Units     \n"
	"Max cpu time              unlimited            unlimited            seconds   \n"
	"Max file size             unlimited            unlimited            bytes     \n"
	"Max data size             unlimited            unlimited            bytes     \n"
	"Max stack size            8388608              unlimited            bytes     \n"
	"Max core file size        0                    unlimited            bytes     \n"
	"Max resident set          unlimited            unlimited            bytes     \n"
	"Max processes             96343                96344                processes \n"
	"Max open files            1024                 20000                files     \n"
	"Max locked memory         8388608              8388608              bytes     \n"
	"Max address space         unlimited            unlimited            bytes     \n"
	"Max file locks            unlimited            unlimited            locks     \n"
	"Max pending signals       96343                96343                signals   \n"
	"Max msgqueue size         819200               819200               bytes     \n"
	"Max nice priority         0                    0                    \n"
	"Max realtime priority     0                    7                    \n"
	"Max realtime timeout      unlimited            unlimited            us        \n";

static void limits_are_found_by_name(void **state)
{
	struct thump_rlimit limits[THUMP_NR_RLIMITS];

	(void)state;
	assert_int_equal(thump_limits_parse(limits_text, limits, &err), 0);
	assert_true(limits[RLIMIT_CPU].soft == UINT64_MAX);
	assert_int_equal(limits[RLIMIT_STACK].soft, 8388608);
	assert_int_equal(limits[RLIMIT_NPROC].hard, 96344);
	assert_int_equal(limits[RLIMIT_NOFILE].soft, 1024);
	assert_int_equal(limits[RLIMIT_NOFILE].hard, 20000);
	assert_int_equal(limits[RLIMIT_RTPRIO].hard, 7);
}

static void a_missing_limit_is_an_error(void **state)
{
	struct thump_rlimit limits[THUMP_NR_RLIMITS];

	(void)state;
	assert_int_equal(thump_limits_parse("Max cpu time 1 2 seconds\n", limits, &err), -1);
	assert_non_null(strstr(err.text, "Max file size"));
}

static void timers_of_all_notifications(void **state)
{
	static const char text[] = "ID: 4\n"
				   "signal: 14/0000000000000000\n"
				   "notify: signal/pid.14564\n"
				   "ClockID: -2\n"
				   "ID: 2\n"
				   "signal: 32/ffff000000001234\n"
				   "notify: signal/tid.14565\n"
				   "ClockID: 7\n"
				   "ID: 1\n"
				   "signal: 0/0000000000000000\n"
				   "notify: none/pid.14564\n"
				   "ClockID: 1\n";
	struct thump_posix_timer *timers;
	size_t count;

	(void)state;
	assert_int_equal(thump_timers_parse(text, &arena, &timers, &count, &err), 0);
	assert_int_equal(count, 3);
	assert_int_equal(timers[0].id, 4);
	assert_int_equal(timers[0].clock_id, -2);
	assert_int_equal(timers[0].notify, SIGEV_SIGNAL);
	assert_int_equal(timers[1].notify, SIGEV_SIGNAL | SIGEV_THREAD_ID);
	assert_int_equal(timers[1].tid, 14565);
	assert_int_equal(timers[1].signo, 32);
	assert_true(timers[1].sigval == 0xffff000000001234);
	assert_int_equal(timers[2].notify, SIGEV_NONE);
	assert_int_equal(timers[2].tid, 0);
}

static void malformed_timers_are_errors(void **state)
{
	static const char *const bad[] = {
		"ID: 4\n",
		"ID: x\nsignal: 1/0\nnotify: signal/pid.1\nClockID: 0\n",
		"ID: 1\nsignal: 65/0\nnotify: signal/pid.1\nClockID: 0\n",
		"ID: 1\nsignal: 1/0\nnotify: smoke/pid.1\nClockID: 0\n",
		"ID: 1\nsignal: 1/0\nnotify: signal/tid.\nClockID: 0\n",
		"ID: 1\nsignal: 1/0\nnotify: signal/pid.1\nClockID: 99999999999\n",
	};
	struct thump_posix_timer *timers;
	size_t count;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (thump_timers_parse(bad[i], &arena, &timers, &count, &err) != -1)
			fail_msg("accepted: %s", bad[i]);
	}
}

static void auxv_ends_at_null(void **state)
{
	static const uint64_t auxv[] = { AT_SYSINFO_EHDR, 0x7fff0000, AT_PAGESZ, 4096,
					 AT_NULL,	  0,	      AT_UID,	 5 };
	uint64_t value = 0;

	(void)state;
	assert_true(thump_auxv_find(auxv, sizeof(auxv), AT_PAGESZ, &value));
	assert_int_equal(value, 4096);
	assert_false(thump_auxv_find(auxv, sizeof(auxv), AT_UID, &value));
	assert_int_equal(thump_auxv_size(auxv, sizeof(auxv)), 48);
	assert_int_equal(thump_auxv_size(auxv, 40), 0);
}

static void sched_times_are_milliseconds(void **state)
{
	static const char text[] = "cat (1, #threads: 1)\n"
				   "-----\n"
				   "se.exec_start                       :       1472293.568439\n"
				   "se.vruntime                         :           331.5\n";
	uint64_t ns = 0;

	(void)state;
	assert_true(thump_sched_ns(text, "se.exec_start", &ns));
	assert_true(ns == 1472293568439U);
	assert_false(thump_sched_ns(text, "se.vruntime", &ns));
	assert_false(thump_sched_ns(text, "se.exec", &ns));
}

static void children_are_listed(void **state)
{
	int32_t *pids;
	size_t count;

	(void)state;
	assert_int_equal(thump_children_parse("12 345 ", &arena, &pids, &count, &err), 0);
	assert_int_equal(count, 2);
	assert_int_equal(pids[1], 345);
	assert_int_equal(thump_children_parse("", &arena, &pids, &count, &err), 0);
	assert_int_equal(count, 0);
	assert_int_equal(thump_children_parse("12 x", &arena, &pids, &count, &err), -1);
}

static void time_namespace_offsets(void **state)
{
	int64_t monotonic_ns, boottime_ns;

	(void)state;
	assert_int_equal(thump_timens_parse("monotonic        -5         10\n"
					    "boottime          7          0\n",
					    &monotonic_ns, &boottime_ns, &err),
			 0);
	assert_true(monotonic_ns == -4999999990);
	assert_true(boottime_ns == 7000000000);
	assert_int_equal(thump_timens_parse("monotonic 1 2\n", &monotonic_ns, &boottime_ns, &err),
			 -1);
}

static void environment_variables_are_whole_strings(void **state)
{
	static const char text[] = "XTMPDIR=/x\0TMPDIR=/t\0TMPDIR_=/y\0CUT=/c";

	(void)state;
	assert_string_equal(thump_environ_find(text, sizeof(text) - 1, "TMPDIR"), "/t");
	assert_null(thump_environ_find(text, sizeof(text) - 1, "TMP"));
	assert_null(thump_environ_find(text, sizeof(text) - 1, "CUT")); /* not terminated */
	assert_null(thump_environ_find(text, 0, "TMPDIR"));
}

static void fdinfo_flags_without_cloexec(void **state)
{
	struct thump_fdinfo info;

	(void)state;
	assert_int_equal(thump_fdinfo_parse("pos:\t17\nflags:\t02104002\nmnt_id:\t24\nino:\t3\n"
					    "lock:\t1: FLOCK  ADVISORY  WRITE 1 fe:00:3 0 EOF\n",
					    &info, &err),
			 0);
	assert_int_equal(info.pos, 17);
	assert_true(info.cloexec);
	assert_int_equal(info.open_flags, 0104002);
	assert_int_equal(info.ino, 3);
	assert_true(info.locked);
	assert_int_equal(thump_fdinfo_parse("pos:\t17\n", &info, &err), -1);
	assert_int_equal(thump_fdinfo_parse("flags:\t01\n", &info, &err), -1);
}

static void epoll_targets(void **state)
{
	static const char text[] =
		"pos:\t0\nflags:\t02\nmnt_id:\t15\nino:\t1\n"
		"tfd:        7 events:       19 data: ffffffff00000007  pos:0 ino:61af sdev:7\n"
		"tfd:        8 events: 80000001 data:                8 \n";
	struct thump_epoll_target *targets;
	size_t count;

	(void)state;
	assert_int_equal(thump_epoll_fdinfo_parse(text, &arena, &targets, &count, &err), 0);
	assert_int_equal(count, 2);
	assert_int_equal(targets[0].fd, 7);
	assert_int_equal(targets[0].events, 0x19);
	assert_true(targets[0].data == 0xffffffff00000007);
	assert_int_equal(targets[0].ino, 0x61af);
	assert_int_equal(targets[1].events, 0x80000001);
	assert_int_equal(targets[1].ino, 0);
	assert_int_equal(
		thump_epoll_fdinfo_parse("tfd: 7 data: 1\n", &arena, &targets, &count, &err), -1);
}

static void timerfd_times(void **state)
{
	struct thump_timerfd_info info;

	(void)state;
	assert_int_equal(thump_timerfd_fdinfo_parse("pos:\t0\nclockid: 1\nticks: 3\n"
						    "settime flags: 01\nit_value: (2, 49406829)\n"
						    "it_interval: (1, 0)\n",
						    &info, &err),
			 0);
	assert_int_equal(info.clock_id, 1);
	assert_int_equal(info.ticks, 3);
	assert_int_equal(info.settime_flags, 1);
	assert_true(info.value_ns == 2049406829);
	assert_true(info.interval_ns == 1000000000);
	assert_int_equal(
		thump_timerfd_fdinfo_parse("clockid: 1\nticks: 3\nit_value: (2; 4)\n", &info, &err),
		-1);
}

/* ---- /proc/PID/cgroup ------------------------------------------------------------------- */

static void cgroup_paths_of_both_versions(void **state)
{
	static const char text[] =
		"4:cpu,cpuacct:/work\n3:memory:/a:b\n1:name=systemd:/\n0::/v2/x\n";
	char path[32];

	(void)state;
	assert_true(thump_cgroup_path(text, "", path, sizeof(path)));
	assert_string_equal(path, "/v2/x");
	assert_true(thump_cgroup_path(text, "memory", path, sizeof(path)));
	assert_string_equal(path, "/a:b");
	assert_true(thump_cgroup_path(text, "cpuacct", path, sizeof(path)));
	assert_string_equal(path, "/work");
	assert_false(thump_cgroup_path(text, "mem", path, sizeof(path)));
	assert_false(thump_cgroup_path(text, "memory", path, 4));
	assert_false(thump_cgroup_path("no colons\n5:memory\n", "memory", path, sizeof(path)));
}

static void expect_procs(const char *line, const char *wanted)
{
	static const char mounts[] =
		"30 23 0:26 / /sys/fs/cgroup rw - tmpfs cgroup ro,mode=755\n"
		"31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup "
		"rw,cpu,cpuacct\n"
		"32 30 0:28 /docker/1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
		"33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
		"34 30 0:30 / /sys/fs/cgroup/unified rw shared:1 master:2 - cgroup2 cgroup2 rw\n";
	char path[64];
	const bool found = thump_cgroup_procs_path(line, strlen(line), mounts, path, sizeof(path));

	assert_int_equal(found, wanted != NULL);
	if (found)
		assert_string_equal(path, wanted);
}

static void cgroup_procs_by_mount(void **state)
{
	(void)state;
	expect_procs("4:cpu,cpuacct:/build", "/sys/fs/cgroup/cpu,cpuacct/build/cgroup.procs");
	expect_procs("3:memory:/docker/1/a:b", "/sys/fs/cgroup/memory/a:b/cgroup.procs");
	expect_procs("3:memory:/docker/1", "/sys/fs/cgroup/memory/cgroup.procs");
	expect_procs("3:memory:/docker/12", NULL);
	expect_procs("3:memory:/", NULL);
	expect_procs("1:name=systemd:/", "/sys/fs/cgroup/systemd/cgroup.procs");
	expect_procs("0::/v2/x", "/sys/fs/cgroup/unified/v2/x/cgroup.procs");
	expect_procs("5:mem:/x", NULL);
	expect_procs("4:cpu:/a/path/that/is/longer/than/what/it/is/to/be/put/into/by/far", NULL);
	expect_procs("", NULL);
}

static void cgroup_limits_and_none(void **state)
{
	uint64_t limit;

	(void)state;
	assert_true(thump_cgroup_limit("536870912\n", &limit));
	assert_int_equal(limit, 536870912);
	assert_true(thump_cgroup_limit("max\n", &limit));
	assert_true(limit == UINT64_MAX);
	assert_true(thump_cgroup_limit("9223372036854771712\n", &limit));
	assert_true(limit == UINT64_MAX);
	assert_false(thump_cgroup_limit("-1\n", &limit));
	assert_false(thump_cgroup_limit("12 kB\n", &limit));
}

static void memory_left_of_a_group(void **state)
{
	static const char v2[] = "anon 50\nfile 40\ninactive_file 10\nactive_file 20\n";
	static const char v1[] = "cache 40\ninactive_file 1\nactive_file 2\n"
				 "total_inactive_file 10\ntotal_active_file 20\n";

	(void)state;
	assert_int_equal(thump_cgroup_memory_left(200, 100, ""), 100);
	assert_int_equal(thump_cgroup_memory_left(200, 100, v2), 130);
	assert_int_equal(thump_cgroup_memory_left(200, 100, v1), 130);
	assert_int_equal(thump_cgroup_memory_left(200, 20, v2), 200);
	assert_int_equal(thump_cgroup_memory_left(20, 100, v2), 0);
	assert_true(thump_cgroup_memory_left(UINT64_MAX, 100, v2) == UINT64_MAX);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(limits_are_found_by_name),
		test(a_missing_limit_is_an_error),
		test(timers_of_all_notifications),
		test(malformed_timers_are_errors),
		test(auxv_ends_at_null),
		test(sched_times_are_milliseconds),
		test(children_are_listed),
		test(time_namespace_offsets),
		test(environment_variables_are_whole_strings),
		test(fdinfo_flags_without_cloexec),
		test(epoll_targets),
		test(timerfd_times),
		test(cgroup_paths_of_both_versions),
		test(cgroup_procs_by_mount),
		test(cgroup_limits_and_none),
		test(memory_left_of_a_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
