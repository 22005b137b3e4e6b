/* SPDX-License-Identifier: Apache-2.0 */
/* Resource policies in the syntax of CRaC (its documentation of file descriptor policies): lines
 * "key: value", rules parted by "---", comments from '#'. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "cli/policies.h"
#include "cli/policy_keys.h"

#define JVM_PROPERTY "-Djdk.crac.resource-policies="

static char *trim(char *text)
{
	size_t len;

	text += strspn(text, " \t\r");
	len = strlen(text);
	while (len > 0 && strchr(" \t\r", text[len - 1]))
		text[--len] = '\0';
	if (len >= 2 && (text[0] == '"' || text[0] == '\'') && text[len - 1] == text[0]) {
		text[len - 1] = '\0';
		text++;
	}
	return text;
}

static int take_line(struct thump_policy_reader *reader, char *line)
{
	char *colon;

	line = trim(line);
	if (*line == '\0' || *line == '#')
		return 0;
	if (strcmp(line, "---") == 0)
		return reader->rule_line ? thump_policy_end_rule(reader) : 0;
	colon = strchr(line, ':');
	if (!colon)
		return thump_policy_wrong(reader, "\"key: value\" is expected, not \"%s\"", line);
	*colon = '\0';
	if (!reader->rule_line)
		thump_policy_begin_rule(reader);
	return thump_policy_take(reader, trim(line), trim(colon + 1));
}

int thump_policies_parse_crac(const char *text, const char *path, struct thump_arena *arena,
			      struct thump_fd_rules *rules_ret, struct thump_err *err)
{
	struct thump_policy_reader reader = {
		.path = path, .arena = arena, .rules = *rules_ret, .err = err
	};
	char *copy = thump_arena_strdup(arena, text), *line;

	if (!copy)
		return thump_fail(err, "out of memory");
	while ((line = strsep(&copy, "\n"))) {
		reader.line++;
		if (take_line(&reader, line) < 0)
			return -1;
	}
	if (reader.rule_line && thump_policy_end_rule(&reader) < 0)
		return -1;
	*rules_ret = reader.rules;
	return 0;
}

/* As a path that leads there from here, in `arena`; NULL: none. */
static const char *path_of_jvm(pid_t pid, struct thump_arena *arena)
{
	auto_free char *text = NULL;
	const char *value = NULL;
	char path[40];
	size_t size;

	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	if (thump_slurp(AT_FDCWD, path, &text, &size) < 0)
		return NULL;
	/* The last one counts, as in the JVM. */
	for (const char *at = text; at < text + size; at += strlen(at) + 1)
		if (strncmp(at, JVM_PROPERTY, strlen(JVM_PROPERTY)) == 0)
			value = at + strlen(JVM_PROPERTY);
	if (!value || !*value)
		return NULL;
	return thump_arena_printf(arena, "/proc/%d/%s/%s", pid, *value == '/' ? "root" : "cwd",
				  value);
}

int thump_policies_read_of_jvm(pid_t pid, struct thump_arena *arena,
			       struct thump_fd_rules *rules_ret, struct thump_err *err)
{
	const char *path = path_of_jvm(pid, arena);
	auto_free char *text = NULL;

	if (!path)
		return 0;
	if (thump_slurp(AT_FDCWD, path, &text, NULL) < 0)
		return thump_refuse(err, "resource policies %s: %s", path, strerror(errno));
	return thump_policies_parse_crac(text, path, arena, rules_ret, err);
}
