/* SPDX-License-Identifier: Apache-2.0 */
#include "coord/find.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool thump_coord_find(const char *list, const char *name, char *path_ret, size_t size_bytes)
{
	while (list && *list) {
		size_t length = strcspn(list, ":");
		int wanted = snprintf(path_ret, size_bytes, "%.*s/%s", (int)length, list, name);

		if (length && wanted > 0 && (size_t)wanted < size_bytes &&
		    access(path_ret, X_OK) == 0)
			return true;
		list += length;
		list += *list == ':';
	}
	return false;
}
