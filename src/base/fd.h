/* SPDX-License-Identifier: Apache-2.0 */
/* Scope guards and complete-or-fail wrappers for file descriptors and heap memory. */
#ifndef THUMP_BASE_FD_H
#define THUMP_BASE_FD_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"

/* close(2) is never retried: Linux frees the descriptor even on EINTR. */
static inline void thump_close_fd(int *fd)
{
	int saved_errno = errno;

	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	errno = saved_errno;
}

static inline int thump_take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

static inline void thump_free_ptr(void *slot)
{
	int saved_errno = errno;
	void **ptr = slot;

	free(*ptr);
	*ptr = NULL;
	errno = saved_errno;
}

static inline void thump_close_dir(DIR **dir)
{
	int saved_errno = errno;

	if (*dir)
		(void)closedir(*dir);
	*dir = NULL;
	errno = saved_errno;
}

static inline void thump_close_file(FILE **file)
{
	int saved_errno = errno;

	if (*file)
		(void)fclose(*file);
	*file = NULL;
	errno = saved_errno;
}

#define auto_close    __attribute__((cleanup(thump_close_fd)))
#define auto_free     __attribute__((cleanup(thump_free_ptr)))
#define auto_closedir __attribute__((cleanup(thump_close_dir)))
#define auto_fclose   __attribute__((cleanup(thump_close_file)))

/*
 * Read or write exactly size_bytes, going on after EINTR and short counts.
 * Return 0, or -1 with errno set; end of file before size_bytes is -1 with errno ENODATA.
 */
THUMP_MUST_CHECK int thump_read_full(int fd, void *buf, size_t size_bytes);
THUMP_MUST_CHECK int thump_pread_full(int fd, void *buf, size_t size_bytes, uint64_t offset);
THUMP_MUST_CHECK int thump_write_full(int fd, const void *buf, size_t size_bytes);
THUMP_MUST_CHECK int thump_pwrite_full(int fd, const void *buf, size_t size_bytes, uint64_t offset);

/*
 * open(2) of a regular file that exists. Anything else is refused and does not make us wait, as a
 * FIFO without a writer would.
 */
THUMP_MUST_CHECK int thump_open_regular(const char *path, int flags, int *fd_ret,
					struct thump_err *err);

/*
 * Reads a whole (proc) file relative to dir_fd (or AT_FDCWD) into a NUL-terminated heap string,
 * which the caller frees. size_ret may be NULL. -1 with errno on failure; EFBIG above 64 MiB.
 */
THUMP_MUST_CHECK int thump_slurp(int dir_fd, const char *path, char **text_ret, size_t *size_ret);

#endif
