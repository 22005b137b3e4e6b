/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "trace/internal.h"

static int append_tid(pid_t **tids, size_t *count, pid_t tid)
{
	pid_t *grown;

	/* The room doubles at powers of two. */
	if ((*count & (*count - 1)) == 0) {
		grown = realloc(*tids, (*count ? *count * 2 : 1) * sizeof(**tids));
		if (!grown)
			return -1;
		*tids = grown;
	}
	(*tids)[(*count)++] = tid;
	return 0;
}

static void leader_first(pid_t *tids, size_t count, pid_t pid)
{
	for (size_t i = 1; i < count; i++) {
		if (tids[i] != pid)
			continue;
		memmove(tids + 1, tids, i * sizeof(*tids));
		tids[0] = pid;
	}
}

int thump_list_tasks(int proc_fd, pid_t pid, pid_t **tids_ret, size_t *count_ret,
		     struct thump_err *err)
{
	auto_free pid_t *tids = NULL;
	auto_closedir DIR *dir = NULL;
	auto_close int fd = openat(proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;
	size_t count = 0;

	if (fd < 0)
		return thump_fail_errno(err, "list the threads of process %d", pid);
	dir = fdopendir(fd);
	if (!dir)
		return thump_fail_errno(err, "list the threads of process %d", pid);
	fd = -1; /* the directory stream's now */
	errno = 0;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (append_tid(&tids, &count, (pid_t)strtol(entry->d_name, NULL, 10)) != 0)
			return thump_fail_errno(err, "list the threads of process %d", pid);
		errno = 0;
	}
	if (errno != 0)
		return thump_fail_errno(err, "list the threads of process %d", pid);
	if (count == 0)
		return thump_fail(err, "process %d has ended", pid);
	leader_first(tids, count, pid);
	*tids_ret = tids;
	*count_ret = count;
	tids = NULL;
	return 0;
}

bool thump_task_exists(int proc_fd, pid_t tid)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "task/%d", tid);
	return faccessat(proc_fd, path, F_OK, 0) == 0;
}
