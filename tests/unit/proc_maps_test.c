/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "model/model.h"
#include "proc/maps.h"

static struct thump_arena arena;
static struct thump_maps maps;
static struct thump_err err;

static int set_up(void **state)
{
	(void)state;
	thump_arena_init(&arena);
	thump_maps_init(&maps, &arena);
	err = THUMP_ERR_INIT;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	thump_arena_deinit(&arena);
	return 0;
}

static void maps_of_each_sort(void **state)
{
	static const char text[] =
		"00400000-00401000 r-xp 00001000 fe:00 247278                     /usr/bin/a b\n"
		"00500000-00521000 rw-p 00000000 00:00 0                          [heap]\n"
		"7f0000000000-7f0000001000 rw-s 00002000 00:01 1027               /memfd:x "
		"(deleted)\n"
		"7f0000001000-7f0000002000 ---p 00000000 00:00 0 \n"
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0          [vsyscall]\n";

	(void)state;
	assert_int_equal(thump_maps_parse(&maps, text, &err), 0);
	assert_int_equal(maps.count, 5);
	assert_int_equal(maps.list[0].start, 0x400000);
	assert_int_equal(maps.list[0].end, 0x401000);
	assert_int_equal(maps.list[0].prot, PROT_READ | PROT_EXEC);
	assert_int_equal(maps.list[0].offset, 0x1000);
	assert_int_equal(maps.list[0].dev_major, 0xfe);
	assert_int_equal(maps.list[0].ino, 247278);
	assert_string_equal(maps.list[0].path, "/usr/bin/a b");
	assert_false(maps.list[0].shared);
	assert_string_equal(maps.list[1].path, "[heap]");
	assert_true(maps.list[2].shared);
	assert_true(maps.list[2].deleted);
	assert_string_equal(maps.list[2].path, "/memfd:x");
	assert_int_equal(maps.list[3].prot, PROT_NONE);
	assert_string_equal(maps.list[3].path, "");
	assert_int_equal(maps.list[4].end, 0xffffffffff601000);
}

static void newline_in_a_path_is_unescaped(void **state)
{
	(void)state;
	assert_int_equal(thump_maps_parse(&maps, "1000-2000 r--p 0 08:01 5 /a\\012b\\c\n", &err),
			 0);
	assert_string_equal(maps.list[0].path, "/a\nb\\c");
}

static void smaps_flags_become_traits(void **state)
{
	static const char text[] = "1000-2000 rw-p 00000000 00:00 0 \n"
				   "Size:                  4 kB\n"
				   "Private_Dirty:         4 kB\n"
				   "Swap:                 12 kB\n"
				   "ProtectionKey:         3\n"
				   "VmFlags: rd wr mr mw me gd lo dc wf dd hg sd \n"
				   "2000-3000 rw-p 00000000 00:00 0 [stack]\n"
				   "VmFlags: rd zz yy ht io \n";

	(void)state;
	assert_int_equal(thump_maps_parse(&maps, text, &err), 0);
	assert_int_equal(maps.count, 2);
	assert_true(maps.list[0].have_flags);
	assert_int_equal(maps.list[0].traits,
			 THUMP_VMA_MAYREAD | THUMP_VMA_MAYWRITE | THUMP_VMA_MAYEXEC |
				 THUMP_VMA_GROWSDOWN | THUMP_VMA_LOCKED | THUMP_VMA_DONTFORK |
				 THUMP_VMA_WIPEONFORK | THUMP_VMA_DONTDUMP | THUMP_VMA_HUGEPAGE);
	assert_int_equal(maps.list[0].pkey, 3);
	assert_int_equal(maps.list[0].swap_kib, 12);
	assert_string_equal(maps.list[0].unknown_flag, "");
	assert_int_equal(maps.list[1].traits, THUMP_VMA_HUGETLB | THUMP_VMA_IO);
	assert_string_equal(maps.list[1].unknown_flag, "zz");
}

static void malformed_lines_are_errors(void **state)
{
	static const char *const bad[] = {
		"1000-2000\n",
		"2000-1000 rw-p 0 00:00 0\n",
		"1000-1000 rw-p 0 00:00 0\n",
		"1000-2000 rwxz 0 00:00 0\n",
		"1000-2000 rw-p 0 0000 0\n",
		"1000-2000 rw-p 0 00:00\n",
		"1000-11112222333344445 rw-p 0 00:00 0\n",
		"1000-2000 rw-p 0 00:00 0\n1800-3000 rw-p 0 00:00 0\n",
		"VmFlags: rd\n",
		"\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		thump_maps_init(&maps, &arena);
		err = THUMP_ERR_INIT;
		if (thump_maps_parse(&maps, bad[i], &err) != -1)
			fail_msg("accepted: %s", bad[i]);
		assert_int_equal(err.code, THUMP_FAILED);
	}
}

static int pipe_of(const char *text)
{
	int pipe_fds[2];

	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(write(pipe_fds[1], text, strlen(text)), strlen(text));
	close(pipe_fds[1]);
	return pipe_fds[0];
}

static bool is_same(const char *text)
{
	int fd = pipe_of(text);
	bool same;

	assert_int_equal(thump_maps_compare(&maps, fd, &same, &err), 0);
	close(fd);
	return same;
}

static void maps_are_compared_as_they_are_read(void **state)
{
	static const char text[] = "1000-2000 r--p 00000000 fe:00 7 /x\n2000-3000 rw-p 0 00:00 0\n";
	int fd = pipe_of(text);

	(void)state;
	assert_int_equal(thump_maps_read(&maps, fd, &err), 0);
	close(fd);
	assert_true(is_same(text));
	assert_true(
		is_same("1000-2000 r--p 0 fe:00 7 /x\nVmFlags: rd lo\n2000-3000 rw-p 0 0:0 0\n"));
	assert_false(is_same("1000-2000 r--p 0 fe:00 7 /x\n"));
	assert_false(is_same("1000-2000 r--p 0 fe:00 7 /x\n2000-3000 r--p 0 00:00 0\n"));
	assert_false(is_same("1000-2000 r--p 0 fe:00 7 /x (deleted)\n2000-3000 rw-p 0 0:0 0\n"));
	maps.list[1].prot = PROT_NONE;
	assert_false(is_same(text));
}

static bool is_writable(void *ctx, const struct thump_map *map)
{
	(*(int *)ctx)++;
	return map->prot & PROT_WRITE;
}

static void unwanted_maps_are_left_out(void **state)
{
	int seen = 0;

	(void)state;
	maps.wanted = is_writable;
	maps.wanted_ctx = &seen;
	assert_int_equal(thump_maps_parse(&maps,
					  "1000-2000 rw-p 0 0:0 0 [heap]\nVmFlags: rd lo\n"
					  "2000-3000 r--p 0 0:0 0\nVmFlags: rd dc\n",
					  &err),
			 0);
	assert_int_equal(seen, 2);
	assert_int_equal(maps.count, 1);
	assert_string_equal(maps.list[0].path, "[heap]");
	assert_int_equal(maps.list[0].traits, THUMP_VMA_LOCKED);
	/* Order is that of all. */
	assert_int_equal(thump_maps_parse(&maps, "2800-4000 rw-p 0 0:0 0\n", &err), -1);
}

static void attributes_of_the_same_maps_are_taken(void **state)
{
	struct thump_maps before;

	(void)state;
	thump_maps_init(&before, maps.arena);
	assert_int_equal(
		thump_maps_parse(&before,
				 "1000-2000 r--p 0 0:0 0\nVmFlags: rd dd\n"
				 "3000-5000 rw-p 0 0:0 0\nProtectionKey: 2\nVmFlags: rd zz\n"
				 "6000-7000 rw-p 0 0:0 0\nVmFlags: rd dd\n",
				 &err),
		0);
	assert_int_equal(thump_maps_parse(&maps,
					  "0-1000 r--p 0 0:0 0\n1000-2000 rw-p 0 0:0 0\n"
					  "3000-5000 rw-p 0 0:0 0\n6000-6800 rw-p 0 0:0 0\n",
					  &err),
			 0);
	thump_maps_take_attributes(&maps, &before);
	assert_false(maps.list[0].have_flags);
	assert_false(maps.list[1].have_flags);
	assert_int_equal(maps.list[1].traits, 0);
	assert_int_equal(maps.list[2].pkey, 2);
	assert_string_equal(maps.list[2].unknown_flag, "zz");
	assert_false(maps.list[3].have_flags);
}

static void a_cut_off_file_is_an_error(void **state)
{
	int pipe_fds[2];

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(write(pipe_fds[1], "1000-2000 r-", 12), 12);
	close(pipe_fds[1]);
	assert_int_equal(thump_maps_read(&maps, pipe_fds[0], &err), -1);
	close(pipe_fds[0]);
	assert_non_null(strstr(err.text, "ends inside a line"));
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(maps_of_each_sort),
		test(newline_in_a_path_is_unescaped),
		test(smaps_flags_become_traits),
		test(malformed_lines_are_errors),
		test(maps_are_compared_as_they_are_read),
		test(unwanted_maps_are_left_out),
		test(attributes_of_the_same_maps_are_taken),
		test(a_cut_off_file_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
