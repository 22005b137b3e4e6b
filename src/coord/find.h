/* SPDX-License-Identifier: Apache-2.0 */
/* Programs by their names: what thump and the libraries inside of programs look for alike. */
#ifndef THUMP_COORD_FIND_H
#define THUMP_COORD_FIND_H

#include <stdbool.h>
#include <stddef.h>

/* The executable `name` in the folders of `list`, a PATH or NULL, as execvp(3) looks for it; but an
 * empty word of the list, the current folder, is left out. Allocates nothing. */
bool thump_coord_find(const char *list, const char *name, char *path_ret, size_t size_bytes);

#endif
