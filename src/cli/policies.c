/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/policies.h"

#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "cli/report.h"
#include "kinds/kind.h"

#define JVM_PROPERTY "-Djdk.crac.resource-policies="

struct parse {
	const char *path;
	unsigned line, rule_line; /* rule_line: where the rule that is being read begins */
	struct thump_arena *arena;
	struct thump_fd_rule *list;
	size_t count;
	struct thump_fd_rule rule; /* that is being read */
	bool any_key;
	struct thump_err *err;
};

struct word {
	const char *text;
	int value;
};

static const struct word types[] = {
	{ "file", THUMP_RULE_FILE },
	{ "pipe", THUMP_RULE_PIPE },
	{ "socket", THUMP_RULE_SOCKET },
	{ "filedescriptor", THUMP_RULE_DESCRIPTOR },
	{ NULL, 0 },
};
static const struct word actions[] = {
	{ "error", THUMP_RULE_ERROR }, { "ignore", THUMP_RULE_IGNORE },
	{ "close", THUMP_RULE_CLOSE }, { "reopen", THUMP_RULE_REOPEN },
	{ "warn", THUMP_RULE_WARN },   { NULL, 0 },
};
static const struct word families[] = {
	{ "ipv4", AF_INET },	     { "inet4", AF_INET },
	{ "ipv6", AF_INET6 },	     { "inet6", AF_INET6 },
	{ "ip", THUMP_RULE_ANY_IP }, { "inet", THUMP_RULE_ANY_IP },
	{ "unix", AF_UNIX },	     { NULL, 0 },
};
static const struct word truths[] = { { "true", 1 }, { "false", 0 }, { NULL, 0 } };

#define refuse(parse, fmt, ...)                                                                    \
	thump_refuse((parse)->err, "%s:%u: " fmt, (parse)->path, (parse)->line, ##__VA_ARGS__)

static struct thump_fd_rule empty_rule(void)
{
	return (struct thump_fd_rule){
		.fd = -1,
		.family = THUMP_RULE_ANY_FAMILY,
		.listening = -1,
		.port = { -1, -1 },
	};
}

/* ---- values ---------------------------------------------------------------------------- */

static int take_word(struct parse *parse, const char *key, const struct word *words,
		     const char *value, int *value_ret)
{
	for (; words->text; words++) {
		if (strcasecmp(words->text, value) == 0) {
			*value_ret = words->value;
			return 0;
		}
	}
	return refuse(parse, "%s: %s is not known", key, value);
}

static int take_text(struct parse *parse, const char *value, const char **value_ret)
{
	*value_ret = thump_arena_strdup(parse->arena, value);
	return *value_ret ? 0 : thump_fail(parse->err, "out of memory");
}

static int take_number(struct parse *parse, const char *key, const char *value, long max,
		       int32_t *value_ret)
{
	char *end;
	long number = strtol(value, &end, 10);

	if (*value < '0' || *value > '9' || *end || number > max)
		return refuse(parse, "%s: %s is no number up to %ld", key, value, max);
	*value_ret = (int32_t)number;
	return 0;
}

static int take_port(struct parse *parse, const char *key, const char *value, int32_t *value_ret)
{
	if (strcmp(value, "*") != 0)
		return take_number(parse, key, value, UINT16_MAX, value_ret);
	*value_ret = 0;
	return 0;
}

static int take_regex(struct parse *parse, const char *value)
{
	regex_t regex;
	int rc = regcomp(&regex, value, REG_EXTENDED | REG_NOSUB);

	if (rc != 0)
		return refuse(parse, "regex: %s is no regular expression", value);
	regfree(&regex);
	return take_text(parse, value, &parse->rule.regex);
}

static int take_kind(struct parse *parse, const char *value)
{
	const struct thump_kind *const *kinds = thump_kinds();

	for (size_t i = 0; kinds[i]; i++) {
		if (strcmp(kinds[i]->name, value) == 0) {
			parse->rule.kind = kinds[i]->name;
			return 0;
		}
	}
	return refuse(parse, "kind: %s is not known", value);
}

/* Of sockets: localPort, remoteAddress and so on. 1: it is none of these. */
static int take_end(struct parse *parse, const char *key, const char *value)
{
	struct thump_fd_rule *rule = &parse->rule;
	int which = strncmp(key, "remote", strlen("remote")) == 0;
	const char *rest = key + (which ? strlen("remote") : strlen("local"));

	if (!which && strncmp(key, "local", strlen("local")) != 0)
		return 1;
	if (strcmp(rest, "Address") == 0)
		return take_text(parse, value, &rule->address[which]);
	if (strcmp(rest, "Port") == 0)
		return take_port(parse, key, value, &rule->port[which]);
	if (strcmp(rest, "Path") == 0)
		return take_text(parse, value, &rule->unix_path[which]);
	return 1;
}

static int take_pair(struct parse *parse, const char *key, const char *value)
{
	struct thump_fd_rule *rule = &parse->rule;
	int number = 0, status;

	if (strcmp(key, "type") == 0) {
		status = take_word(parse, key, types, value, &number);
		rule->type = (enum thump_rule_type)number;
	} else if (strcmp(key, "action") == 0) {
		status = take_word(parse, key, actions, value, &number);
		rule->action = (enum thump_rule_action)number;
	} else if (strcmp(key, "family") == 0) {
		status = take_word(parse, key, families, value, &rule->family);
	} else if (strcmp(key, "warn") == 0) {
		status = take_word(parse, key, truths, value, &number);
		rule->quiet = number == 0;
	} else if (strcmp(key, "listening") == 0) {
		status = take_word(parse, key, truths, value, &rule->listening);
	} else if (strcmp(key, "kind") == 0) {
		status = take_kind(parse, value);
	} else if (strcmp(key, "path") == 0) {
		status = take_text(parse, value, &rule->path);
	} else if (strcmp(key, "regex") == 0) {
		status = take_regex(parse, value);
	} else if (strcmp(key, "value") == 0) {
		status = take_number(parse, key, value, INT32_MAX, &rule->fd);
	} else {
		status = take_end(parse, key, value);
		if (status > 0)
			status = refuse(parse, "%s is not known", key);
	}
	return status;
}

/* ---- lines ----------------------------------------------------------------------------- */

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

static int end_rule(struct parse *parse)
{
	struct thump_fd_rule *list;

	if (!parse->any_key)
		return 0;
	if (!parse->rule.type || !parse->rule.action)
		return refuse(parse, "the rule that ends here has no %s",
			      parse->rule.type ? "action" : "type");
	list = thump_arena_grow(parse->arena, parse->list, parse->count, sizeof(*list));
	parse->rule.source =
		thump_arena_printf(parse->arena, "%s:%u", parse->path, parse->rule_line);
	if (!list || !parse->rule.source)
		return thump_fail(parse->err, "out of memory");
	parse->list = list;
	list[parse->count++] = parse->rule;
	parse->rule = empty_rule();
	parse->any_key = false;
	return 0;
}

static int take_line(struct parse *parse, char *line)
{
	char *colon;

	line = trim(line);
	if (*line == '\0' || *line == '#')
		return 0;
	if (strcmp(line, "---") == 0)
		return end_rule(parse);
	colon = strchr(line, ':');
	if (!colon)
		return refuse(parse, "\"key: value\" is expected, not \"%s\"", line);
	*colon = '\0';
	if (!parse->any_key)
		parse->rule_line = parse->line;
	parse->any_key = true;
	return take_pair(parse, trim(line), trim(colon + 1));
}

int thump_policies_parse(const char *text, const char *path, struct thump_arena *arena,
			 struct thump_fd_rules *rules_ret, struct thump_err *err)
{
	struct parse parse = { .path = path,
			       .arena = arena,
			       .list = rules_ret->list,
			       .count = rules_ret->count,
			       .rule = empty_rule(),
			       .err = err };
	char *copy = thump_arena_strdup(arena, text), *line;

	if (!copy)
		return thump_fail(err, "out of memory");
	while ((line = strsep(&copy, "\n"))) {
		parse.line++;
		if (take_line(&parse, line) < 0)
			return -1;
	}
	if (end_rule(&parse) < 0)
		return -1;
	rules_ret->list = parse.list;
	rules_ret->count = parse.count;
	return 0;
}

int thump_policies_read(const char *path, struct thump_arena *arena,
			struct thump_fd_rules *rules_ret, struct thump_err *err)
{
	auto_free char *text = NULL;

	if (thump_slurp(AT_FDCWD, path, &text, NULL) < 0)
		return thump_refuse(err, "resource policies %s: %s", path, strerror(errno));
	return thump_policies_parse(text, path, arena, rules_ret, err);
}

int thump_policies_add_fd(struct thump_arena *arena, enum thump_rule_action action,
			  const char *option, const char *text, struct thump_fd_rules *rules,
			  struct thump_err *err)
{
	struct thump_fd_rule rule = empty_rule(), *list;
	uint64_t fd;

	if (thump_parse_number(text, INT32_MAX, &fd) < 0)
		return thump_fail(err, "%s takes the number of a descriptor, not %s", option, text);
	rule.type = THUMP_RULE_DESCRIPTOR;
	rule.action = action;
	rule.fd = (int32_t)fd;
	rule.single = true;
	rule.source = thump_arena_printf(arena, "%s %s", option, text);
	list = thump_arena_grow(arena, rules->list, rules->count, sizeof(*list));
	if (!list || !rule.source)
		return thump_fail(err, "out of memory");
	rules->list = list;
	list[rules->count++] = rule;
	return 0;
}

const char *thump_policies_of_jvm(pid_t pid, struct thump_arena *arena)
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
