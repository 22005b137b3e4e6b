/* SPDX-License-Identifier: Apache-2.0 */
/* Images as they come: files, or whatever standard input is. */
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "pack/read.h"

static bool is_stdin(const char *path)
{
	return strcmp(path, "-") == 0;
}

/* O_NONBLOCK: a FIFO is refused later, not waited for. */
static int open_path(const char *path)
{
	if (is_stdin(path))
		return fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

/* The first bytes of a file stay where they are: they may be those of an image that is not packed.
 */
static int look_ahead(struct pack_coming *coming, struct thump_err *err)
{
	struct pack_stream *stream = &coming->stream;
	ssize_t got;

	if (stream->seekable) {
		got = pread(stream->fd, stream->ahead, sizeof(stream->ahead), 0);
		/* What is no regular file is refused later, which says what it is. */
		if (got < 0 && S_ISREG(coming->origin.st_mode))
			return thump_fail_errno(err, "image %s: read", coming->name);
		coming->nr_ahead = got < 0 ? 0 : (size_t)got;
		return 0;
	}
	while (coming->nr_ahead < sizeof(stream->ahead)) {
		got = read(stream->fd, stream->ahead + coming->nr_ahead,
			   sizeof(stream->ahead) - coming->nr_ahead);
		if (got == 0)
			break;
		if (got < 0 && errno != EINTR)
			return thump_fail_errno(err, "image %s: read", coming->name);
		coming->nr_ahead += got < 0 ? 0 : (size_t)got;
	}
	return 0;
}

int pack_coming_open(const char *path, struct pack_coming *coming_ret, struct thump_err *err)
{
	const char *name = is_stdin(path) ? "from standard input" : path;
	auto_close int fd = open_path(path);
	struct pack_coming coming = { .name = name, .fd = fd, .stream = { .fd = fd } };

	if (fd < 0 || fstat(fd, &coming.origin) < 0)
		return thump_fail_errno(err, "image %s", name);
	/* Standard input is read as a pipe is, whatever it is: it may not be at its beginning. */
	coming.stream.seekable = !is_stdin(path);
	coming.stream.size_bytes = (uint64_t)coming.origin.st_size;
	if (look_ahead(&coming, err) < 0)
		return -1;
	(void)thump_take_fd(&fd);
	*coming_ret = coming;
	return 0;
}

bool pack_coming_is_packed(const struct pack_coming *coming)
{
	static const unsigned char magic[PACK_MAGIC_SIZE] = PACK_MAGIC;

	return coming->nr_ahead == sizeof(coming->stream.ahead) &&
	       memcmp(coming->stream.ahead, magic, sizeof(magic)) == 0;
}

/* pread(2) has left the first bytes of a file to be read. */
int pack_coming_begin(const struct pack_coming *coming, struct thump_err *err)
{
	if (coming->stream.seekable &&
	    lseek(coming->fd, sizeof(coming->stream.ahead), SEEK_SET) < 0)
		return thump_fail_errno(err, "seek");
	return 0;
}

int pack_coming_read(int fd, void *buf, size_t size_bytes, struct thump_err *err)
{
	if (thump_read_full(fd, buf, size_bytes) == 0)
		return 0;
	if (errno == ENODATA)
		return thump_damaged(err, "it ends early");
	return thump_fail_errno(err, "read");
}

void pack_coming_close(struct pack_coming *coming)
{
	thump_close_fd(&coming->fd);
}
