/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libthump.so for programs that know nothing of thump: with it clones of one image do not draw the
 * same random numbers (libthump/generation.c). It is preloaded where that can do no harm, which is
 * looked at before: the dynamic loader would end a program, or complain on its standard error,
 * about a library that does not fit.
 */
#ifndef THUMP_CLI_PRELOAD_H
#define THUMP_CLI_PRELOAD_H

#include "base/arena.h"

/*
 * What LD_PRELOAD is to be for `command` (as execvp(3) looks for it), started by the executable
 * `thump`; in the arena. NULL: nothing is to be preloaded, and *why_not_ret says why.
 */
const char *thump_preload(struct thump_arena *arena, const char *thump, const char *command,
			  const char **why_not_ret);

#endif
