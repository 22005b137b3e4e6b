/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named pipes, fifo(7): opened again by path. The content that lay in it goes back in when the FIFO
 * is empty then; where somebody else still holds the other end, it is not.
 *
 * Record: u8 launcher (0 to 2, or 255), str path, content (pipe_content.h; bytes only where this
 * process could read them).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/pipe_content.h"
#include "kinds/registry.h"
#include "kinds/restore.h"

#define NO_LAUNCHER 255U

struct fifo {
	uint8_t launcher;
	const char *path;
	struct thump_pipe_content content;
};

static bool fifo_matches(const struct thump_fd_facts *facts)
{
	return S_ISFIFO(facts->st.st_mode) && facts->link[0] == '/' &&
	       !(facts->open_flags & O_PATH);
}

static const struct thump_fd_facts *find_reader(const struct thump_fd_capture *cap,
						const struct thump_fd_facts *facts)
{
	for (size_t i = 0; i < cap->nr_all; i++)
		if (thump_same_inode(&cap->all[i], facts) &&
		    thump_facts_access_mode(&cap->all[i]) != O_WRONLY)
			return &cap->all[i];
	return NULL;
}

static int fifo_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	const struct thump_fd_facts *reader = find_reader(cap, facts);
	bool first = !thump_facts_before(cap, facts);
	size_t queued;

	thump_buf_put_u8(record, facts->fd <= 2 ? (uint8_t)facts->fd : NO_LAUNCHER);
	thump_buf_put_str(record, facts->link);
	if (facts->fd <= 2) {
		thump_pipe_put_nothing(record);
		return thump_ofd_describe(cap, ofd, err, "FIFO %s, of the launcher", facts->link);
	}
	if (facts->deleted || thump_path_leads_elsewhere(cap, facts)) {
		thump_refuse_fd(cap, facts, "fifo", "FIFO %s: %s, cannot be saved", facts->link,
				facts->deleted ? "deleted"
					       : "something else is at its path by now");
		return 0;
	}
	if (thump_pipe_capture_content(cap, reader ? reader : facts, first && reader, false, record,
				       &queued, err) < 0)
		return -1;
	return thump_ofd_describe(cap, ofd, err, "FIFO %s, %zu bytes", facts->link, queued);
}

static int fifo_decode(const struct thump_ofd *ofd, struct thump_arena *arena, void **object_ret,
		       struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);
	struct fifo *fifo = thump_arena_alloc(arena, 1, sizeof(*fifo));

	if (!fifo)
		return thump_fail(err, "out of memory");
	fifo->launcher = thump_get_u8(&r);
	if (fifo->launcher > 2 && fifo->launcher != NO_LAUNCHER)
		r.failed = true;
	fifo->path = thump_get_str(&r, arena, PATH_MAX);
	thump_pipe_decode_content(&r, arena, &fifo->content);
	if (thump_reader_done(&r, "FIFO", err) < 0)
		return -1;
	if (fifo->path[0] != '/' || fifo->content.packets)
		return thump_damaged(err, "FIFO: path is not absolute, or it has packets");
	*object_ret = fifo;
	return 0;
}

/* O_RDWR never waits for the other end (Linux, fifo(7)). */
static int open_both(const char *path)
{
	auto_close int fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (!S_ISFIFO(st.st_mode)) {
		errno = EEXIST;
		return -1;
	}
	return thump_take_fd(&fd);
}

static int fifo_check(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
		      struct thump_problems *problems, struct thump_err *err)
{
	const struct fifo *fifo = object;
	auto_close int fd = open_both(fifo->path);

	(void)err;
	if (fd < 0)
		thump_misfit(rb, ofd_id, problems, "fifo", "FIFO %s: %s", fifo->path,
			     errno == EEXIST ? "is something else now" : strerror(errno));
	return 0;
}

static int fifo_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
			struct thump_err *err)
{
	uint32_t flags = rb->model->ofds[ofd_id].open_flags;
	const struct fifo *fifo = object;
	auto_close int both = open_both(fifo->path);
	auto_close int fd = -1;
	int queued = 0;

	if (both < 0)
		return thump_fail_errno(err, "open FIFO %s", fifo->path);
	fd = open(fifo->path, thump_open_flags(flags));
	if (fd < 0)
		return thump_fail_errno(err, "open FIFO %s", fifo->path);
	if (fifo->content.count && ioctl(both, FIONREAD, &queued) == 0 && queued == 0 &&
	    thump_pipe_fill(both, &fifo->content, err) < 0)
		return -1;
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

static int fifo_launcher_fd(const void *object)
{
	const struct fifo *fifo = object;

	return fifo->launcher == NO_LAUNCHER ? -1 : fifo->launcher;
}

static const char *fifo_path(const struct thump_fd_rebuild *rb, uint32_t ofd_id, const void *object)
{
	(void)rb;
	(void)ofd_id;
	return ((const struct fifo *)object)->path;
}

const struct thump_kind thump_kind_fifo = {
	.name = "FIFO",
	.kind_id = 14,
	.version = 1,
	.matches = fifo_matches,
	.capture = fifo_capture,
	.decode = fifo_decode,
	.check = fifo_check,
	.rebuild = fifo_rebuild,
	.launcher_fd = fifo_launcher_fd,
	.path = fifo_path,
};
