/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images for several levels of CPUs: in `--image 'app-%f.thump'` the %f stands for the level of the
 * x86-64 psABI, x86-64-v1 to x86-64-v4. The highest that this CPU has, and whose image fits, is
 * restored; a new image is that of this CPU's level.
 */
#ifndef THUMP_CLI_LEVELS_H
#define THUMP_CLI_LEVELS_H

#include "base/arena.h"
#include "base/types.h"

struct thump_common;

/* "x86-64-v1" to "x86-64-v4"; 0: it is none. */
int thump_level_parse(const char *text);

/* --cpu. -1 to go on, else the status to exit with. */
int thump_level_option(const struct thump_common *common, const char *text, int *level_ret);

/* Says in its environment within which level a program was started (`thump run --cpu`). */
#define THUMP_LEVEL_VARIABLE "THUMP_CPU"

/* Sets it, and lets the C library of a program that is executed now keep within the level. */
THUMP_MUST_CHECK int thump_level_set_environment(int level);

/* What that says of a process, or 0. Of a JVM only its agent knows whether it is true. */
int thump_level_of_process(pid_t pid);

bool thump_has_level(const char *pattern);
/* `pattern` for a level, in `arena`; NULL without memory. A path without %f stays as it is. */
const char *thump_level_path(struct thump_arena *arena, const char *pattern, int level);

#endif
