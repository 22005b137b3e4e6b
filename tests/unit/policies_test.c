/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "cli/policies.h"

struct parsed {
	struct thump_arena arena;
	struct thump_fd_rules rules;
	struct thump_err err;
	int status;
};

static struct parsed parse(const char *text)
{
	struct parsed parsed = { .err = THUMP_ERR_INIT };

	thump_arena_init(&parsed.arena);
	parsed.status = thump_policies_parse(text, strlen(text), "p", &parsed.arena, &parsed.rules,
					     &parsed.err);
	return parsed;
}

static struct parsed parse_crac(const char *text)
{
	struct parsed parsed = { .err = THUMP_ERR_INIT };

	thump_arena_init(&parsed.arena);
	parsed.status =
		thump_policies_parse_crac(text, "p", &parsed.arena, &parsed.rules, &parsed.err);
	return parsed;
}

static void reads_the_example_of_crac(void **state)
{
	struct parsed parsed = parse_crac("type: file\npath: /path/to/my/file\naction: close\n---\n"
					  "# Here is some comment\ntype: FILE\npath: **/*.log\n"
					  "action: reopen\nwarn: false");
	const struct thump_fd_rule *list = parsed.rules.list;

	(void)state;
	assert_int_equal(parsed.status, 0);
	assert_int_equal(parsed.rules.count, 2);
	assert_int_equal(list[0].type, THUMP_RULE_FILE);
	assert_int_equal(list[0].action, THUMP_RULE_CLOSE);
	assert_string_equal(list[0].path, "/path/to/my/file");
	assert_string_equal(list[0].source, "p:1");
	assert_false(list[0].quiet);
	assert_int_equal(list[1].action, THUMP_RULE_REOPEN);
	assert_string_equal(list[1].path, "**/*.log");
	assert_string_equal(list[1].source, "p:6");
	assert_true(list[1].quiet);
	thump_arena_deinit(&parsed.arena);
}

static void crac_parts_rules_by_lines(void **state)
{
	struct parsed parsed = parse_crac("---\ntype: socket\r\nlocalPort: *\r\naction: close\r\n"
					  "---\n---\ntype: filedescriptor\nregex: '.*'\n"
					  "action: error\n---\n");

	(void)state;
	assert_int_equal(parsed.status, 0);
	assert_int_equal(parsed.rules.count, 2);
	assert_int_equal(parsed.rules.list[0].port[0], 0);
	assert_string_equal(parsed.rules.list[1].regex, ".*");
	thump_arena_deinit(&parsed.arena);
}

static void reads_yaml(void **state)
{
	struct parsed parsed =
		parse("# a list\n- type: socket\r\n  family: IPv6\r\n  localAddress: ::1\n"
		      "  localPort: \"*\"\n  remotePort: 5432 # of the database\n  action: ignore\n"
		      "\n- {type: filedescriptor, value: 123, regex: '.*epoll.*',\n"
		      "   action: error}\n-\n  type: socket\n  listening: false\n  action: warn\n"
		      "- type: filedescriptor\n  kind: inet socket\n  action: close\n");
	const struct thump_fd_rule *list = parsed.rules.list;

	(void)state;
	assert_int_equal(parsed.status, 0);
	assert_int_equal(parsed.rules.count, 4);
	assert_string_equal(list[0].source, "p:2");
	assert_int_equal(list[0].listening, -1);
	assert_int_equal(list[0].family, AF_INET6);
	assert_string_equal(list[0].address[0], "::1");
	assert_null(list[0].address[1]);
	assert_int_equal(list[0].port[0], 0);
	assert_int_equal(list[0].port[1], 5432);
	assert_string_equal(list[1].source, "p:9");
	assert_int_equal(list[1].fd, 123);
	assert_string_equal(list[1].regex, ".*epoll.*");
	assert_int_equal(list[1].action, THUMP_RULE_ERROR);
	assert_string_equal(list[2].source, "p:12");
	assert_int_equal(list[2].listening, 0);
	assert_int_equal(list[2].action, THUMP_RULE_WARN);
	assert_string_equal(list[3].kind, "inet socket");
	thump_arena_deinit(&parsed.arena);
}

static void reads_a_policy_without_rules(void **state)
{
	static const char *const texts[] = { "", "# nothing yet\n", "[]\n", "--- []\n...\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct parsed parsed = parse(texts[i]);

		assert_int_equal(parsed.status, 0);
		assert_int_equal(parsed.rules.count, 0);
		thump_arena_deinit(&parsed.arena);
	}
}

struct wrong_text {
	const char *text, *said;
};

static void expect_refused(struct parsed parsed, const char *said)
{
	assert_int_equal(parsed.status, -1);
	assert_int_equal(parsed.err.code, THUMP_REFUSED);
	if (!strstr(parsed.err.text, said))
		fail_msg("'%s' was to say '%s'", parsed.err.text, said);
	assert_int_equal(parsed.rules.count, 0);
	thump_arena_deinit(&parsed.arena);
}

static void names_the_line_that_is_wrong(void **state)
{
	static const struct wrong_text cases[] = {
		{ "- type: file\n", "p:1: this rule has no action" },
		{ "\n- action: close\n- type: x\n", "p:2: this rule has no type" },
		{ "- action: close\n  type: door\n", "p:2: type: door is not known" },
		{ "- localDoor: 1\n", "p:1: localDoor is not known" },
		{ "- localPort: 65536\n", "p:1: localPort: 65536 is no number up to 65535" },
		{ "- value: -1\n", "p:1: value: -1 is no number" },
		{ "- regex: (\n", "p:1: regex: ( is no regular expression" },
		{ "- kind: door\n", "p:1: kind: door is not known" },
		{ "- type: socket\n  listening: perhaps\n",
		  "p:2: listening: perhaps is not known" },
		{ "- type: file\n  action: close\n  type: pipe\n", "p:3: type is there twice" },
		{ "- path: [a, b]\n", "p:1: a single value is expected" },
		{ "- path: \"a\\0b\"\n", "p:1: a single value is expected" },
		{ "- [type]: file\n", "p:1: a key is expected" },
		{ "- type\n", "p:1: a rule of keys and values is expected" },
		{ "# rules\ntype: file\naction: close\n",
		  "p:2: a list of rules (\"- type: ...\")" },
		{ "- type: file\n  action: close\n---\n- type: file\n", "p:3: one list of rules" },
		{ "- type: file\n  path: *.log\n", "p:2: no YAML: " },
		{ "- type: file\n  path: *.log\n", "(a value that begins with * needs quotes)" },
		{ "- &a {type: file, action: close}\n- *a\n", "p:2: a rule of keys and values" },
		{ "- type: file\n\taction: close\n", "p:2: no YAML: " },
		{ "- type: file\n  path: \xff\n", "p:2: no YAML: " },
		{ "- type: \"file\n", "p:2: no YAML: " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_refused(parse(cases[i].text), cases[i].said);
}

static void names_the_line_that_is_wrong_for_crac(void **state)
{
	static const struct wrong_text cases[] = {
		{ "type: file\n", "p:1: this rule has no action" },
		{ "#\naction: close\n---\n", "p:2: this rule has no type" },
		{ "\ntype file\n", "p:2: \"key: value\" is expected" },
		{ "type: file\nlocalDoor: 1\n", "p:2: localDoor is not known" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_refused(parse_crac(cases[i].text), cases[i].said);
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
		cmocka_unit_test(crac_parts_rules_by_lines),
		cmocka_unit_test(reads_yaml),
		cmocka_unit_test(reads_a_policy_without_rules),
		cmocka_unit_test(names_the_line_that_is_wrong),
		cmocka_unit_test(names_the_line_that_is_wrong_for_crac),
		cmocka_unit_test(globs_are_those_of_java_nio_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
