/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masters of pseudoterminals whose other ends the process holds, too, or nobody (pts(4), pty(7)).
 * The other ends are terminals (tty.c), made from the master by TIOCGPTPEER: the number that the
 * kernel gives is another one, most likely, so that no path leads to them. What waits to be read
 * cannot be looked at without taking it, so then it is refused.
 *
 * Record: str path, u32 number, u8 flags (below), u8 1 and MODES, WINDOW.
 */
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/fd.h"
#include "kinds/registry.h"
#include "kinds/restore.h"
#include "kinds/tty.h"
#include "proc/text.h"

#define FIRST_PTS_MAJOR 136U
#define LAST_PTS_MAJOR	143U
#define PTS_PER_MAJOR	256U

enum pty_flags {
	PTY_LOCKED = 1,	 /* unlockpt(3) was not called: nobody can have opened the other end */
	PTY_PACKETS = 2, /* TIOCPKT */
	PTY_HUNG_UP = 4, /* the other end was open, and is no more */
	PTY_ALL_FLAGS = 7,
};

struct pty {
	const char *path;
	uint32_t number;
	uint8_t flags;
	struct thump_tty_modes modes;
	struct winsize window;
};

static bool pty_matches(const struct thump_fd_facts *facts)
{
	return S_ISCHR(facts->st.st_mode) && facts->st.st_rdev == makedev(5, 2) &&
	       !(facts->open_flags & O_PATH);
}

/* fdinfo of a master says which one it is. */
static bool read_number(const struct thump_fd_facts *facts, uint32_t *number_ret)
{
	uint64_t number;

	if (!thump_text_value_u64(facts->fdinfo, "tty-index", 10, &number) || number > INT32_MAX)
		return false;
	*number_ret = (uint32_t)number;
	return true;
}

static bool is_other_end(const struct thump_fd_facts *facts)
{
	const unsigned nr = major(facts->st.st_rdev);

	return S_ISCHR(facts->st.st_mode) && nr >= FIRST_PTS_MAJOR && nr <= LAST_PTS_MAJOR &&
	       !(facts->open_flags & O_PATH);
}

uint32_t thump_pty_number(const struct thump_fd_facts *facts)
{
	return (major(facts->st.st_rdev) - FIRST_PTS_MAJOR) * PTS_PER_MAJOR +
	       minor(facts->st.st_rdev);
}

bool thump_pty_is_inside(const struct thump_fd_capture *cap, const struct thump_fd_facts *facts)
{
	uint32_t number;

	for (size_t i = 0; is_other_end(facts) && i < cap->nr_all; i++)
		if (pty_matches(&cap->all[i]) && read_number(&cap->all[i], &number) &&
		    number == thump_pty_number(facts))
			return true;
	return false;
}

static bool has_other_end(const struct thump_fd_capture *cap, uint32_t number)
{
	for (size_t i = 0; i < cap->nr_all; i++)
		if (is_other_end(&cap->all[i]) && thump_pty_number(&cap->all[i]) == number)
			return true;
	return false;
}

/* ---- capture ---------------------------------------------------------------------------- */

static int read_flags(struct thump_access *access, uint8_t *flags_ret, struct thump_err *err)
{
	int locked = 0, packets = 0;
	short revents;
	long result;

	if (thump_access_ioctl_int(access, TIOCGPTLCK, &locked, &result, err) < 0 ||
	    thump_access_ioctl_int(access, TIOCGPKT, &packets, &result, err) < 0 ||
	    thump_access_poll(access, POLLIN, &revents, err) < 0)
		return -1;
	*flags_ret = (uint8_t)((locked ? PTY_LOCKED : 0) | (packets ? PTY_PACKETS : 0) |
			       (revents & POLLHUP ? PTY_HUNG_UP : 0));
	return 0;
}

static int refuse_what_waits(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			     struct thump_access *access, struct thump_err *err)
{
	int waiting = 0;
	long result;

	if (thump_access_ioctl_int(access, FIONREAD, &waiting, &result, err) < 0)
		return -1;
	if (result == 0 && waiting > 0)
		thump_refuse_fd(cap, facts, "pty",
				"pseudoterminal master %s: %d bytes that were written to the "
				"terminal wait to be read: cannot be saved",
				facts->link, waiting);
	return 0;
}

static int capture_open(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			struct thump_access *access, struct thump_buf *record,
			struct thump_err *err)
{
	uint32_t number;
	uint8_t flags;
	bool there;

	if (read_flags(access, &flags, err) < 0 || refuse_what_waits(cap, facts, access, err) < 0)
		return -1;
	if (!read_number(facts, &number)) {
		thump_refuse_fd(cap, facts, "pty", "pseudoterminal master %s: cannot be saved",
				facts->link);
		return 0;
	}
	if (!(flags & (PTY_LOCKED | PTY_HUNG_UP)) && !has_other_end(cap, number))
		thump_refuse_fd(cap, facts, "pty",
				"pseudoterminal master %s: its terminal /dev/pts/%u is not open in "
				"the process: cannot be saved",
				facts->link, number);
	thump_buf_put_str(record, facts->link);
	thump_buf_put_u32(record, number);
	thump_buf_put_u8(record, flags);
	if (thump_tty_capture_modes(access, record, &there, err) < 0)
		return -1;
	if (!there)
		thump_refuse_fd(cap, facts, "pty",
				"pseudoterminal master %s: its modes cannot be read: cannot be "
				"saved",
				facts->link);
	return thump_tty_capture_window(access, record, err);
}

static int pty_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		       struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	auto_access struct thump_access access = THUMP_ACCESS_INIT;

	if (thump_access_open(cap->target, cap->have_dup_fd, facts->fd, &access, err) < 0 ||
	    capture_open(cap, facts, &access, record, err) < 0)
		return -1;
	return thump_ofd_describe(cap, ofd, err, "pseudoterminal master %s", facts->link);
}

/* ---- restore ---------------------------------------------------------------------------- */

static int pty_decode(const struct thump_ofd *ofd, struct thump_arena *arena, void **object_ret,
		      struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);
	struct pty *pty = thump_arena_alloc(arena, 1, sizeof(*pty));

	if (!pty)
		return thump_fail(err, "out of memory");
	pty->path = thump_get_str(&r, arena, PATH_MAX);
	pty->number = thump_get_u32(&r);
	pty->flags = thump_get_u8(&r);
	if (!thump_tty_decode_modes(&r, &pty->modes) || pty->flags & ~PTY_ALL_FLAGS ||
	    pty->number > INT32_MAX)
		r.failed = true;
	thump_tty_decode_window(&r, &pty->window);
	if (!r.failed && pty->path[0] != '/')
		return thump_damaged(err, "pseudoterminal master: path is not absolute");
	*object_ret = pty;
	return thump_reader_done(&r, "pseudoterminal master", err);
}

static int open_other_end(int master, int flags)
{
	return ioctl(master, TIOCGPTPEER, flags | O_NOCTTY | O_CLOEXEC);
}

/* Unlocked: it is locked again when all its other ends are there. -1 with errno. */
static int make_master(const struct pty *pty, int *fd_ret)
{
	auto_close int fd = open(pty->path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	auto_close int other = -1;
	const int unlocked = 0, packets = !!(pty->flags & PTY_PACKETS);

	if (fd < 0 || ioctl(fd, TIOCSPTLCK, &unlocked) < 0 || ioctl(fd, TIOCPKT, &packets) < 0 ||
	    ioctl(fd, TCSETS, &pty->modes) < 0 || ioctl(fd, TIOCSWINSZ, &pty->window) < 0)
		return -1;
	/* Opened and closed, it has hung up. */
	if (pty->flags & PTY_HUNG_UP) {
		other = open_other_end(fd, O_RDWR);
		if (other < 0)
			return -1;
	}
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

static int pty_check(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
		     struct thump_problems *problems, struct thump_err *err)
{
	const struct pty *pty = object;
	auto_close int fd = -1;

	(void)err;
	if (make_master(pty, &fd) < 0)
		thump_misfit(rb, ofd_id, problems, "pty", "pseudoterminal master %s: %s", pty->path,
			     strerror(errno));
	return 0;
}

static const struct pty *find_pty(const struct thump_fd_rebuild *rb, uint32_t number,
				  uint32_t *ofd_id_ret)
{
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++) {
		const struct pty *pty = rb->objects[i];

		if (thump_ofd_kind(rb, i) == &thump_kind_pty && pty->number == number) {
			*ofd_id_ret = i;
			return pty;
		}
	}
	return NULL;
}

bool thump_pty_has_master(const struct thump_fd_rebuild *rb, uint32_t number)
{
	uint32_t ofd_id;

	return find_pty(rb, number, &ofd_id) != NULL;
}

static int fail_to_make(const struct pty *pty, struct thump_err *err)
{
	return thump_fail_errno(err, "make pseudoterminal %s", pty->path);
}

int thump_pty_open_other_end(struct thump_fd_rebuild *rb, uint32_t number, int flags, int *fd_ret,
			     struct thump_err *err)
{
	uint32_t ofd_id;
	const struct pty *pty = find_pty(rb, number, &ofd_id);
	auto_close int waiting = -1;
	int fd;

	if (!pty)
		return thump_damaged(err, "terminal: no master %u", number);
	if (rb->ofd_fds[ofd_id] >= 0) {
		fd = open_other_end(rb->ofd_fds[ofd_id], flags);
	} else {
		waiting = thump_stash_take(rb, thump_kind_pty.kind_id, number);
		if (waiting < 0 && make_master(pty, &waiting) < 0)
			return fail_to_make(pty, err);
		fd = open_other_end(waiting, flags);
	}
	if (fd < 0)
		return fail_to_make(pty, err);
	*fd_ret = fd;
	thump_give_to_program(rb, fd, "");
	return waiting < 0 ? 0
			   : thump_stash_put(rb, thump_kind_pty.kind_id, number,
					     thump_take_fd(&waiting), err);
}

static int pty_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
		       struct thump_err *err)
{
	const struct pty *pty = object;
	int fd = thump_stash_take(rb, thump_kind_pty.kind_id, pty->number);

	(void)ofd_id;
	if (fd < 0 && make_master(pty, &fd) < 0)
		return fail_to_make(pty, err);
	*fd_ret = fd;
	return 0;
}

static int pty_connect(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int fd,
		       struct thump_err *err)
{
	const struct pty *pty = object;
	const int locked = 1;

	(void)rb;
	(void)ofd_id;
	if ((pty->flags & PTY_LOCKED) && ioctl(fd, TIOCSPTLCK, &locked) < 0)
		return thump_fail_errno(err, "lock pseudoterminal %s", pty->path);
	return 0;
}

/* The other end may be the terminal of its maker's session. */
static bool pty_stays(const void *object)
{
	(void)object;
	return true;
}

const struct thump_kind thump_kind_pty = {
	.name = "pseudoterminal master",
	.stays = pty_stays,
	.kind_id = 16,
	.version = 1,
	.matches = pty_matches,
	.capture = pty_capture,
	.decode = pty_decode,
	.check = pty_check,
	.rebuild = pty_rebuild,
	.connect = pty_connect,
};
