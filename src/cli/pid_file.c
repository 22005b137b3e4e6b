/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pid_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/*
 * By a name of chance, as the pid of a killed restore that left its file may be ours: in containers
 * it is always the same. mkostemp(3) makes it for us alone, but whoever waits for it may be another
 * user.
 */
int thump_pid_file_make(struct thump_pid_file *file, struct thump_err *err)
{
	struct stat st;

	if (!file->path)
		return 0;
	if (stat(file->path, &st) == 0 && S_ISDIR(st.st_mode))
		return thump_fail(err, "make the pid file %s: it is a directory", file->path);
	if (asprintf(&file->tmp_path, "%s.XXXXXX", file->path) < 0) {
		file->tmp_path = NULL;
		return thump_fail(err, "out of memory");
	}
	file->fd = mkostemp(file->tmp_path, O_CLOEXEC);
	if (file->fd < 0 || fchmod(file->fd, 0644) < 0)
		return thump_fail_errno(err, "make the pid file %s", file->path);
	return 0;
}

int thump_pid_file_write(struct thump_pid_file *file, pid_t pid, struct thump_err *err)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d\n", (int)pid);

	if (file->fd < 0)
		return 0;
	if (thump_write_full(file->fd, text, (size_t)len) < 0 ||
	    rename(file->tmp_path, file->path) < 0)
		return thump_fail_errno(err, "write the pid file %s", file->path);
	thump_close_fd(&file->fd);
	return 0;
}

void thump_pid_file_close(struct thump_pid_file *file)
{
	if (file->fd >= 0)
		(void)unlink(file->tmp_path); /* it was not renamed */
	thump_close_fd(&file->fd);
	thump_free_ptr(&file->tmp_path);
}
