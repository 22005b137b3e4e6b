/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

/* "com.acme.Main.ready" or "com.acme.Main.ready(I)V" -> class "com/acme/Main", method, signature */
static bool parse_trigger(const char *value, struct agent_options *options)
{
	const char *paren = strchr(value, '(');
	size_t name_len = paren ? (size_t)(paren - value) : strlen(value);
	const char *dot = memrchr(value, '.', name_len);

	if (!dot || dot == value || dot + 1 == value + name_len)
		return false;
	options->trigger_class = strndup(value, (size_t)(dot - value));
	options->trigger_method = strndup(dot + 1, name_len - (size_t)(dot + 1 - value));
	options->trigger_signature = paren ? strdup(paren) : NULL;
	for (char *at = options->trigger_class; at && *at; at++)
		if (*at == '.')
			*at = '/';
	return options->trigger_class && options->trigger_method;
}

static bool parse_hit(const char *value, struct agent_options *options)
{
	char *end;
	unsigned long long hit;

	errno = 0;
	hit = strtoull(value, &end, 10); /* which would take a sign or a space, too */
	options->trigger_hit = (uint32_t)hit;
	return isdigit((unsigned char)value[0]) && !*end && errno == 0 && hit >= 1 &&
	       hit <= UINT32_MAX;
}

static bool parse_then(const char *value, struct agent_options *options)
{
	options->leave_running = strcmp(value, "continue") == 0;
	return options->leave_running || strcmp(value, "exit") == 0;
}

static bool parse_look(const char *value, struct agent_options *options)
{
	options->hooks_first = strcmp(value, "no") == 0;
	return options->hooks_first || strcmp(value, "yes") == 0;
}

static bool parse_level(const char *value, struct agent_options *options)
{
	options->cpu_level = value[0] - '0';
	return value[0] >= '1' && value[0] <= '4' && !value[1];
}

/* False: it is not one that is handed on to thump checkpoint, or there are too many. */
static bool hand_on(const char *key, const char *value, struct agent_options *options)
{
	static const char *const handed_on[] = {
		"--drain", "--policy",		"--mode", "--compress", "--encrypt-to",
		"--sign",  "--passphrase-file",
	};

	for (size_t i = 0; i < sizeof(handed_on) / sizeof(handed_on[0]); i++) {
		if (strcmp(key, handed_on[i] + strlen("--")) != 0)
			continue;
		if (options->nr_words + 2 > THUMP_COORD_WORDS_MAX)
			return false;
		options->words[options->nr_words++] = handed_on[i];
		options->words[options->nr_words] = strdup(value);
		return options->words[options->nr_words++] != NULL;
	}
	return false;
}

static bool set_option(char *key, const char *value, struct agent_options *options)
{
	if (strcmp(key, "image") == 0)
		return (options->image = strdup(value)) != NULL;
	if (strcmp(key, "thump") == 0)
		return (options->thump = strdup(value)) != NULL;
	if (strcmp(key, "look") == 0)
		return parse_look(value, options);
	if (strcmp(key, "cpu") == 0)
		return parse_level(value, options);
	if (strcmp(key, "trigger") == 0)
		return parse_trigger(value, options);
	if (strcmp(key, "hit") == 0)
		return parse_hit(value, options);
	if (strcmp(key, "then") == 0)
		return parse_then(value, options);
	return hand_on(key, value, options);
}

/*
 * Where thump is, when nobody says: beside this library in a build directory, else where `bin` lies
 * from where the library is installed (lib/thump, or lib/TRIPLET/thump).
 */
static char *find_thump(void)
{
	static const char *const places[] = {
		"thump",
		"../../bin/thump",
		"../../../bin/thump",
	};
	const char *slash;
	char path[4096];
	Dl_info self;

	if (!dladdr((const void *)find_thump, &self) || !self.dli_fname)
		return NULL;
	slash = strrchr(self.dli_fname, '/');
	for (size_t i = 0; slash && i < sizeof(places) / sizeof(places[0]); i++) {
		(void)snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - self.dli_fname),
			       self.dli_fname, places[i]);
		if (access(path, X_OK) == 0)
			return strdup(path);
	}
	return NULL;
}

/* What belongs together; hit=1 is the default. */
static bool complete_trigger(struct agent_options *options, char *problem, size_t problem_size)
{
	if (options->trigger_hit && !options->trigger_class) {
		(void)snprintf(problem, problem_size,
			       "option hit=%u counts the entries of a trigger method; give "
			       "trigger=Class.method, too",
			       options->trigger_hit);
		return false;
	}
	if (!options->trigger_hit)
		options->trigger_hit = 1;
	return true;
}

bool options_parse(const char *text, struct agent_options *options, char *problem,
		   size_t problem_size)
{
	char *copy = strdup(text ? text : ""), *rest = copy, *item;
	bool fine = copy != NULL;

	while (fine && (item = strsep(&rest, ",")) != NULL) {
		char *value = strchr(item, '=');

		if (*item == '\0')
			continue;
		if (value)
			*value++ = '\0';
		if (!value || *value == '\0' || !set_option(item, value, options)) {
			(void)snprintf(problem, problem_size, "option %s%s%s is not understood%s",
				       item, value ? "=" : "", value ? value : "",
				       strcmp(item, "hit") == 0 ? "; it takes a number from 1 to "
								  "4294967295"
								: "");
			fine = false;
		}
	}
	free(copy);
	fine = fine && complete_trigger(options, problem, problem_size);
	if (fine && !options->thump)
		options->thump = find_thump();
	return fine;
}
