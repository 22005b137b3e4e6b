/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "coord/find.h"

const char *thump_find_command(struct thump_arena *arena, const char *command)
{
	char path[PATH_MAX];

	if (strchr(command, '/'))
		return command;
	if (!thump_coord_find(getenv("PATH"), command, path, sizeof(path)))
		return NULL;
	return thump_arena_strdup(arena, path);
}
