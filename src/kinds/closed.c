/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a resource policy closes. The program does not know about it, so its number stays taken: a
 * file opened later must not get it. Whoever uses it sees the end: reads are at end of file or fail
 * with EBADF, writes fail, poll(2) says so. Of TCP connections inet_socket.c takes care.
 *
 * Record: u8 form.
 */
#include <fcntl.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/closed.h"
#include "kinds/registry.h"
#include "kinds/restore.h"

enum closed_form {
	CLOSED_DEAD = 0,       /* O_PATH: EBADF for all but close(2); not for epoll(7) */
	CLOSED_SOCKET = 1,     /* a socket that was shut down */
	CLOSED_PIPE_READ = 2,  /* without a writer */
	CLOSED_PIPE_WRITE = 3, /* without a reader */
};

static bool closed_matches(const struct thump_fd_facts *facts)
{
	(void)facts;
	return false; /* only rules choose it */
}

/* What cannot be in an epoll set becomes dead; the rest must be something that can. */
static uint8_t form_of(mode_t type, uint32_t open_flags)
{
	if (S_ISREG(type) || S_ISDIR(type))
		return CLOSED_DEAD;
	if (S_ISFIFO(type) && (open_flags & O_ACCMODE) == O_RDONLY)
		return CLOSED_PIPE_READ;
	if (S_ISFIFO(type) && (open_flags & O_ACCMODE) == O_WRONLY)
		return CLOSED_PIPE_WRITE;
	return CLOSED_SOCKET;
}

static int closed_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			  struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	thump_buf_put_u8(record, form_of(facts->st.st_mode, facts->open_flags));
	ofd->open_flags &= O_NONBLOCK;
	ofd->pos = 0;
	return thump_ofd_describe(cap, ofd, err, "%s (closed)", facts->link);
}

void *thump_closed_object(struct thump_arena *arena, mode_t type, uint32_t open_flags)
{
	uint8_t *form = thump_arena_alloc(arena, 1, sizeof(*form));

	if (form)
		*form = form_of(type, open_flags);
	return form;
}

static int closed_decode(const struct thump_ofd *ofd, struct thump_arena *arena, void **object_ret,
			 struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);
	uint8_t *form = thump_arena_alloc(arena, 1, sizeof(*form));

	if (!form)
		return thump_fail(err, "out of memory");
	*form = thump_get_u8(&r);
	if (thump_reader_done(&r, "closed", err) < 0)
		return -1;
	if (*form > CLOSED_PIPE_WRITE)
		return thump_damaged(err, "closed: form %u is out of range", *form);
	*object_ret = form;
	return 0;
}

/* One end of a pair, whose other end is closed. */
static int make_end(uint8_t form)
{
	int fds[2], keep = form == CLOSED_PIPE_WRITE;

	if (form == CLOSED_SOCKET ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0
				  : pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	(void)close(fds[!keep]);
	return fds[keep];
}

static int closed_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
			  struct thump_err *err)
{
	const uint8_t *form = object;
	auto_close int fd =
		*form == CLOSED_DEAD ? open("/dev/null", O_PATH | O_CLOEXEC) : make_end(*form);

	(void)rb;
	(void)ofd_id;
	if (fd < 0)
		return thump_fail_errno(err, "make a closed descriptor");
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

const struct thump_kind thump_kind_closed = {
	.name = "closed",
	.kind_id = 30,
	.version = 1,
	.can_wait = thump_can_always_wait,
	.matches = closed_matches,
	.capture = closed_capture,
	.decode = closed_decode,
	.rebuild = closed_rebuild,
};
