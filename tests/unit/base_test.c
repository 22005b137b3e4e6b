/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/fd.h"
#include "base/problems.h"

static void reader_stays_failed_after_a_short_read(void **state)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_reader reader = thump_reader_of("\x01\x02\x03", 3);

	(void)state;
	assert_int_equal(thump_get_u16(&reader), 0x0201);
	assert_int_equal(thump_get_u32(&reader), 0);
	assert_int_equal(thump_get_u8(&reader), 0);
	assert_int_equal(thump_reader_done(&reader, "thing", &err), -1);
	assert_int_equal(err.code, THUMP_DAMAGED);
}

static void reader_refuses_left_over_bytes(void **state)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_reader reader = thump_reader_of("\x01\x02", 2);

	(void)state;
	(void)thump_get_u8(&reader);
	assert_int_equal(thump_reader_done(&reader, "thing", &err), -1);
	assert_non_null(strstr(err.text, "1 bytes left over"));
}

static void strings_round_trip_and_refuse_embedded_nul(void **state)
{
	auto_buf struct thump_buf buf = THUMP_BUF_INIT;
	struct thump_reader reader;
	struct thump_arena arena;

	(void)state;
	thump_arena_init(&arena);
	thump_buf_put_str(&buf, "memfd:x");
	thump_buf_put_blob(&buf, "a\0b", 3);
	reader = thump_reader_of(buf.bytes, buf.size_bytes);
	assert_string_equal(thump_get_str(&reader, &arena, 100), "memfd:x");
	assert_null(thump_get_str(&reader, &arena, 100));
	assert_true(reader.failed);
	thump_arena_deinit(&arena);
}

static void arena_arrays_grow_and_keep_their_content(void **state)
{
	struct thump_arena arena;
	uint32_t *array = NULL;

	(void)state;
	thump_arena_init(&arena);
	for (uint32_t i = 0; i < 1000; i++) {
		array = thump_arena_grow(&arena, array, i, sizeof(*array));
		assert_non_null(array);
		array[i] = i;
	}
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(array[i], i);
	thump_arena_deinit(&arena);
}

static void context_goes_in_front(void **state)
{
	struct thump_err err = THUMP_ERR_INIT;

	(void)state;
	assert_int_equal(thump_refuse(&err, "fd %d", 7), -1);
	assert_int_equal(thump_add_context(&err, "checkpoint"), -1);
	assert_string_equal(err.text, "checkpoint: fd 7");
	assert_int_equal(err.code, THUMP_REFUSED);
}

static void warnings_do_not_stop(void **state)
{
	struct thump_problems problems;
	struct thump_err err = THUMP_ERR_INIT;

	(void)state;
	thump_problems_init(&problems);
	thump_problem_add(&problems, true, 3, "inherited", "fd %d", 3);
	assert_int_equal(thump_problems_check(&problems, "checkpoint", &err), 0);
	thump_problem_add(&problems, false, 4, "tcp", "fd %d", 4);
	assert_int_equal(thump_problems_check(&problems, "checkpoint", &err), -1);
	assert_int_equal(err.code, THUMP_REFUSED);
	assert_int_equal(problems.count, 2);
	thump_problems_deinit(&problems);
}

static void only_regular_files_are_opened(void **state)
{
	char folder[] = "/tmp/thump-base-XXXXXX", path[64];
	struct thump_err err = THUMP_ERR_INIT;
	auto_close int fd = -1;

	(void)state;
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/it", folder);
	assert_int_equal(thump_open_regular(path, O_WRONLY, &fd, &err), -1);
	assert_non_null(strstr(err.text, "No such file"));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(thump_open_regular(path, O_WRONLY, &fd, &err), -1);
	assert_non_null(strstr(err.text, "no regular file"));
	assert_int_equal(fd, -1);
	assert_int_equal(unlink(path), 0);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	thump_close_fd(&fd);
	assert_int_equal(thump_open_regular(path, O_WRONLY | O_APPEND, &fd, &err), 0);
	assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK),
			 O_WRONLY | O_APPEND);
	thump_close_fd(&fd);
	assert_int_equal(thump_open_regular(path, O_RDONLY | O_NONBLOCK, &fd, &err), 0);
	assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDONLY | O_NONBLOCK);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reader_stays_failed_after_a_short_read),
		cmocka_unit_test(reader_refuses_left_over_bytes),
		cmocka_unit_test(strings_round_trip_and_refuse_embedded_nul),
		cmocka_unit_test(arena_arrays_grow_and_keep_their_content),
		cmocka_unit_test(context_goes_in_front),
		cmocka_unit_test(warnings_do_not_stop),
		cmocka_unit_test(only_regular_files_are_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
