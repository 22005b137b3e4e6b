/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "rebuild/verified.h"

static char home[32];

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(home, sizeof(home), "/tmp/thump-test.XXXXXX");
	return mkdtemp(home) ? setenv("XDG_STATE_HOME", home, 1) : -1;
}

static int tear_down(void **state)
{
	char command[64];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf %s", home);
	return system(command);
}

static struct thump_file_state some_state(void)
{
	return (struct thump_file_state){
		.dev = 7, .ino = 11, .size_bytes = 4096, .mtime_ns = 1, .ctime_ns = 2
	};
}

/* The file behind fd does not matter but for fs-verity. */
static bool is_known(const struct thump_file_state *state)
{
	auto_close int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return thump_is_verified(fd, state);
}

static void what_was_noted_is_known(void **state)
{
	struct thump_file_state image = some_state();

	(void)state;
	assert_false(is_known(&image));
	thump_note_verified(&image);
	assert_true(is_known(&image));
	thump_note_verified(&image);
	assert_true(is_known(&image));
}

static void a_changed_file_is_not_known(void **state)
{
	struct thump_file_state image = some_state();
	uint64_t *const fields[] = { &image.dev, &image.ino, &image.size_bytes, &image.mtime_ns,
				     &image.ctime_ns };

	(void)state;
	thump_note_verified(&image);
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(fields); i++) {
		++*fields[i];
		assert_false(is_known(&image));
		--*fields[i];
	}
	assert_true(is_known(&image));
}

static void a_directory_that_others_may_write_is_not_used(void **state)
{
	struct thump_file_state image = some_state();
	char path[64];

	(void)state;
	thump_note_verified(&image);
	(void)snprintf(path, sizeof(path), "%s/thump/verified", home);
	assert_int_equal(chmod(path, 0777), 0);
	assert_false(is_known(&image));
}

static void without_a_home_nothing_is_known(void **state)
{
	struct thump_file_state image = some_state();

	(void)state;
	thump_note_verified(&image);
	assert_int_equal(unsetenv("XDG_STATE_HOME"), 0);
	assert_int_equal(unsetenv("HOME"), 0);
	assert_false(is_known(&image));
	thump_note_verified(&image);
	assert_false(is_known(&image));
}

static void a_state_directory_that_is_missing_is_made(void **state)
{
	struct thump_file_state image = some_state();
	char missing[64];

	(void)state;
	(void)snprintf(missing, sizeof(missing), "%s/state", home);
	assert_int_equal(setenv("XDG_STATE_HOME", missing, 1), 0);
	assert_false(is_known(&image));
	assert_int_equal(access(missing, F_OK), -1);
	thump_note_verified(&image);
	assert_true(is_known(&image));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_noted_is_known),
		TEST(a_changed_file_is_not_known),
		TEST(a_directory_that_others_may_write_is_not_used),
		TEST(without_a_home_nothing_is_known),
		TEST(a_state_directory_that_is_missing_is_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
