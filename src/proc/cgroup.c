/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/cgroup.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "proc/text.h"

/* Version 1 says "none" as the largest multiple of the page size that a long holds. */
#define NO_LIMIT_FROM (UINT64_C(1) << 62)

bool thump_cgroup_path(const char *text, const char *controller, char *path_ret, size_t size)
{
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");
		const char *list = memchr(line, ':', len);
		const char *path =
			list ? memchr(list + 1, ':', len - (size_t)(list + 1 - line)) : NULL;
		size_t path_len = path ? len - (size_t)(path + 1 - line) : 0;

		if (path && path_len < size &&
		    thump_text_lists(list + 1, (size_t)(path - list - 1), controller,
				     strlen(controller))) {
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

/* One file of a group, or NULL: heap. */
static char *read_file(const char *folder, const char *group, const char *file)
{
	auto_free char *path = NULL;
	char *text = NULL;

	if (asprintf(&path, "/sys/fs/cgroup%s%s/%s", folder, group, file) < 0) {
		path = NULL;
		return NULL;
	}
	return thump_slurp(AT_FDCWD, path, &text, NULL) == 0 ? text : NULL;
}

/* Of the group that the text of /proc/self/cgroup names, else of the one that is seen as the root.
 */
static char *read_own(const char *groups, const char *controller, const char *folder,
		      const char *file)
{
	char group[4096];
	char *text = NULL;

	if (thump_cgroup_path(groups, controller, group, sizeof(group)))
		text = read_file(folder, group, file);
	return text ? text : read_file(folder, "", file);
}

/* `name` of a file like memory.stat; 0: it is not there. */
static uint64_t stat_value(const char *text, const char *name)
{
	const size_t len = strlen(name);

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (strncmp(line, name, len) == 0 && line[len] == ' ')
			return strtoull(line + len + 1, NULL, 10);
	return 0;
}

uint64_t thump_cgroup_memory_left(uint64_t limit, uint64_t usage, const char *stat)
{
	/* Version 1 has those of the groups below apart, and `usage` is with these. */
	const char *of_all = strstr(stat, "\ntotal_") ? "total_" : "";
	uint64_t pages = 0;
	char name[32];

	if (limit == UINT64_MAX)
		return limit;
	(void)snprintf(name, sizeof(name), "%sactive_file", of_all);
	pages += stat_value(stat, name);
	(void)snprintf(name, sizeof(name), "%sinactive_file", of_all);
	pages += stat_value(stat, name);
	usage -= pages < usage ? pages : usage;
	return limit > usage ? limit - usage : 0;
}

uint64_t thump_cgroup_own_memory_left(void)
{
	auto_free char *groups = NULL, *stat = NULL;
	uint64_t limit, usage;

	limit = thump_cgroup_own_limit("memory", "memory.max", "memory.limit_in_bytes");
	usage = thump_cgroup_own_limit("memory", "memory.current", "memory.usage_in_bytes");
	if (limit == UINT64_MAX || usage == UINT64_MAX ||
	    thump_slurp(AT_FDCWD, "/proc/self/cgroup", &groups, NULL) < 0)
		return UINT64_MAX;
	stat = read_own(groups, "", "", "memory.stat");
	if (!stat)
		stat = read_own(groups, "memory", "/memory", "memory.stat");
	return thump_cgroup_memory_left(limit, usage, stat ? stat : "");
}

uint64_t thump_cgroup_own_limit(const char *controller, const char *file_v2, const char *file_v1)
{
	auto_free char *groups = NULL, *text = NULL;
	uint64_t limit = UINT64_MAX;
	char folder[32];

	(void)snprintf(folder, sizeof(folder), "/%s", controller);
	if (thump_slurp(AT_FDCWD, "/proc/self/cgroup", &groups, NULL) < 0)
		return limit;
	text = read_own(groups, "", "", file_v2);
	if (!text)
		text = read_own(groups, controller, folder, file_v1);
	return text && thump_cgroup_limit(text, &limit) ? limit : UINT64_MAX;
}

uint64_t thump_cgroup_own_processors(void)
{
	auto_free char *groups = NULL, *quota = NULL, *period = NULL;
	uint64_t used_us = 0, of_us = 0;

	if (thump_slurp(AT_FDCWD, "/proc/self/cgroup", &groups, NULL) < 0)
		return UINT64_MAX;
	quota = read_own(groups, "", "", "cpu.max");
	if (quota && sscanf(quota, "%" SCNu64 " %" SCNu64, &used_us, &of_us) == 2 && of_us > 0)
		return (used_us + of_us - 1) / of_us;
	if (quota)
		return UINT64_MAX; /* "max PERIOD" */
	quota = read_own(groups, "cpu", "/cpu", "cpu.cfs_quota_us");
	period = read_own(groups, "cpu", "/cpu", "cpu.cfs_period_us");
	if (!quota || !period || quota[0] == '-')
		return UINT64_MAX;
	used_us = strtoull(quota, NULL, 10);
	of_us = strtoull(period, NULL, 10);
	return of_us > 0 ? (used_us + of_us - 1) / of_us : UINT64_MAX;
}
