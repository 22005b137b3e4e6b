/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/parameters.h"

#include <string.h>
#include <unistd.h>

#include "coord/abi.h"

static const char *const environment_words[] = {
	[THUMP_ENVIRONMENT_MERGE] = "merge",
	[THUMP_ENVIRONMENT_REPLACE] = "replace",
	[THUMP_ENVIRONMENT_KEEP] = "keep",
};

static const char *const failure_words[] = {
	[THUMP_ON_FAILURE_CONTINUE] = "continue",
	[THUMP_ON_FAILURE_EXIT] = "exit",
	[THUMP_ON_FAILURE_START] = "start",
};

/* The index of a word, or -1. */
static int find_word(const char *const *words, size_t count, const char *word)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(word, words[i]) == 0)
			return (int)i;
	return -1;
}

bool thump_environment_parse(const char *word, enum thump_environment *environment_ret)
{
	int found = find_word(environment_words, THUMP_ARRAY_SIZE(environment_words), word);

	if (found >= 0)
		*environment_ret = (enum thump_environment)found;
	return found >= 0;
}

bool thump_on_failure_parse(const char *word, enum thump_on_failure *on_failure_ret)
{
	int found = find_word(failure_words, THUMP_ARRAY_SIZE(failure_words), word);

	if (found >= 0)
		*on_failure_ret = (enum thump_on_failure)found;
	return found >= 0;
}

size_t thump_count_words(char *const *words)
{
	size_t count = 0;

	while (words && words[count])
		count++;
	return count;
}

static int check(const struct thump_runtime *runtime, const struct thump_restore_words *words,
		 struct thump_err *err)
{
	bool has_arguments = words->arguments && words->arguments[0];

	if (runtime->parameters_addr == 0 && (has_arguments || words->environment_asked))
		return thump_refuse(err,
				    "%s: only a program whose runtime takes part in restores (a "
				    "JVM with thump's agent) can be given arguments or another "
				    "environment",
				    has_arguments ? words->arguments[0] : "--env");
	if (has_arguments && strcmp(runtime->name, "java") == 0)
		return thump_java_check_restore(words->arguments, err);
	return 0;
}

/* One string for each word. */
static size_t put_all(struct thump_arena *arena, const char *prefix, char *const *words,
		      const char **list, size_t count)
{
	for (size_t i = 0; words && words[i]; i++)
		list[count++] = thump_arena_printf(arena, "%s%s", prefix, words[i]);
	return count;
}

static size_t put_ports(struct thump_arena *arena, const struct thump_rebuild_options *options,
			const char **list, size_t count)
{
	for (size_t i = 0; i < options->nr_ports; i++)
		list[count++] = thump_arena_printf(arena, THUMP_COORD_SAY_OPTION "port=%u:%u",
						   options->ports[i].from, options->ports[i].to);
	return count;
}

int thump_parameters(struct thump_arena *arena, const struct thump_runtime *runtime,
		     const struct thump_restore_words *words,
		     const struct thump_rebuild_options *options, const char *const **list_ret,
		     size_t *count_ret, struct thump_err *err)
{
	bool passes = words->environment != THUMP_ENVIRONMENT_KEEP;
	size_t count = 0, room = thump_count_words(words->arguments) + thump_count_words(environ) +
				 options->nr_ports + 3;
	const char **list;

	if (check(runtime, words, err) < 0)
		return -1;
	list = thump_arena_alloc(arena, room, sizeof(*list));
	if (!list)
		return thump_fail(err, "out of memory");
	if (runtime->parameters_addr) {
		list[count++] = thump_arena_printf(arena, THUMP_COORD_SAY_OPTION "environment=%s",
						   environment_words[words->environment]);
		list[count++] = thump_arena_printf(arena, THUMP_COORD_SAY_OPTION "on-failure=%s",
						   failure_words[words->on_failure]);
		if (words->times)
			list[count++] = THUMP_COORD_SAY_OPTION "times=yes";
		count = put_ports(arena, options, list, count);
		count = put_all(arena, THUMP_COORD_SAY_ENVIRONMENT, passes ? environ : NULL, list,
				count);
		count = put_all(arena, THUMP_COORD_SAY_ARGUMENT, words->arguments, list, count);
	}
	for (size_t i = 0; i < count; i++)
		if (!list[i])
			return thump_fail(err, "out of memory");
	*list_ret = list;
	*count_ret = count;
	return 0;
}
