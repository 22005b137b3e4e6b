/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/policies.h"

#include <fcntl.h>
#include <string.h>
#include <yaml.h>

#include "base/fd.h"
#include "cli/policy_keys.h"
#include "cli/report.h"

/* ---- YAML ------------------------------------------------------------------------------ */

struct yaml_reader {
	struct thump_policy_reader keys;
	yaml_parser_t *yaml;
	const char *text;
	const char **seen; /* keys of the rule that is being read */
	size_t nr_seen;
};

static void delete_event(yaml_event_t *event)
{
	yaml_event_delete(event);
}
#define auto_event __attribute__((cleanup(delete_event)))

/* Bytes that are no UTF-8 have an offset, but no line. */
static unsigned line_of_error(const struct yaml_reader *reader)
{
	const yaml_parser_t *yaml = reader->yaml;
	unsigned line = 1;

	if (yaml->error != YAML_READER_ERROR)
		return (unsigned)yaml->problem_mark.line + 1;
	for (size_t i = 0; i < yaml->problem_offset; i++)
		line += reader->text[i] == '\n';
	return line;
}

static int next_event(struct yaml_reader *reader, yaml_event_t *event)
{
	const yaml_parser_t *yaml = reader->yaml;

	if (yaml_parser_parse(reader->yaml, event)) {
		reader->keys.line = (unsigned)event->start_mark.line + 1;
		return 0;
	}
	if (yaml->error == YAML_MEMORY_ERROR)
		return thump_fail(reader->keys.err, "out of memory");
	reader->keys.line = line_of_error(reader);
	return thump_policy_wrong(&reader->keys, "no YAML: %s%s%s%s",
				  yaml->context ? yaml->context : "", yaml->context ? ", " : "",
				  yaml->problem,
				  yaml->context && strstr(yaml->context, "alias")
					  ? " (a value that begins with * needs quotes)"
					  : "");
}

static int expected(struct yaml_reader *reader, const char *what)
{
	return thump_policy_wrong(&reader->keys, "%s is expected here", what);
}

static int next_of_type(struct yaml_reader *reader, yaml_event_type_t type, const char *what)
{
	auto_event yaml_event_t event = { 0 };

	if (next_event(reader, &event) < 0)
		return -1;
	return event.type == type ? 0 : expected(reader, what);
}

/* NULL, refused: it is more than one value, or has a NUL in it, and would be cut. */
static const char *scalar_text(struct yaml_reader *reader, const yaml_event_t *event,
			       const char *what)
{
	if (event->type == YAML_SCALAR_EVENT &&
	    strlen((const char *)event->data.scalar.value) == event->data.scalar.length)
		return (const char *)event->data.scalar.value;
	return (void)!expected(reader, what), NULL;
}

/* YAML demands of a mapping that its keys differ; libyaml leaves that to its user. */
static int check_is_new(struct yaml_reader *reader, const char *key)
{
	for (size_t i = 0; i < reader->nr_seen; i++)
		if (strcmp(reader->seen[i], key) == 0)
			return thump_policy_wrong(&reader->keys, "%s is there twice", key);
	return 0;
}

static int note_key(struct yaml_reader *reader, const char *key)
{
	const char **seen = thump_arena_grow(reader->keys.arena, reader->seen, reader->nr_seen,
					     sizeof(*reader->seen));
	const char *copy = thump_arena_strdup(reader->keys.arena, key);

	if (!seen || !copy)
		return thump_fail(reader->keys.err, "out of memory");
	reader->seen = seen;
	seen[reader->nr_seen++] = copy;
	return 0;
}

static int parse_pair(struct yaml_reader *reader, const yaml_event_t *key_event)
{
	auto_event yaml_event_t value_event = { 0 };
	const char *key = scalar_text(reader, key_event, "a key"), *value;

	if (!key || check_is_new(reader, key) < 0 || note_key(reader, key) < 0 ||
	    next_event(reader, &value_event) < 0)
		return -1;
	value = scalar_text(reader, &value_event, "a single value");
	return value ? thump_policy_take(&reader->keys, key, value) : -1;
}

/* From behind the start of its mapping. */
static int parse_rule(struct yaml_reader *reader)
{
	thump_policy_begin_rule(&reader->keys);
	reader->nr_seen = 0;
	for (;;) {
		auto_event yaml_event_t event = { 0 };

		if (next_event(reader, &event) < 0)
			return -1;
		if (event.type == YAML_MAPPING_END_EVENT)
			return thump_policy_end_rule(&reader->keys);
		if (parse_pair(reader, &event) < 0)
			return -1;
	}
}

static int parse_list(struct yaml_reader *reader)
{
	if (next_of_type(reader, YAML_SEQUENCE_START_EVENT, "a list of rules (\"- type: ...\")") <
	    0)
		return -1;
	for (;;) {
		auto_event yaml_event_t event = { 0 };

		if (next_event(reader, &event) < 0)
			return -1;
		if (event.type == YAML_SEQUENCE_END_EVENT)
			return next_of_type(reader, YAML_DOCUMENT_END_EVENT, "the end");
		if (event.type != YAML_MAPPING_START_EVENT)
			return expected(reader, "a rule of keys and values");
		if (parse_rule(reader) < 0)
			return -1;
	}
}

/* A file of nothing but comments has no document, and no rules. */
static int parse_stream(struct yaml_reader *reader)
{
	auto_event yaml_event_t event = { 0 };

	if (next_of_type(reader, YAML_STREAM_START_EVENT, "text") < 0 ||
	    next_event(reader, &event) < 0)
		return -1;
	if (event.type == YAML_STREAM_END_EVENT)
		return 0;
	if (parse_list(reader) < 0)
		return -1;
	return next_of_type(reader, YAML_STREAM_END_EVENT, "one list of rules, and no more,");
}

int thump_policies_parse(const char *text, size_t size, const char *path, struct thump_arena *arena,
			 struct thump_fd_rules *rules_ret, struct thump_err *err)
{
	yaml_parser_t yaml;
	struct yaml_reader reader = {
		.keys = { .path = path,
			  .line = 1,
			  .arena = arena,
			  .rules = *rules_ret,
			  .err = err },
		.yaml = &yaml,
		.text = text,
	};
	int status;

	if (!yaml_parser_initialize(&yaml))
		return thump_fail(err, "out of memory");
	yaml_parser_set_input_string(&yaml, (const unsigned char *)text, size);
	status = parse_stream(&reader);
	yaml_parser_delete(&yaml);
	if (status == 0)
		*rules_ret = reader.keys.rules;
	return status;
}

/* ---- files and options ------------------------------------------------------------------- */

int thump_policies_read(const char *path, struct thump_arena *arena,
			struct thump_fd_rules *rules_ret, struct thump_err *err)
{
	auto_free char *text = NULL;
	size_t size;

	if (thump_slurp(AT_FDCWD, path, &text, &size) < 0)
		return thump_refuse(err, "policy %s: %s", path, strerror(errno));
	return thump_policies_parse(text, size, path, arena, rules_ret, err);
}

int thump_policies_add_fd(struct thump_arena *arena, enum thump_rule_action action,
			  const char *option, const char *text, struct thump_fd_rules *rules,
			  struct thump_err *err)
{
	struct thump_fd_rule rule = thump_policy_empty_rule(), *list;
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
