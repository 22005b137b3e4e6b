/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pack/key_socket.h"

/* O_NONBLOCK: without it open(2) waits for who writes to a FIFO. Regular files do not care. */
int thump_key_file_open(const char *path, int *fd_ret, struct thump_err *err)
{
	int fd;

	if (thump_is_key_socket(path))
		return thump_key_socket_open(path, fd_ret, err);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return thump_fail_errno(err, "file of keys \"%s\"", path);
	*fd_ret = fd;
	return 0;
}

int thump_key_file_of(int fd, const char *name, struct thump_key_file *file_ret,
		      struct thump_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return thump_fail_errno(err, "%s is not open", name);
	*file_ret = (struct thump_key_file){ .fd = fd, .name = name, .type = st.st_mode & S_IFMT };
	return 0;
}

/* What writes to a pipe may take its time, and so may who types. */
static int limit_ms(const struct thump_key_file *file)
{
	if (S_ISSOCK(file->type))
		return THUMP_KEY_AGENT_SECONDS * 1000;
	if (S_ISFIFO(file->type) && !file->begun)
		return THUMP_KEY_WRITER_SECONDS * 1000;
	return -1;
}

static int await_bytes(struct thump_key_file *file, struct thump_err *err)
{
	struct pollfd ready = { .fd = file->fd, .events = POLLIN };

	if (poll(&ready, 1, limit_ms(file)) != 0) /* read(2) tells what is wrong */
		return 0;
	if (S_ISSOCK(file->type))
		return thump_fail(err, "%s: nothing came from there for %d s", file->name,
				  THUMP_KEY_AGENT_SECONDS);
	file->late = true;
	return 0;
}

/* Only as long as nobody has a FIFO open for writing is it at its end: fifo(7), read(2). */
int thump_key_file_read(struct thump_key_file *file, void *bytes, size_t room, size_t *got_ret,
			struct thump_err *err)
{
	ssize_t got;

	do {
		if (await_bytes(file, err) < 0)
			return -1;
		got = read(file->fd, bytes, room);
		file->begun = true;
	} while (got < 0 && (errno == EINTR || errno == EAGAIN));
	if (got < 0 && errno == EBADF)
		return thump_fail_errno(err, "%s is not open for reading", file->name);
	if (got < 0)
		return thump_fail_errno(err, "%s: read", file->name);
	if (got == 0 && file->late)
		return thump_fail(err,
				  "%s is a FIFO that nobody has written to for %d s: what writes "
				  "the key must be started first",
				  file->name, THUMP_KEY_WRITER_SECONDS);
	file->late = false;
	*got_ret = (size_t)got;
	return 0;
}
