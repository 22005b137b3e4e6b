/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/cgroup.h"

#include <stdlib.h>
#include <string.h>

/* Version 1 says "none" as the largest multiple of the page size that a long holds. */
#define NO_LIMIT_FROM (UINT64_C(1) << 62)

/* Is `word` one of the controllers, parted by commas, that end at `end`? */
static bool names(const char *list, const char *end, const char *word)
{
	size_t len = strlen(word);

	for (;;) {
		const char *comma = memchr(list, ',', (size_t)(end - list));
		const char *stop = comma ? comma : end;

		if ((size_t)(stop - list) == len && memcmp(list, word, len) == 0)
			return true;
		if (!comma)
			return false;
		list = comma + 1;
	}
}

bool thump_cgroup_path(const char *text, const char *controller, char *path_ret, size_t size)
{
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");
		const char *list = memchr(line, ':', len);
		const char *path =
			list ? memchr(list + 1, ':', len - (size_t)(list + 1 - line)) : NULL;
		size_t path_len = path ? len - (size_t)(path + 1 - line) : 0;

		if (path && path_len < size && names(list + 1, path, controller)) {
			memcpy(path_ret, path + 1, path_len);
			path_ret[path_len] = '\0';
			return true;
		}
		line += len + (line[len] == '\n');
	}
	return false;
}

bool thump_cgroup_limit(const char *text, uint64_t *limit_ret)
{
	unsigned long long value;
	char *end;

	if (strcmp(text, "max\n") == 0 || strcmp(text, "max") == 0) {
		*limit_ret = UINT64_MAX;
		return true;
	}
	if (*text < '0' || *text > '9')
		return false;
	value = strtoull(text, &end, 10);
	if (*end != '\n' && *end != '\0')
		return false;
	*limit_ret = value >= NO_LIMIT_FROM ? UINT64_MAX : value;
	return true;
}
