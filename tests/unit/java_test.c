/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cli/java.h"

struct fixture {
	struct thump_arena arena;
	struct thump_err err;
	struct thump_making making;
	struct thump_java_options options;
	struct thump_java_command command;
};

static int set_up(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	thump_arena_init(&f->arena);
	f->options = (struct thump_java_options){
		.thump = "/t/thump",
		.agent = "/t/agent.so",
		.making = &f->making,
	};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	thump_arena_deinit(&f->arena);
	test_free(f);
	return 0;
}

static int rewrite(struct fixture *f, char *const *argv)
{
	return thump_java_command(&f->arena, argv, &f->options, &f->command, &f->err);
}

static void assert_words(char *const *argv, const char *const *expected)
{
	size_t i;

	for (i = 0; expected[i]; i++) {
		assert_non_null(argv[i]);
		assert_string_equal(argv[i], expected[i]);
	}
	assert_null(argv[i]);
}

#define WORDS(...)  ((char *const *)(const char *const[]){ __VA_ARGS__, NULL })
#define EXPECT(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void other_commands_stay_as_they_are(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rewrite(f, WORDS("/usr/bin/python3", "-XX:CRaCCheckpointTo=x")), 0);
	assert_false(f->command.is_java);
	assert_words(f->command.argv, EXPECT("/usr/bin/python3", "-XX:CRaCCheckpointTo=x"));
}

static void java_gets_the_agent_first(void **state)
{
	struct fixture *f = *state;

	f->options.image = "app.thump";
	assert_int_equal(rewrite(f, WORDS("java", "-Xmx1g", "-jar", "app.jar", "-XX:CRaCx")), 0);
	assert_true(f->command.has_agent);
	assert_words(f->command.argv,
		     EXPECT("java", "-agentpath:/t/agent.so=thump=/t/thump,image=app.thump",
			    "-Xmx1g", "-jar", "app.jar", "-XX:CRaCx"));
}

/* Images that the program asks for are made as those of --checkpoint-when. */
static void the_agent_hears_how_images_are_made(void **state)
{
	struct fixture *f = *state;

	f->making = (struct thump_making){
		.list = { { "--encrypt-to", "a.pub" },
			  { "--encrypt-to", "b.pub" },
			  { "--compress", "lz4" } },
		.count = 3,
		.hooks_first = true,
	};
	assert_int_equal(rewrite(f, WORDS("java", "Main")), 0);
	assert_words(f->command.argv,
		     EXPECT("java",
			    "-agentpath:/t/agent.so=thump=/t/thump,encrypt-to=a.pub,"
			    "encrypt-to=b.pub,compress=lz4,look=no",
			    "Main"));
	f->making.list[1].argument = "b,c.pub";
	assert_int_equal(rewrite(f, WORDS("java", "Main")), -1);
	assert_non_null(strstr(f->err.text, "b,c.pub: a comma"));
}

static void who_brings_the_agent_is_told_apart(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rewrite(f, WORDS("java", "-agentpath:/o/libthump-jvm.so", "Main")), 0);
	assert_true(f->command.brings_agent);
	assert_int_equal(rewrite(f, WORDS("java", "Main")), 0);
	assert_false(f->command.brings_agent);
}

static void without_an_agent_library_java_starts_as_it_is(void **state)
{
	struct fixture *f = *state;

	f->options.agent = NULL;
	assert_int_equal(rewrite(f, WORDS("java", "-jar", "app.jar")), 0);
	assert_false(f->command.has_agent);
	assert_words(f->command.argv, EXPECT("java", "-jar", "app.jar"));
}

static void crac_options_are_taken_out_and_done(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		rewrite(f, WORDS("java", "-XX:CRaCCheckpointTo=/x/cr", "-cp", "a:b", "Main")), 0);
	assert_string_equal(f->command.image, "/x/cr");
	assert_false(f->command.restore_only);
	assert_words(f->command.argv,
		     EXPECT("java", "-agentpath:/t/agent.so=thump=/t/thump,image=/x/cr", "-cp",
			    "a:b", "Main"));
}

static void crac_restore_needs_no_main_class(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rewrite(f, WORDS("java", "-XX:CRaCRestoreFrom=/x/cr",
					  "-XX:+CRaCIgnoreRestoreIfUnavailable")),
			 0);
	assert_true(f->command.restore_only);
	assert_true(f->command.ignore_restore_failure);
	assert_string_equal(f->command.image, "/x/cr");
}

static void unknown_crac_options_are_refused_by_name(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rewrite(f, WORDS("java", "-XX:CRaCEngine=criu", "Main")), -1);
	assert_int_equal(f->err.code, THUMP_REFUSED);
	assert_non_null(strstr(f->err.text, "-XX:CRaCEngine=criu"));
}

static void openj9_snapshot_and_trigger(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rewrite(f, WORDS("java", "-Xsnapshot:file=/x/f,trigger=a.B.c", "Main")),
			 0);
	assert_words(f->command.argv,
		     EXPECT("java",
			    "-agentpath:/t/agent.so=thump=/t/thump,image=/x/f,trigger=a.B.c",
			    "Main"));
	assert_int_equal(rewrite(f, WORDS("java", "-Xrestore:file=/x/f")), 0);
	assert_true(f->command.restore_only);
	assert_int_equal(rewrite(f, WORDS("java", "-Xsnapshot:what=3", "Main")), -1);
	assert_non_null(strstr(f->err.text, "what=3"));
}

static void openj9_trigger_counts_entries(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		rewrite(f, WORDS("java", "-Xsnapshot:hit=12,file=/x/f,trigger=a.B.c", "Main")), 0);
	assert_words(f->command.argv,
		     EXPECT("java",
			    "-agentpath:/t/agent.so=thump=/t/thump,image=/x/f,trigger=a.B.c,hit=12",
			    "Main"));
}

static void wrong_numbers_of_entries_are_refused_by_name(void **state)
{
	static const char *const wrong[] = { "hit=0",  "hit=-1", "hit=3x",
					     "hit= 3", "hit=",	 "hit=4294967296" };
	struct fixture *f = *state;

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(wrong); i++) {
		const char *option = thump_arena_printf(
			&f->arena, "-Xsnapshot:file=f,trigger=a.B.c,%s", wrong[i]);

		assert_int_equal(rewrite(f, WORDS("java", option, "Main")), -1);
		assert_int_equal(f->err.code, THUMP_REFUSED);
		assert_non_null(strstr(f->err.text, wrong[i]));
		assert_non_null(strstr(f->err.text, "a number from 1 to 4294967295"));
	}
	assert_int_equal(rewrite(f, WORDS("java", "-Xsnapshot:file=f,hit=2", "Main")), -1);
	assert_int_equal(f->err.code, THUMP_REFUSED);
	assert_non_null(strstr(f->err.text, "hit=2"));
	assert_non_null(strstr(f->err.text, "trigger=Class.method"));
}

static void words_of_class_path_options_are_no_options(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		rewrite(f, WORDS("java", "-cp", "-XX:CRaCEngine", "Main", "-XX:CRaCEngine=x")), 0);
	assert_words(f->command.argv, EXPECT("java", "-agentpath:/t/agent.so=thump=/t/thump", "-cp",
					     "-XX:CRaCEngine", "Main", "-XX:CRaCEngine=x"));
}

static void an_agent_given_by_hand_is_kept(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rewrite(f, WORDS("java", "-agentpath:/o/libthump-jvm.so=image=i", "Main")),
			 0);
	assert_true(f->command.has_agent);
	assert_words(f->command.argv,
		     EXPECT("java", "-agentpath:/o/libthump-jvm.so=image=i", "Main"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(other_commands_stay_as_they_are, set_up, tear_down),
		cmocka_unit_test_setup_teardown(java_gets_the_agent_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_agent_hears_how_images_are_made, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(who_brings_the_agent_is_told_apart, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(without_an_agent_library_java_starts_as_it_is,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(crac_options_are_taken_out_and_done, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(crac_restore_needs_no_main_class, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(unknown_crac_options_are_refused_by_name, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(openj9_snapshot_and_trigger, set_up, tear_down),
		cmocka_unit_test_setup_teardown(openj9_trigger_counts_entries, set_up, tear_down),
		cmocka_unit_test_setup_teardown(wrong_numbers_of_entries_are_refused_by_name,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(words_of_class_path_options_are_no_options, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_agent_given_by_hand_is_kept, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
