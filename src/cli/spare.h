/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spares of a template (rebuild/spare.h). Who is about: the *maker* of a spare, a process that its
 * template's keeper has forked and that is to it what thump spawn is; the *taker*, thump spawn,
 * which asks the keeper. The keeper passes the taker's descriptors on to a maker, which from then
 * on speaks with the taker itself, and does for it all that thump spawn does once its program runs.
 *
 *   maker -> keeper   struct thump_spare_word, when it can be taken, or why there will be none
 *   taker -> keeper   struct thump_template_ask with THUMP_TEMPLATE_SPARE, and the descriptors
 *   keeper -> taker   struct thump_clone_reply with the maker's pid; ENOENT: there is none
 *   keeper -> maker   one byte, and the descriptors
 *   maker -> taker    over the line: struct thump_spare_said, later struct thump_clone_end
 */
#ifndef THUMP_CLI_SPARE_H
#define THUMP_CLI_SPARE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum thump_taking_fd {
	THUMP_TAKING_WORDS, /* a file: arguments and environment of the taker */
	THUMP_TAKING_LINE,  /* a socket that keeps messages apart */
	THUMP_TAKING_STDIO, /* three */
	THUMP_NR_TAKING_FDS = THUMP_TAKING_STDIO + 3,
};

struct thump_spare_word {
	int32_t ready;
	char trouble[256]; /* when not */
};

struct thump_spare_said {
	int32_t failed; /* the program does not run, and never will */
	int32_t pid;	/* of the program, as the keeper sees it */
	struct thump_err err;
};

/* ---- the maker ----------------------------------------------------------------------------------
 */

/* What a taker was started with; argv[argc] and the end of environ are NULL. */
struct thump_taker_words {
	int argc;
	char **argv, **environ;
	char *text; /* owned, as both lists are */
};

/* Passes on what comes from the keeper, in the process that waits in the commit, to the one that is
 * to supervise: they share memory, not descriptors. Opened before they part. */
struct thump_spare_maker {
	int order_fd;		      /* to the keeper */
	int relay[2];		      /* read end, write end */
	int fds[THUMP_NR_TAKING_FDS]; /* once it is taken; of the process that called receive */
};

void thump_spare_maker_init(struct thump_spare_maker *maker, int order_fd);
void thump_spare_maker_deinit(struct thump_spare_maker *maker);
THUMP_MUST_CHECK int thump_spare_maker_open(struct thump_spare_maker *maker, struct thump_err *err);
THUMP_MUST_CHECK int thump_spare_tell(const struct thump_spare_maker *maker,
				      const struct thump_err *trouble, struct thump_err *err);
/* From the keeper; -1: it wants no spare any more. */
THUMP_MUST_CHECK int thump_spare_receive(struct thump_spare_maker *maker,
					 struct thump_taker_words *words_ret,
					 struct thump_err *err);
/* In the process that supervises: the same descriptors. False: it was not taken. */
bool thump_spare_receive_relayed(struct thump_spare_maker *maker);
void thump_taker_words_free(struct thump_taker_words *words);

/* ---- the taker ----------------------------------------------------------------------------------
 */

/* Asks for a spare. 1: the program runs; *line_fd_ret tells its end, *said_ret is about it, and
 * *maker_ret takes signals for it. 0: there is none, or it failed, and a clone is as good. */
THUMP_MUST_CHECK int thump_spare_take(int keeper_fd, int argc, char **argv, int *line_fd_ret,
				      pid_t *maker_ret, struct thump_spare_said *said_ret,
				      struct thump_err *err);

#endif
