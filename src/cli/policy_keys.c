/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/policy_keys.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "kinds/kind.h"

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

struct thump_fd_rule thump_policy_empty_rule(void)
{
	return (struct thump_fd_rule){
		.fd = -1,
		.family = THUMP_RULE_ANY_FAMILY,
		.listening = -1,
		.port = { -1, -1 },
	};
}

/* ---- values ---------------------------------------------------------------------------- */

static int take_word(struct thump_policy_reader *reader, const char *key, const struct word *words,
		     const char *value, int *value_ret)
{
	for (; words->text; words++) {
		if (strcasecmp(words->text, value) == 0) {
			*value_ret = words->value;
			return 0;
		}
	}
	return thump_policy_wrong(reader, "%s: %s is not known", key, value);
}

static int take_text(struct thump_policy_reader *reader, const char *value, const char **value_ret)
{
	*value_ret = thump_arena_strdup(reader->arena, value);
	return *value_ret ? 0 : thump_fail(reader->err, "out of memory");
}

static int take_number(struct thump_policy_reader *reader, const char *key, const char *value,
		       long max, int32_t *value_ret)
{
	char *end;
	long number = strtol(value, &end, 10);

	if (*value < '0' || *value > '9' || *end || number > max)
		return thump_policy_wrong(reader, "%s: %s is no number up to %ld", key, value, max);
	*value_ret = (int32_t)number;
	return 0;
}

static int take_port(struct thump_policy_reader *reader, const char *key, const char *value,
		     int32_t *value_ret)
{
	if (strcmp(value, "*") != 0)
		return take_number(reader, key, value, UINT16_MAX, value_ret);
	*value_ret = 0;
	return 0;
}

static int take_regex(struct thump_policy_reader *reader, const char *value)
{
	regex_t regex;
	int rc = regcomp(&regex, value, REG_EXTENDED | REG_NOSUB);

	if (rc != 0)
		return thump_policy_wrong(reader, "regex: %s is no regular expression", value);
	regfree(&regex);
	return take_text(reader, value, &reader->rule.regex);
}

static int take_kind(struct thump_policy_reader *reader, const char *value)
{
	const struct thump_kind *const *kinds = thump_kinds();

	for (size_t i = 0; kinds[i]; i++) {
		if (strcmp(kinds[i]->name, value) == 0) {
			reader->rule.kind = kinds[i]->name;
			return 0;
		}
	}
	return thump_policy_wrong(reader, "kind: %s is not known", value);
}

/* Of sockets: localPort, remoteAddress and so on. 1: it is none of these. */
static int take_end(struct thump_policy_reader *reader, const char *key, const char *value)
{
	struct thump_fd_rule *rule = &reader->rule;
	int which = strncmp(key, "remote", strlen("remote")) == 0;
	const char *rest = key + (which ? strlen("remote") : strlen("local"));

	if (!which && strncmp(key, "local", strlen("local")) != 0)
		return 1;
	if (strcmp(rest, "Address") == 0)
		return take_text(reader, value, &rule->address[which]);
	if (strcmp(rest, "Port") == 0)
		return take_port(reader, key, value, &rule->port[which]);
	if (strcmp(rest, "Path") == 0)
		return take_text(reader, value, &rule->unix_path[which]);
	return 1;
}

int thump_policy_take(struct thump_policy_reader *reader, const char *key, const char *value)
{
	struct thump_fd_rule *rule = &reader->rule;
	int number = 0, status;

	if (strcmp(key, "type") == 0) {
		status = take_word(reader, key, types, value, &number);
		rule->type = (enum thump_rule_type)number;
	} else if (strcmp(key, "action") == 0) {
		status = take_word(reader, key, actions, value, &number);
		rule->action = (enum thump_rule_action)number;
	} else if (strcmp(key, "family") == 0) {
		status = take_word(reader, key, families, value, &rule->family);
	} else if (strcmp(key, "warn") == 0) {
		status = take_word(reader, key, truths, value, &number);
		rule->quiet = number == 0;
	} else if (strcmp(key, "listening") == 0) {
		status = take_word(reader, key, truths, value, &rule->listening);
	} else if (strcmp(key, "kind") == 0) {
		status = take_kind(reader, value);
	} else if (strcmp(key, "path") == 0) {
		status = take_text(reader, value, &rule->path);
	} else if (strcmp(key, "regex") == 0) {
		status = take_regex(reader, value);
	} else if (strcmp(key, "value") == 0) {
		status = take_number(reader, key, value, INT32_MAX, &rule->fd);
	} else {
		status = take_end(reader, key, value);
		if (status > 0)
			status = thump_policy_wrong(reader, "%s is not known", key);
	}
	return status;
}

/* ---- rules ----------------------------------------------------------------------------- */

void thump_policy_begin_rule(struct thump_policy_reader *reader)
{
	reader->rule = thump_policy_empty_rule();
	reader->rule_line = reader->line;
}

int thump_policy_end_rule(struct thump_policy_reader *reader)
{
	struct thump_fd_rules *rules = &reader->rules;
	struct thump_fd_rule *rule = &reader->rule, *list;

	if (!rule->type || !rule->action)
		return thump_refuse(reader->err, "%s:%u: this rule has no %s", reader->path,
				    reader->rule_line, rule->type ? "action" : "type");
	list = thump_arena_grow(reader->arena, rules->list, rules->count, sizeof(*list));
	rule->source = thump_arena_printf(reader->arena, "%s:%u", reader->path, reader->rule_line);
	if (!list || !rule->source)
		return thump_fail(reader->err, "out of memory");
	rules->list = list;
	list[rules->count++] = *rule;
	reader->rule_line = 0;
	return 0;
}
