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

/* 1 to 4: what this CPU and the kernel let programs use. */
int thump_cpu_level(void);

bool thump_has_level(const char *pattern);
/* `pattern` for a level, in `arena`; NULL without memory. A path without %f stays as it is. */
const char *thump_level_path(struct thump_arena *arena, const char *pattern, int level);

#endif
