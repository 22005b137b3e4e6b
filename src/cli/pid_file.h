/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THUMP_CLI_PID_FILE_H
#define THUMP_CLI_PID_FILE_H

#include <sys/types.h>

#include "base/err.h"

/* Under a temporary name until there is a pid. */
struct thump_pid_file {
	const char *path; /* NULL: none is wanted, and nothing below does anything */
	char *tmp_path;
	int fd;
};

#define THUMP_PID_FILE_INIT                                                                        \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/* Before the start: a pid file that cannot be written must not leave a program behind. */
THUMP_MUST_CHECK int thump_pid_file_make(struct thump_pid_file *file, struct thump_err *err);
THUMP_MUST_CHECK int thump_pid_file_write(struct thump_pid_file *file, pid_t pid,
					  struct thump_err *err);
/* Of one that was not written nothing is left. */
void thump_pid_file_close(struct thump_pid_file *file);

#endif
