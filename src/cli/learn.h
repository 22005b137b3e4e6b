/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image that nobody has trained learns of its own restores: while the program runs, a process
 * beside thump waits until it is of use, looks what of its memory it has touched, and leaves that
 * in FILE.hot beside the image, which later restores go by.
 *
 * It is best effort, and in nobody's way: the program is neither stopped nor asked anything but
 * what
 * --train says, one process at a time does it for an image, and it ends with the program.
 */
#ifndef THUMP_CLI_LEARN_H
#define THUMP_CLI_LEARN_H

#include "cli/cli.h"
#include "cli/restoring.h"
#include "cli/supervise.h"
#include "cli/when.h"

/* Until when a program is looked at: --train of `run` and `restore`. */
struct thump_learn {
	bool never;		/* --train no */
	bool has_moment;	/* --train MOMENT; else as learn.c chooses */
	struct thump_when when; /* the moment */
};

/* Takes the word of --train: -1 to go on, else the status to end with. */
THUMP_MUST_CHECK int thump_learn_option(const struct thump_common *common, const char *word,
					struct thump_learn *learn);

/* Once the program runs; starts nothing where there is nothing to learn, or no place for it. */
void thump_learn_start(const struct thump_learn *learn, const struct thump_restoring *restoring,
		       const struct thump_common *common, const struct thump_supervise *sup);

#endif
