/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define SLURP_LIMIT_BYTES ((size_t)64 << 20)

int thump_read_full(int fd, void *buf, size_t size_bytes)
{
	char *at = buf;

	while (size_bytes > 0) {
		ssize_t got = read(fd, at, size_bytes);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0) {
			errno = ENODATA;
			return -1;
		}
		at += got;
		size_bytes -= (size_t)got;
	}
	return 0;
}

int thump_pread_full(int fd, void *buf, size_t size_bytes, uint64_t offset)
{
	char *at = buf;

	while (size_bytes > 0) {
		ssize_t got = pread(fd, at, size_bytes, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0) {
			errno = ENODATA;
			return -1;
		}
		at += got;
		offset += (uint64_t)got;
		size_bytes -= (size_t)got;
	}
	return 0;
}

/* /proc/PID/mem of a process that has ended takes 0 bytes, for ever (mem_rw() in fs/proc/base.c).
 */
static int nothing_put(ssize_t put)
{
	if (put == 0)
		errno = EIO;
	return -1;
}

int thump_write_full(int fd, const void *buf, size_t size_bytes)
{
	const char *at = buf;

	while (size_bytes > 0) {
		ssize_t put = write(fd, at, size_bytes);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return nothing_put(put);
		at += put;
		size_bytes -= (size_t)put;
	}
	return 0;
}

int thump_pwrite_full(int fd, const void *buf, size_t size_bytes, uint64_t offset)
{
	const char *at = buf;

	while (size_bytes > 0) {
		ssize_t put = pwrite(fd, at, size_bytes, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return nothing_put(put);
		at += put;
		offset += (uint64_t)put;
		size_bytes -= (size_t)put;
	}
	return 0;
}

/* Grows *text so that at least one more byte than used fits. */
static int slurp_grow(char **text, size_t used, size_t *room)
{
	size_t wanted = *room ? *room * 2 : 4096;
	char *bigger;

	if (used + 1 < *room)
		return 0;
	if (wanted > SLURP_LIMIT_BYTES) {
		errno = EFBIG;
		return -1;
	}
	bigger = realloc(*text, wanted);
	if (!bigger)
		return -1;
	*text = bigger;
	*room = wanted;
	return 0;
}

int thump_open_regular(const char *path, int flags, int *fd_ret, struct thump_err *err)
{
	const int not_kept = O_NONBLOCK & ~flags;
	auto_close int fd = -1;
	struct stat st;

	/* To open a device may already do something. */
	if (stat(path, &st) < 0)
		return thump_fail(err, "%s", strerrordesc_np(errno));
	if (S_ISREG(st.st_mode)) {
		fd = open(path, flags | O_NONBLOCK);
		if (fd < 0 || fstat(fd, &st) < 0)
			return thump_fail(err, "%s", strerrordesc_np(errno));
	}
	if (!S_ISREG(st.st_mode))
		return thump_fail(err, "is no regular file any more");
	/* fcntl(2): O_PATH descriptors know no status flags. */
	if (not_kept && !(flags & O_PATH) && fcntl(fd, F_SETFL, flags) < 0)
		return thump_fail(err, "fcntl(F_SETFL): %s", strerrordesc_np(errno));
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

int thump_slurp(int dir_fd, const char *path, char **text_ret, size_t *size_ret)
{
	auto_close int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	auto_free char *text = NULL;
	size_t used = 0, room = 0;

	if (fd < 0)
		return -1;
	for (;;) {
		ssize_t got;

		if (slurp_grow(&text, used, &room) < 0)
			return -1;
		got = read(fd, text + used, room - used - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		used += (size_t)got;
	}
	text[used] = '\0';
	if (size_ret)
		*size_ret = used;
	*text_ret = text;
	text = NULL;
	return 0;
}
