/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "cli/policies.h"

static int parse(const char *text, struct thump_arena *arena, struct thump_fd_rules *rules,
		 struct thump_err *err)
{
	thump_arena_init(arena);
	return thump_policies_parse(text, "p", arena, rules, err);
}

static void reads_the_example_of_crac(void **state)
{
	struct thump_fd_rules rules = { .count = 0 };
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_arena arena;

	(void)state;
	assert_int_equal(parse("type: file\npath: /path/to/my/file\naction: close\n---\n"
			       "# Here is some comment\ntype: FILE\npath: **/*.log\n"
			       "action: reopen\nwarn: false",
			       &arena, &rules, &err),
			 0);
	assert_int_equal(rules.count, 2);
	assert_int_equal(rules.list[0].type, THUMP_RULE_FILE);
	assert_int_equal(rules.list[0].action, THUMP_RULE_CLOSE);
	assert_string_equal(rules.list[0].path, "/path/to/my/file");
	assert_false(rules.list[0].quiet);
	assert_int_equal(rules.list[1].action, THUMP_RULE_REOPEN);
	assert_string_equal(rules.list[1].path, "**/*.log");
	assert_true(rules.list[1].quiet);
	thump_arena_deinit(&arena);
}

static void reads_sockets_and_descriptors(void **state)
{
	struct thump_fd_rules rules = { .count = 0 };
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_arena arena;

	(void)state;
	assert_int_equal(parse("type: socket\r\nfamily: IPv6\nlocalAddress: ::1\nlocalPort: *\n"
			       "remotePort: 5432\naction: ignore\n---\n---\n"
			       "type: filedescriptor\nvalue: 123\nregex: '.*epoll.*'\n"
			       "action: error\n---\ntype: socket\nlistening: false\naction: warn\n"
			       "---\ntype: filedescriptor\nkind: inet socket\naction: close\n",
			       &arena, &rules, &err),
			 0);
	assert_int_equal(rules.count, 4);
	assert_int_equal(rules.list[0].listening, -1);
	assert_int_equal(rules.list[2].listening, 0);
	assert_int_equal(rules.list[2].action, THUMP_RULE_WARN);
	assert_string_equal(rules.list[3].kind, "inet socket");
	assert_int_equal(rules.list[0].family, AF_INET6);
	assert_string_equal(rules.list[0].address[0], "::1");
	assert_null(rules.list[0].address[1]);
	assert_int_equal(rules.list[0].port[0], 0);
	assert_int_equal(rules.list[0].port[1], 5432);
	assert_int_equal(rules.list[1].fd, 123);
	assert_string_equal(rules.list[1].regex, ".*epoll.*");
	assert_int_equal(rules.list[1].action, THUMP_RULE_ERROR);
	thump_arena_deinit(&arena);
}

static void names_the_line_that_is_wrong(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ "type: file\n", "p:2: the rule that ends here has no action" },
		{ "action: close\n---\n", "p:2: the rule that ends here has no type" },
		{ "type: door\n", "p:1: type: door is not known" },
		{ "\ntype file\n", "p:2: \"key: value\" is expected" },
		{ "localDoor: 1\n", "p:1: localDoor is not known" },
		{ "localPort: 65536\n", "p:1: localPort: 65536 is no number up to 65535" },
		{ "value: -1\n", "p:1: value: -1 is no number" },
		{ "regex: (\n", "p:1: regex: ( is no regular expression" },
		{ "kind: door\n", "p:1: kind: door is not known" },
		{ "listening: perhaps\n", "p:1: listening: perhaps is not known" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct thump_fd_rules rules = { .count = 0 };
		struct thump_err err = THUMP_ERR_INIT;
		struct thump_arena arena;

		assert_int_equal(parse(cases[i].text, &arena, &rules, &err), -1);
		assert_int_equal(err.code, THUMP_REFUSED);
		assert_non_null(strstr(err.text, cases[i].said));
		thump_arena_deinit(&arena);
	}
}

static void globs_are_those_of_java_nio_file(void **state)
{
	(void)state;
	assert_true(thump_glob_matches("/a/*.log", "/a/b.log"));
	assert_false(thump_glob_matches("/a/*.log", "/a/b/c.log"));
	assert_true(thump_glob_matches("**/*.log", "/a/b/c.log"));
	assert_true(thump_glob_matches("/a/**", "/a/b/c"));
	assert_true(thump_glob_matches("/?[a-c][!x]", "/zby"));
	assert_false(thump_glob_matches("/?[a-c][!x]", "/zbx"));
	assert_false(thump_glob_matches("/?", "//"));
	assert_true(thump_glob_matches("*.{java,c*}", "a.class"));
	assert_false(thump_glob_matches("*.{java,c*}", "a.txt"));
	assert_true(thump_glob_matches("a\\*", "a*"));
	assert_false(thump_glob_matches("a\\*", "ab"));
	assert_false(thump_glob_matches("{a", "a"));
	assert_false(thump_glob_matches("[a", "a"));
	assert_false(thump_glob_matches("", "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_example_of_crac),
		cmocka_unit_test(reads_sockets_and_descriptors),
		cmocka_unit_test(names_the_line_that_is_wrong),
		cmocka_unit_test(globs_are_those_of_java_nio_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
