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

void thump_problem_add(struct thump_problems *problems, bool warning, int fd, const char *kind,
		       const char *fmt, ...)
{
	struct thump_problem *list;
	char *text = NULL;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vasprintf(&text, fmt, args);
	va_end(args);
	list = thump_arena_grow(&problems->arena, problems->list, problems->count, sizeof(*list));
	if (!warning)
		problems->nr_fatal++;
	if (len < 0 || !list) {
		problems->incomplete = true;
		if (len >= 0)
			free(text);
		return;
	}
	problems->list = list;
	list[problems->count++] = (struct thump_problem){
		.warning = warning,
		.fd = fd,
		.kind = kind,
		.text = thump_arena_strdup(&problems->arena, text),
	};
	free(text);
	if (!list[problems->count - 1].text) {
		list[problems->count - 1].text = "(out of memory)";
		problems->incomplete = true;
	}
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
