/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's side of coord/abi.h: programs that run hooks before their capture, and programs that
 * ask for their own.
 */
#ifndef THUMP_CLI_COORD_H
#define THUMP_CLI_COORD_H

#include "base/err.h"
#include "base/problems.h"
#include "model/model.h"

struct thump_coord_page;

/* Kind of the problems that the program's own hooks told us. */
#define THUMP_COORD_HOOK_KIND "hook"

/*
 * Asks process `pid` to get ready, when it listens for that: to be looked at
 * (THUMP_COORD_ASK_LOOK), or, with its hooks, for a checkpoint or a dry run. 1: it has, and waits
 * at *addr_ret; 0: it does not listen, or does not know the question; -1: its hooks refused, or it
 * went away.
 */
THUMP_MUST_CHECK int thump_coord_ask(pid_t pid, const char *question, uint64_t *addr_ret,
				     struct thump_err *err);

/*
 * Asks process `pid` for the hooks around a dump by another engine (coord/abi.h); returns when it
 * stands, or goes on. What its hooks have against it is added to `problems`, with REFUSED before
 * the dump, and FAILED after it: then it goes on all the same.
 */
THUMP_MUST_CHECK int thump_coord_hooks(pid_t pid, const char *question,
				       struct thump_problems *problems, struct thump_err *err);

/*
 * Asks a program whose checkpoint was refused which of its objects hold the descriptors that are in
 * the way, and adds that to the texts of the problems.
 */
void thump_coord_explain(pid_t pid, struct thump_problems *problems);

/* Reads the page of a program that waits; fails when there is none at addr. */
THUMP_MUST_CHECK int thump_coord_read(pid_t pid, uint64_t addr, struct thump_coord_page *page_ret,
				      struct thump_err *err);

/* What the program's own hooks refused, a problem a line; heap. Fails only without memory. */
THUMP_MUST_CHECK int thump_coord_refusals(pid_t pid, const struct thump_coord_page *page,
					  char **text_ret, struct thump_err *err);

/* What the page's table of ranges tells: the ranges with this advice, on the heap. Fails when it
 * breaks the rules of coord/abi.h. */
THUMP_MUST_CHECK int thump_coord_ranges(pid_t pid, const struct thump_coord_page *page,
					uint32_t advice, struct thump_range **ranges_ret,
					size_t *count_ret, struct thump_err *err);

/* Says that this process is at work, so that the program sees when it is gone. */
THUMP_MUST_CHECK int thump_coord_begin(pid_t pid, uint64_t addr, struct thump_err *err);

/* Memory as read from [start, start + size_bytes) becomes what the image is to hold: in a process
 * that is made from it the page says RESTORED. */
void thump_coord_patch(uint64_t addr, uint64_t start, void *buf, size_t size_bytes);

/* Writes the outcome: `err` and all problems as text, one a line, but for those that came from the
 * program itself. It may be running. */
void thump_coord_finish(pid_t pid, uint64_t addr, const struct thump_err *err,
			const struct thump_problems *problems);

#endif
