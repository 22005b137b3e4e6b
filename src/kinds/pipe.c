/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipe(7). Both ends in the process: made anew with its content. Other end closed everywhere: the
 * same, and the other end is closed again. Other end outside: only as stdin, stdout or stderr,
 * where the restoring command's own takes its place.
 *
 * Record: u64 id (the same for all ends of one pipe), u8 launcher (0 to 2, or 255), content
 * (pipe_content.h; only in the record of the lowest descriptor).
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/pipe_content.h"
#include "kinds/registry.h"
#include "kinds/restore.h"

#define NO_LAUNCHER 255U

struct pipe {
	uint64_t id;
	uint8_t launcher;
	struct thump_pipe_content content;
};

static bool pipe_matches(const struct thump_fd_facts *facts)
{
	return S_ISFIFO(facts->st.st_mode) && strncmp(facts->link, "pipe:[", 6) == 0;
}

/* What the descriptors of this process on one pipe amount to. */
struct ends {
	const struct thump_fd_facts *reader, *writer, *stdio;
	bool packets;
};

static struct ends find_ends(const struct thump_fd_capture *cap, const struct thump_fd_facts *facts)
{
	struct ends ends = { 0 };

	for (size_t i = 0; i < cap->nr_all; i++) {
		const struct thump_fd_facts *other = &cap->all[i];
		uint32_t mode = thump_facts_access_mode(other);

		if (!thump_same_inode(other, facts))
			continue;
		if (mode != O_WRONLY && !ends.reader)
			ends.reader = other;
		if (mode != O_RDONLY && !ends.writer)
			ends.writer = other;
		if (mode == thump_facts_access_mode(facts) && other->fd <= 2 && !ends.stdio)
			ends.stdio = other;
		if (mode != O_RDONLY && (other->open_flags & O_DIRECT))
			ends.packets = true;
	}
	return ends;
}

/* poll(2): a read end without writers shows POLLHUP, a write end without readers POLLERR. */
static int other_end_is_gone(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			     bool *gone_ret, struct thump_err *err)
{
	auto_access struct thump_access access = THUMP_ACCESS_INIT;
	short revents;

	if (thump_access_open(cap->target, cap->have_dup_fd, facts->fd, &access, err) < 0 ||
	    thump_access_poll(&access, 0, &revents, err) < 0)
		return -1;
	*gone_ret = (revents & (POLLHUP | POLLERR)) != 0;
	return 0;
}

static const char *end_word(const struct thump_fd_facts *facts)
{
	switch (thump_facts_access_mode(facts)) {
	case O_RDONLY:
		return "read end";
	case O_WRONLY:
		return "write end";
	default:
		return "both ends";
	}
}

static int capture_content(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			   const struct ends *ends, struct thump_ofd *ofd, struct thump_buf *record,
			   struct thump_err *err)
{
	bool first = !thump_facts_before(cap, facts);
	size_t queued;

	thump_buf_put_u8(record, NO_LAUNCHER);
	if (thump_pipe_capture_content(cap, ends->reader ? ends->reader : facts,
				       first && ends->reader, ends->packets, record, &queued,
				       err) < 0)
		return -1;
	return thump_ofd_describe(cap, ofd, err, "%s, %s, %zu bytes", facts->link, end_word(facts),
				  queued);
}

static int pipe_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	struct ends ends = find_ends(cap, facts);
	bool outside = !ends.reader || !ends.writer, gone = false;

	thump_buf_put_u64(record, facts->st.st_ino);
	if (outside && ends.stdio) {
		/* Not looked into: it may belong to another user (su, sudo). */
		thump_buf_put_u8(record, (uint8_t)(facts->fd <= 2 ? facts->fd : ends.stdio->fd));
		thump_pipe_put_nothing(record);
		return thump_ofd_describe(cap, ofd, err, "%s, %s, of the launcher", facts->link,
					  end_word(facts));
	}
	if (outside && other_end_is_gone(cap, facts, &gone, err) < 0)
		return -1;
	if (outside && !gone) {
		thump_refuse_fd(cap, facts, "pipe",
				"%s, %s: the other end is outside of the process: cannot be saved",
				facts->link, end_word(facts));
		return 0;
	}
	return capture_content(cap, facts, &ends, ofd, record, err);
}

static int pipe_decode(const struct thump_ofd *ofd, struct thump_arena *arena, void **object_ret,
		       struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);
	struct pipe *pipe = thump_arena_alloc(arena, 1, sizeof(*pipe));

	if (!pipe)
		return thump_fail(err, "out of memory");
	pipe->id = thump_get_u64(&r);
	pipe->launcher = thump_get_u8(&r);
	if (pipe->launcher > 2 && pipe->launcher != NO_LAUNCHER)
		r.failed = true;
	thump_pipe_decode_content(&r, arena, &pipe->content);
	if ((ofd->open_flags & O_ACCMODE) == O_ACCMODE)
		r.failed = true;
	*object_ret = pipe;
	return thump_reader_done(&r, "pipe", err);
}

/* Called only where the launcher's end is not replaced by the caller's. */
static int pipe_check(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
		      struct thump_problems *problems, struct thump_err *err)
{
	const struct pipe *pipe = object;

	(void)err;
	if (pipe->launcher != NO_LAUNCHER)
		thump_misfit(rb, ofd_id, problems, "pipe",
			     "pipe to whoever started the program: cannot be kept");
	return 0;
}

static uint64_t stash_key(uint64_t id, uint32_t mode)
{
	return id << 2 | mode;
}

/* A descriptor in place that refers to the same pipe, or -1. */
static int find_sibling(const struct thump_fd_rebuild *rb, const struct pipe *pipe)
{
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++) {
		const struct pipe *other = rb->objects[i];

		if (rb->model->ofds[i].kind_id == thump_kind_pipe.kind_id && rb->ofd_fds[i] >= 0 &&
		    other->id == pipe->id)
			return rb->ofd_fds[i];
	}
	return -1;
}

static int make_pipe(struct thump_fd_rebuild *rb, const struct pipe *pipe, struct thump_err *err)
{
	auto_close int write_end = -1;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return thump_fail_errno(err, "pipe2");
	write_end = ends[1];
	if (thump_stash_put(rb, thump_kind_pipe.kind_id, stash_key(pipe->id, O_RDONLY), ends[0],
			    err) < 0 ||
	    thump_pipe_fill(write_end, &pipe->content, err) < 0)
		return -1;
	return thump_stash_put(rb, thump_kind_pipe.kind_id, stash_key(pipe->id, O_WRONLY),
			       thump_take_fd(&write_end), err);
}

/* Another description of a pipe that is there: a sibling in place, or an end that waits. */
static int reopen_pipe(struct thump_fd_rebuild *rb, const struct pipe *pipe, uint32_t mode,
		       int *fd_ret, struct thump_err *err)
{
	int sibling = find_sibling(rb, pipe);
	auto_close int waiting = -1;
	int fd;

	if (sibling < 0) {
		waiting = thump_stash_take(rb, thump_kind_pipe.kind_id,
					   stash_key(pipe->id, O_RDONLY));
		sibling = waiting;
	}
	/* O_NONBLOCK: the open of a pipe without the other end would wait for it. */
	fd = thump_reopen(sibling, (int)mode | O_NONBLOCK);
	if (fd < 0 || fcntl(fd, F_SETFL, 0) < 0) {
		(void)thump_fail_errno(err, "open another description of a pipe");
		thump_close_fd(&fd);
		return -1;
	}
	*fd_ret = fd;
	return 0;
}

static int pipe_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
			struct thump_err *err)
{
	const struct pipe *pipe = object;
	uint32_t mode = rb->model->ofds[ofd_id].open_flags & O_ACCMODE;

	if (find_sibling(rb, pipe) < 0 && make_pipe(rb, pipe, err) < 0)
		return -1;
	if (mode != O_RDWR) {
		int fd = thump_stash_take(rb, thump_kind_pipe.kind_id, stash_key(pipe->id, mode));

		if (fd >= 0) {
			*fd_ret = fd;
			return 0;
		}
	}
	return reopen_pipe(rb, pipe, mode, fd_ret, err);
}

static int pipe_launcher_fd(const void *object)
{
	const struct pipe *pipe = object;

	return pipe->launcher == NO_LAUNCHER ? -1 : pipe->launcher;
}

const struct thump_kind thump_kind_pipe = {
	.name = "pipe",
	.kind_id = 5,
	.version = 1,
	.can_wait = thump_can_always_wait,
	.matches = pipe_matches,
	.capture = pipe_capture,
	.decode = pipe_decode,
	.check = pipe_check,
	.rebuild = pipe_rebuild,
	.launcher_fd = pipe_launcher_fd,
};
