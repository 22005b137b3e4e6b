/* SPDX-License-Identifier: Apache-2.0 */
#include "base/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void thump_problems_init(struct thump_problems *problems)
{
	*problems = (struct thump_problems){ 0 };
	thump_arena_init(&problems->arena);
}

void thump_problems_deinit(struct thump_problems *problems)
{
	thump_arena_deinit(&problems->arena);
	*problems = (struct thump_problems){ 0 };
}

static void add(struct thump_problems *problems, struct thump_problem problem, const char *fmt,
		va_list args) THUMP_PRINTF(3, 0);

static void add(struct thump_problems *problems, struct thump_problem problem, const char *fmt,
		va_list args)
{
	struct thump_problem *list =
		thump_arena_grow(&problems->arena, problems->list, problems->count, sizeof(*list));
	char *text = NULL;

	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	problems->nr_fatal += !problem.warning;
	problem.text = text ? thump_arena_strdup(&problems->arena, text) : NULL;
	free(text);
	if (!list || !problem.text)
		problems->incomplete = true;
	if (!list)
		return;
	if (!problem.text)
		problem.text = "(out of memory)";
	problems->list = list;
	list[problems->count++] = problem;
}

void thump_problem_add(struct thump_problems *problems, bool warning, int fd, const char *kind,
		       const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add(problems, (struct thump_problem){ .warning = warning, .fd = fd, .kind = kind }, fmt,
	    args);
	va_end(args);
}

void thump_problem_note(struct thump_problems *problems, int fd, const char *kind, const char *fmt,
			...)
{
	va_list args;

	va_start(args, fmt);
	add(problems,
	    (struct thump_problem){ .warning = true, .note = true, .fd = fd, .kind = kind }, fmt,
	    args);
	va_end(args);
}

void thump_problems_soften(struct thump_problems *problems, size_t from)
{
	for (size_t i = from; i < problems->count; i++) {
		problems->nr_fatal -= !problems->list[i].warning;
		problems->list[i].warning = true;
	}
}

int thump_problems_check(const struct thump_problems *problems, const char *what,
			 struct thump_err *err)
{
	if (problems->nr_fatal == 0 && !problems->incomplete)
		return 0;
	return thump_refuse(err, "%s: %zu problem%s stand%s in the way", what, problems->nr_fatal,
			    problems->nr_fatal == 1 ? "" : "s", problems->nr_fatal == 1 ? "s" : "");
}
