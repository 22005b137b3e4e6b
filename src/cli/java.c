/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/java.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/libjvm.h"
#include "cli/parameters.h"
#include "cli/report.h"

/* What has been read from the command line so far. */
struct java_parse {
	struct thump_arena *arena;
	struct thump_java_command *command;
	const char *trigger; /* of -Xsnapshot:, or NULL */
	const char *hit;     /* the same */
	struct thump_err *err;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The rest of `text` after `prefix`, or NULL when it does not begin with it. */
static const char *after(const char *text, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

/* CRaC names a directory: the image is a file in it. Anything else is the image itself. */
static const char *image_of(struct java_parse *parse, const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return thump_arena_printf(parse->arena, "%s/image.thump", path);
	return path;
}

/* Which entry of the trigger method counts: the agent's options take the same numbers. */
static int parse_hit(struct java_parse *parse, const char *option, const char *value)
{
	uint64_t hit;

	if (thump_parse_number(value, UINT32_MAX, &hit) < 0 || hit == 0)
		return thump_refuse(parse->err, "%s: \"hit=%s\" is not a number from 1 to %u",
				    option, value, UINT32_MAX);
	parse->hit = value;
	return 0;
}

/* OpenJ9's way to write it: comma-separated key=value pairs, file= and trigger=; hit= is ours. */
static int parse_pairs(struct java_parse *parse, const char *option, const char *pairs)
{
	char *copy = thump_arena_strdup(parse->arena, pairs), *rest = copy, *item;

	if (!copy)
		return thump_fail(parse->err, "out of memory");
	while ((item = strsep(&rest, ",")) != NULL) {
		const char *value;

		if ((value = after(item, "file=")) && *value)
			parse->command->image = value;
		else if ((value = after(item, "trigger=")) && *value)
			parse->trigger = value;
		else if (!(value = after(item, "hit=")))
			return thump_refuse(parse->err,
					    "%s: \"%s\" is not understood; known are file=, "
					    "trigger= and hit=",
					    option, item);
		else if (parse_hit(parse, option, value) < 0)
			return -1;
	}
	if (parse->hit && !parse->trigger)
		return thump_refuse(parse->err,
				    "%s: \"hit=%s\" counts the entries of a trigger method; give "
				    "trigger=Class.method, too",
				    option, parse->hit);
	return 0;
}

static bool is_of_crac(const char *arg)
{
	return after(arg, "-XX:CRaC") || after(arg, "-XX:+CRaC") || after(arg, "-XX:-CRaC");
}

/* 1: an option of CRaC or OpenJ9, dealt with; 0: somebody else's; -1: refused. */
static int parse_option(struct java_parse *parse, const char *arg)
{
	const char *value;

	if ((value = after(arg, "-XX:CRaCCheckpointTo="))) {
		parse->command->image = image_of(parse, value);
		return 1;
	}
	if ((value = after(arg, "-XX:CRaCRestoreFrom="))) {
		parse->command->image = image_of(parse, value);
		parse->command->restore_only = true;
		return 1;
	}
	if (strcmp(arg, "-XX:+CRaCIgnoreRestoreIfUnavailable") == 0) {
		parse->command->ignore_restore_failure = true;
		return 1;
	}
	if ((value = after(arg, "-Xsnapshot:")))
		return parse_pairs(parse, "-Xsnapshot", value) < 0 ? -1 : 1;
	if ((value = after(arg, "-Xrestore:"))) {
		parse->command->restore_only = true;
		return parse_pairs(parse, "-Xrestore", value) < 0 ? -1 : 1;
	}
	if (is_of_crac(arg))
		return thump_refuse(parse->err,
				    "%s: thump has no such option; take it out of the command "
				    "(known: CRaCCheckpointTo, CRaCRestoreFrom, "
				    "CRaCIgnoreRestoreIfUnavailable)",
				    arg);
	return 0;
}

/* Options end at -jar, at -m, or at the main class; some take their value as the next word. */
static bool takes_a_word(const char *arg)
{
	static const char *const options[] = {
		"-cp",		 "-classpath",	   "--class-path",	    "-p",
		"--module-path", "--add-modules",  "--add-opens",	    "--add-exports",
		"--add-reads",	 "--patch-module", "--upgrade-module-path", "--limit-modules",
		"--source"
	};

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(options); i++)
		if (strcmp(arg, options[i]) == 0)
			return true;
	return false;
}

/* NULL without memory. */
static const char *handed_on_text(struct java_parse *parse,
				  const struct thump_java_options *options)
{
	const struct thump_making *making = options->making;
	const char *text = "";

	for (size_t i = 0; text && i < making->count; i++)
		text = thump_arena_printf(parse->arena, "%s,%s=%s", text,
					  making->list[i].option + strlen("--"),
					  making->list[i].argument);
	return text;
}

static const char *agent_argument(struct java_parse *parse,
				  const struct thump_java_options *options)
{
	static const char *const cpu_words[] = { "", ",cpu=1", ",cpu=2", ",cpu=3", ",cpu=4" };
	const char *image = parse->command->image, *handed_on = handed_on_text(parse, options);

	return thump_arena_printf(
		parse->arena, "-agentpath:%s=thump=%s%s%s%s%s%s%s%s%s%s%s", options->agent,
		options->thump, image ? ",image=" : "", image ? image : "",
		parse->trigger ? ",trigger=" : "", parse->trigger ? parse->trigger : "",
		parse->hit ? ",hit=" : "", parse->hit ? parse->hit : "", handed_on,
		options->making->hooks_first ? ",look=no" : "",
		options->then_continue ? ",then=continue" : "", cpu_words[options->cpu_level]);
}

static bool names_our_agent(const char *arg)
{
	return after(arg, "-agentpath:") && strstr(arg, THUMP_JVM_AGENT);
}

/* A comma ends a value in the agent's options. */
static int check_commas(const struct thump_java_command *command,
			const struct thump_java_options *options, struct thump_err *err)
{
	const struct thump_making *making = options->making;
	const char *bad = NULL;

	if (command->image && strchr(command->image, ','))
		bad = command->image;
	if (options->agent && strchr(options->thump, ','))
		bad = options->thump;
	for (size_t i = 0; i < making->count; i++)
		if (strchr(making->list[i].argument, ','))
			bad = making->list[i].argument;
	return bad ? thump_refuse(err,
				  "%s: a comma in a path cannot be handed to the JVM's agent; "
				  "rename it",
				  bad)
		   : 0;
}

/* Behind these is the program, and its arguments. */
static bool ends_options(const char *arg)
{
	return arg[0] != '-' || strcmp(arg, "-jar") == 0 || strcmp(arg, "-m") == 0 ||
	       strcmp(arg, "--module") == 0;
}

/* Copies the options of the launcher, without what parse_option took; returns where they end. */
static int copy_options(struct java_parse *parse, char *const *argv, size_t *in, size_t *out)
{
	struct thump_java_command *command = parse->command;

	while (argv[*in] && !ends_options(argv[*in])) {
		const char *arg = argv[*in];
		int ours = parse_option(parse, arg);

		if (ours < 0)
			return -1;
		command->has_agent |= names_our_agent(arg);
		if (ours == 0)
			command->argv[(*out)++] = argv[*in];
		(*in)++;
		if (takes_a_word(arg) && argv[*in])
			command->argv[(*out)++] = argv[(*in)++];
	}
	return 0;
}

static bool is_java(char *const *argv)
{
	return argv[0] && strcmp(base_name(argv[0]), "java") == 0;
}

static bool has_option_of_crac(char *const *argv)
{
	for (size_t i = 1; argv[i] && !ends_options(argv[i]); i++) {
		if (is_of_crac(argv[i]))
			return true;
		i += takes_a_word(argv[i]) && argv[i + 1];
	}
	return false;
}

bool thump_java_does_crac(struct thump_arena *arena, char *const *argv)
{
	struct thump_libjvm libjvm;
	bool does;

	/* The file is big, and read for nobody else. */
	if (!is_java(argv) || !has_option_of_crac(argv))
		return false;
	thump_libjvm_open(arena, argv[0], &libjvm);
	does = thump_libjvm_knows(&libjvm, "CRaCCheckpointTo");
	thump_libjvm_close(&libjvm);
	return does;
}

int thump_java_command(struct thump_arena *arena, char *const *argv,
		       const struct thump_java_options *options,
		       struct thump_java_command *command_ret, struct thump_err *err)
{
	struct thump_java_command command = { .image = options->image, .argv = (char **)argv };
	struct java_parse parse = { .arena = arena, .command = &command, .err = err };
	size_t in = 1, out = 2; /* [1] is kept free for the agent */

	command.is_java = is_java(argv);
	if (!command.is_java) {
		*command_ret = command;
		return 0;
	}
	command.argv = thump_arena_alloc(arena, thump_count_words(argv) + 2, sizeof(char *));
	if (!command.argv)
		return thump_fail(err, "out of memory");
	if (copy_options(&parse, argv, &in, &out) < 0)
		return -1;
	if (options->image)
		command.image = options->image; /* --image wins over what the command says */
	while (argv[in])
		command.argv[out++] = argv[in++];
	if (check_commas(&command, options, err) < 0)
		return -1;
	command.arguments = command.argv + 2;
	command.brings_agent = command.has_agent;
	if (command.has_agent || !options->agent) {
		command.argv++;
	} else {
		command.argv[1] = (char *)agent_argument(&parse, options);
		command.has_agent = true;
		if (!command.argv[1])
			return thump_fail(err, "out of memory");
	}
	command.argv[0] = argv[0];
	*command_ret = command;
	return 0;
}

const char *thump_java_find_agent(struct thump_arena *arena, const char *thump)
{
	static const char *const places[] = {
		THUMP_JVM_AGENT,
		"../lib/thump/" THUMP_JVM_AGENT,
		"../" THUMP_LIBDIR "/thump/" THUMP_JVM_AGENT,
	};
	const char *slash = strrchr(thump, '/');
	int dir_len = slash ? (int)(slash - thump) : 0;

	for (size_t i = 0; slash && i < THUMP_ARRAY_SIZE(places); i++) {
		const char *path = thump_arena_printf(arena, "%.*s/%s", dir_len, thump, places[i]);

		if (path && access(path, R_OK) == 0)
			return path;
	}
	return NULL;
}
