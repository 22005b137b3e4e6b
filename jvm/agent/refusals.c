/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine refused, with the objects that hold each descriptor. The engine writes one
 * problem a line, and those about a descriptor begin with "fd N: " (coord/abi.h).
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "holders.h"

struct refusals {
	char *text;   /* one problem a line, with its holders */
	char *chains; /* "N CHAIN" lines: for thump, which has the problems itself */
};

/* The number of a line's descriptor, or -1. */
static int fd_of_line(const char *line)
{
	const char *digits = line + strlen("fd ");
	char *end;
	long fd;

	if (strncmp(line, "fd ", strlen("fd ")) != 0)
		return -1;
	fd = strtol(digits, &end, 10);
	return end > digits && *end == ':' && fd >= 0 && fd <= INT_MAX ? (int)fd : -1;
}

static size_t count_lines(const char *text)
{
	size_t count = 1;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

static void write_line(FILE *text, FILE *chains, const char *line, int fd, const char *chain)
{
	(void)fprintf(text, "%s%s%s\n", line, chain ? " <- " : "", chain ? chain : "");
	if (chain)
		(void)fprintf(chains, "%d %s\n", fd, chain);
}

static void write_all(struct refusals *refusals, char **lines, const int *fds, char **chains,
		      size_t count)
{
	size_t text_size, chains_size;
	FILE *text = open_memstream(&refusals->text, &text_size);
	FILE *chain_text = open_memstream(&refusals->chains, &chains_size);

	for (size_t i = 0; text && chain_text && i < count; i++)
		write_line(text, chain_text, lines[i], fds[i], chains[i]);
	if (text)
		(void)fclose(text);
	if (chain_text)
		(void)fclose(chain_text);
}

/* A descriptor with several problems is explained at the first. */
static int first_mention(const int *fds, size_t count, int fd)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] == fd)
			return -1;
	return fd;
}

static bool any_fd(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0)
			return true;
	return false;
}

/* Splits `text`, in which line ends become NULs. */
static size_t split(char *text, char **lines, int *fds)
{
	size_t count = 0;
	char *line;

	while ((line = strsep(&text, "\n"))) {
		if (!*line)
			continue;
		fds[count] = first_mention(fds, count, fd_of_line(line));
		lines[count++] = line;
	}
	return count;
}

void refusals_forget(struct agent *agent)
{
	if (!agent->refusals)
		return;
	free(agent->refusals->text);
	free(agent->refusals->chains);
	free(agent->refusals);
	agent->refusals = NULL;
}

void refusals_explain(struct agent *agent, JNIEnv *jni, const char *text)
{
	size_t room = count_lines(text), count;
	char *copy = strdup(text), **lines = calloc(room, sizeof(*lines));
	char **chains = calloc(room, sizeof(*chains));
	int *fds = calloc(room, sizeof(*fds));

	refusals_forget(agent);
	agent->refusals = calloc(1, sizeof(*agent->refusals));
	if (agent->refusals && copy && lines && chains && fds) {
		count = split(copy, lines, fds);
		if (any_fd(fds, count))
			holders_find(agent, jni, fds, count, chains);
		write_all(agent->refusals, lines, fds, chains, count);
		for (size_t i = 0; i < count; i++)
			free(chains[i]);
	}
	free(copy);
	free(lines);
	free(chains);
	free(fds);
}

const char *refusals_text(const struct agent *agent)
{
	return agent->refusals ? agent->refusals->text : NULL;
}

const char *refusals_chains(const struct agent *agent)
{
	return agent->refusals ? agent->refusals->chains : NULL;
}
