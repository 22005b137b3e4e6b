/* SPDX-License-Identifier: Apache-2.0 */
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "cli/report.h"

#define MB ((uint64_t)1000000)

/* The test's stderr becomes `fd`; returns the old one. */
static int redirect_stderr(int fd)
{
	const int old = dup(STDERR_FILENO);

	assert_true(old >= 0);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	return old;
}

static void put_stderr_back(int old)
{
	assert_int_equal(dup2(old, STDERR_FILENO), STDERR_FILENO);
	(void)close(old);
}

/* What a terminal gets from work that began so long ago; the end of the text is the clearing. */
static void on_terminal(uint64_t ago_ns, char *text, size_t size)
{
	struct thump_progress progress;
	int master, slave, old;
	ssize_t got;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	old = redirect_stderr(slave);
	thump_progress_init(&progress, "checkpoint");
	progress.start_ns -= ago_ns;
	thump_progress_show(&progress, 25 * MB, 100 * MB);
	thump_progress_show(&progress, 26 * MB, 100 * MB); /* too soon after the other */
	thump_progress_clear(&progress);
	(void)fputc('.', stderr);
	put_stderr_back(old);
	got = read(master, text, size - 1);
	assert_true(got > 0);
	text[got] = '\0';
	(void)close(master);
	(void)close(slave);
}

static void a_bar_for_what_takes_over_a_second(void **state)
{
	char text[256];

	(void)state;
	on_terminal(THUMP_NS_PER_S + 1, text, sizeof(text));
	assert_string_equal(text, "\rcheckpoint [#######                       ]  25% of 100 MB"
				  "\r\033[K.");
}

static void none_for_what_is_quick(void **state)
{
	char text[256];

	(void)state;
	on_terminal(0, text, sizeof(text));
	assert_string_equal(text, ".");
}

static void none_where_there_is_no_terminal(void **state)
{
	struct thump_progress progress;
	char text[256];
	int fds[2], old;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	old = redirect_stderr(fds[1]);
	thump_progress_init(&progress, "verify");
	progress.start_ns -= 2 * THUMP_NS_PER_S;
	thump_progress_show(&progress, 1, 2);
	thump_progress_clear(&progress);
	put_stderr_back(old);
	(void)close(fds[1]);
	assert_int_equal(read(fds[0], text, sizeof(text)), 0);
	(void)close(fds[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bar_for_what_takes_over_a_second),
		cmocka_unit_test(none_for_what_is_quick),
		cmocka_unit_test(none_where_there_is_no_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
