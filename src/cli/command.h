/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THUMP_CLI_COMMAND_H
#define THUMP_CLI_COMMAND_H

#include "base/arena.h"

/* The file that execvp(3) executes for this command; NULL: there is none. */
const char *thump_find_command(struct thump_arena *arena, const char *command);

#endif
