/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HotSpot removes two files by their names when it ends: the counters that jps and jstat read
 * (hsperfdata_USER/PID) and the socket of its attach listener (.java_pidPID). Both names have the
 * pid, which clones that live in pid namespaces of their own have in common: a clone must not take
 * those of another one away. So libjvm's calls of unlink(2) come here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent.h"

/* A shared mapping of this very file is ours (proc_pid_maps(5)). */
static bool is_mapped(const struct stat *st)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	bool found = false;

	while (maps && !found && fgets(line, sizeof(line), maps)) {
		unsigned int major, minor;
		uint64_t inode;

		found = sscanf(line, "%*s %*s %*s %x:%x %" SCNu64, &major, &minor, &inode) == 3 &&
			inode == st->st_ino && makedev(major, minor) == st->st_dev;
	}
	if (maps)
		(void)fclose(maps);
	return found;
}

/* HotSpot has closed its own socket before it removes the file. */
static bool is_served(const char *path)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool served;

	(void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	served = fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0;
	if (fd >= 0)
		(void)close(fd);
	return served;
}

static bool is_of_another(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return false;
	if (S_ISREG(st.st_mode) && strstr(path, "/hsperfdata_"))
		return !is_mapped(&st);
	return S_ISSOCK(st.st_mode) && strstr(path, "/.java_pid") && is_served(path);
}

static int own_unlink(const char *path)
{
	/* Before a restore a pid is ours alone, and files of others are removed because they are
	 * stale. */
	if (agent_get()->restored && is_of_another(path))
		return 0;
	return unlink(path);
}

void leftovers_take_over(const struct agent *agent)
{
	const struct slot slot = { "unlink", (uintptr_t)own_unlink };

	(void)slots_point(agent, &slot, 1);
}
