/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of everything that stands in the way, so that all of it is reported at once: what a
 * checkpoint refuses, or what an image and a machine do not have in common.
 */
#ifndef THUMP_BASE_PROBLEMS_H
#define THUMP_BASE_PROBLEMS_H

#include "base/arena.h"
#include "base/err.h"

struct thump_problem {
	bool warning;	  /* said, but no reason to stop */
	bool note;	  /* a warning that warns of nothing */
	int fd;		  /* the descriptor it is about, or -1 */
	const char *kind; /* a short stable word for scripts: "tcp-connection", "io_uring" */
	const char *text; /* what, on what, why, what to do */
};

struct thump_problems {
	struct thump_arena arena;
	struct thump_problem *list;
	size_t count;
	size_t nr_fatal;
	bool incomplete; /* memory ran out while one was added */
};

void thump_problems_init(struct thump_problems *problems);
void thump_problems_deinit(struct thump_problems *problems);

void thump_problem_add(struct thump_problems *problems, bool warning, int fd, const char *kind,
		       const char *fmt, ...) THUMP_PRINTF(5, 6);

/* A warning that warns of nothing: what was done as the user wished. */
void thump_problem_note(struct thump_problems *problems, int fd, const char *kind, const char *fmt,
			...) THUMP_PRINTF(4, 5);

/* What is listed from number `from` on is no reason to stop any more. */
void thump_problems_soften(struct thump_problems *problems, size_t from);

/* 0 when nothing fatal is listed; else REFUSED: "N problems" with each on a line of its own. */
THUMP_MUST_CHECK int thump_problems_check(const struct thump_problems *problems, const char *what,
					  struct thump_err *err);

#endif
