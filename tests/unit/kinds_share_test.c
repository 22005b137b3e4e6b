/* SPDX-License-Identifier: Apache-2.0 */
/* Which descriptors share a description, found in each of the ways. */
#include "kinds_fixture.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "kinds/capture.h"

/* Lowest descriptor of the description of each, from 3 on. */
static const int expected[] = { 3, 4, 3, 6, 7, 6, 9, 10, 9, 12, 12, 14, 15 };

static void make(void)
{
	CHECK(open("/", O_RDONLY) == 3 && open("/", O_RDONLY) == 4 && dup(3) == 5);
	CHECK(epoll_create1(0) == 6 && epoll_create1(0) == 7 && dup(6) == 8);
	CHECK(eventfd(0, 0) == 9 && eventfd(0, 0) == 10 && dup(9) == 11);
	CHECK(socket(AF_UNIX, SOCK_STREAM, 0) == 12 && dup(12) == 13);
	CHECK(open("/etc/passwd", O_RDONLY) == 14 && open("/etc/passwd", O_RDONLY) == 15);
}

/* The flag is changed for a moment only. */
static void check_flags(struct thump_target *target, const struct thump_fd_facts *facts,
			size_t count)
{
	struct thump_fd_facts *again;
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_arena arena;
	size_t again_count;

	thump_arena_init(&arena);
	CHECK(thump_facts_collect(target, true, &arena, &again, &again_count, &err) == 0);
	CHECK(again_count == count);
	for (size_t i = 0; i < count; i++)
		CHECK(again[i].open_flags == facts[i].open_flags);
	thump_arena_deinit(&arena);
}

static void find_in(enum thump_share_way way)
{
	struct thump_target *target = NULL;
	struct thump_fd_facts *facts;
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_arena arena;
	size_t count, first[32];
	pid_t pid = start_maker(&(struct trip){ .make = make });

	thump_arena_init(&arena);
	CHECK(thump_target_stop(pid, 1000, &target, &err) == 0);
	CHECK(thump_facts_collect(target, true, &arena, &facts, &count, &err) == 0);
	CHECK(count == 3 + sizeof(expected) / sizeof(expected[0]));
	CHECK(thump_share_find(target, way, facts, count, first, &err) == 0);
	for (size_t i = 3; i < count; i++)
		CHECK(facts[first[i]].fd == expected[i - 3]);
	check_flags(target, facts, count);
	thump_target_destroy(target);
	thump_arena_deinit(&arena);
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

static void assert_found_in(enum thump_share_way way)
{
	int status;
	pid_t pid = tied_fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(60);
		find_in(way);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void sharing_is_found_by_kcmp(void **state)
{
	(void)state;
	if (syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0) != 0)
		skip();
	assert_found_in(THUMP_SHARE_KCMP);
}

static void sharing_is_found_by_asking_fcntl(void **state)
{
	(void)state;
	if (fcntl(0, 1027, 0) != 1) /* F_DUPFD_QUERY, Linux 6.10 */
		skip();
	assert_found_in(THUMP_SHARE_QUERY);
}

static void sharing_is_found_by_a_flag(void **state)
{
	(void)state;
	assert_found_in(THUMP_SHARE_FLAG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sharing_is_found_by_kcmp),
		cmocka_unit_test(sharing_is_found_by_asking_fcntl),
		cmocka_unit_test(sharing_is_found_by_a_flag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
