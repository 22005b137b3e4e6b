/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terminals. One that the program got as stdin, stdout or stderr, and every other descriptor of
 * the same terminal, becomes the restoring command's own, which gets the modes that the program's
 * had (termios(3)): an editor needs its raw ones. Its size is its own; where that is another one,
 * the program gets a SIGWINCH, as when a window is made larger. The other end of a master that the
 * process holds itself is made together with that (pty.c). All others are opened again by path, and
 * keep their modes.
 *
 * Record: str path, u8 launcher (0 to 2, or 255: none), since version 2 u8 1 and MODES, or u8 0;
 * since version 3 u8 flags (below), u32 number (0, or of the master), WINDOW.
 * MODES: u32 input, output, control and local modes, u8 line discipline, u8[19] control characters.
 */
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/registry.h"
#include "kinds/restore.h"
#include "kinds/tty.h"

#define NO_LAUNCHER 255U

enum tty_flags {
	TTY_INSIDE = 1,	     /* the process has the master, too */
	TTY_CONTROLLING = 2, /* of such a one: the terminal of the process's session */
	TTY_EXCLUSIVE = 4,   /* of such a one: TIOCEXCL */
	TTY_ALL_FLAGS = 7,
};

struct tty {
	const char *path;
	uint8_t launcher;
	bool has_modes;
	struct thump_tty_modes modes;
	uint8_t flags;
	uint32_t number;
	struct winsize window;
};

/* What the kernel takes (termios_32.h, asm-generic/termbits.h); that of termios(3) is longer. */
_Static_assert(sizeof(struct thump_tty_modes) == 36, "TCGETS");

/* Documentation/admin-guide/devices.txt: virtual consoles and serial lines, /dev/tty and
 * /dev/console but not /dev/ptmx, pseudoterminals. */
static bool is_terminal(dev_t rdev)
{
	unsigned nr = major(rdev);

	return nr == 4 || (nr == 5 && minor(rdev) < 2) || (nr >= 136 && nr <= 143);
}

static bool is_dev_tty(dev_t rdev)
{
	return rdev == makedev(5, 0);
}

static bool tty_matches(const struct thump_fd_facts *facts)
{
	return S_ISCHR(facts->st.st_mode) && is_terminal(facts->st.st_rdev) &&
	       !(facts->open_flags & O_PATH);
}

static uint8_t find_launcher(const struct thump_fd_capture *cap, const struct thump_fd_facts *facts)
{
	for (size_t i = 0; i < cap->nr_all && cap->all[i].fd <= 2; i++) {
		const struct thump_fd_facts *stdio = &cap->all[i];

		if (tty_matches(stdio) &&
		    (stdio->st.st_rdev == facts->st.st_rdev || is_dev_tty(facts->st.st_rdev)))
			return facts->fd <= 2 ? (uint8_t)facts->fd : (uint8_t)stdio->fd;
	}
	return NO_LAUNCHER;
}

int thump_tty_ask(struct thump_access *access, unsigned long request, void *value,
		  size_t size_bytes, long *result_ret, struct thump_err *err)
{
	uint64_t args[6] = { (uint64_t)access->fd, request, access->addr };

	memset(access->bytes, 0, size_bytes);
	if (thump_access_call(access, SYS_ioctl, args, size_bytes, result_ret, err) < 0)
		return -1;
	memcpy(value, access->bytes, size_bytes);
	return 0;
}

int thump_tty_capture_modes(struct thump_access *access, struct thump_buf *record, bool *there_ret,
			    struct thump_err *err)
{
	struct thump_tty_modes modes;
	long result;

	if (thump_tty_ask(access, TCGETS, &modes, sizeof(modes), &result, err) < 0)
		return -1;
	thump_buf_put_u8(record, result == 0);
	/* EIO: it has hung up. */
	*there_ret = result == 0;
	if (result < 0)
		return 0;
	thump_buf_put_u32(record, modes.input);
	thump_buf_put_u32(record, modes.output);
	thump_buf_put_u32(record, modes.control);
	thump_buf_put_u32(record, modes.local);
	thump_buf_put_u8(record, modes.line);
	thump_buf_put(record, modes.characters, sizeof(modes.characters));
	return 0;
}

int thump_tty_capture_window(struct thump_access *access, struct thump_buf *record,
			     struct thump_err *err)
{
	struct winsize window;
	long result;

	if (thump_tty_ask(access, TIOCGWINSZ, &window, sizeof(window), &result, err) < 0)
		return -1;
	thump_buf_put_u16(record, window.ws_row);
	thump_buf_put_u16(record, window.ws_col);
	thump_buf_put_u16(record, window.ws_xpixel);
	thump_buf_put_u16(record, window.ws_ypixel);
	return 0;
}

/* What is peculiar to the other end of a master inside. */
static int capture_inside(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			  struct thump_access *access, uint8_t *flags_ret, struct thump_err *err)
{
	int waiting = 0, exclusive = 0;
	long result;

	if (thump_access_ioctl_int(access, FIONREAD, &waiting, &result, err) < 0)
		return -1;
	if (result == 0 && waiting > 0)
		thump_refuse_fd(cap, facts, "terminal",
				"terminal %s: %d bytes of input wait to be read: cannot be saved",
				facts->link, waiting);
	if (thump_access_ioctl_int(access, TIOCGEXCL, &exclusive, &result, err) < 0)
		return -1;
	*flags_ret = TTY_INSIDE;
	if (result == 0 && exclusive)
		*flags_ret |= TTY_EXCLUSIVE;
	/* proc(5): of stat, tty_nr is a device as stat(2) tells it, but for its upper half. */
	if (cap->model->process.tty_nr == (uint32_t)facts->st.st_rdev)
		*flags_ret |= TTY_CONTROLLING;
	return 0;
}

/* Nobody can open it again: its path is gone, or leads to somebody else's by now. */
static int refuse_hung_up(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			  struct thump_access *access, struct thump_err *err)
{
	struct thump_tty_modes modes;
	long result;

	if (thump_tty_ask(access, TCGETS, &modes, sizeof(modes), &result, err) < 0)
		return -1;
	if (result == -EIO)
		thump_refuse_fd(cap, facts, "terminal", "terminal %s: has hung up: cannot be saved",
				facts->link);
	return 0;
}

static int capture_state(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			 uint8_t launcher, bool inside, struct thump_buf *record,
			 struct thump_err *err)
{
	auto_access struct thump_access access = THUMP_ACCESS_INIT;
	uint8_t flags = 0;
	bool there;

	if (thump_access_open(cap->target, cap->have_dup_fd, facts->fd, &access, err) < 0)
		return -1;
	if (launcher == NO_LAUNCHER)
		thump_buf_put_u8(record, false);
	else if (thump_tty_capture_modes(&access, record, &there, err) < 0)
		return -1;
	if (inside ? capture_inside(cap, facts, &access, &flags, err) < 0
		   : launcher == NO_LAUNCHER && refuse_hung_up(cap, facts, &access, err) < 0)
		return -1;
	thump_buf_put_u8(record, flags);
	thump_buf_put_u32(record, inside ? thump_pty_number(facts) : 0);
	return thump_tty_capture_window(&access, record, err);
}

static int tty_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		       struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	const bool inside = thump_pty_is_inside(cap, facts);
	const uint8_t launcher = inside ? NO_LAUNCHER : find_launcher(cap, facts);

	thump_buf_put_str(record, facts->link);
	thump_buf_put_u8(record, launcher);
	if (capture_state(cap, facts, launcher, inside, record, err) < 0)
		return -1;
	return thump_ofd_describe(cap, ofd, err, "terminal %s", facts->link);
}

bool thump_tty_decode_modes(struct thump_reader *r, struct thump_tty_modes *modes)
{
	uint8_t there = thump_get_u8(r);
	const void *characters;

	if (there > 1)
		r->failed = true;
	if (!there || r->failed)
		return false;
	modes->input = thump_get_u32(r);
	modes->output = thump_get_u32(r);
	modes->control = thump_get_u32(r);
	modes->local = thump_get_u32(r);
	modes->line = thump_get_u8(r);
	characters = thump_get_bytes(r, sizeof(modes->characters));
	if (characters)
		memcpy(modes->characters, characters, sizeof(modes->characters));
	return characters;
}

void thump_tty_decode_window(struct thump_reader *r, struct winsize *window_ret)
{
	window_ret->ws_row = thump_get_u16(r);
	window_ret->ws_col = thump_get_u16(r);
	window_ret->ws_xpixel = thump_get_u16(r);
	window_ret->ws_ypixel = thump_get_u16(r);
}

static bool is_in_range(const struct tty *tty)
{
	if ((tty->launcher > 2 && tty->launcher != NO_LAUNCHER) ||
	    (tty->has_modes && tty->launcher == NO_LAUNCHER) || tty->flags & ~TTY_ALL_FLAGS)
		return false;
	if (!(tty->flags & TTY_INSIDE))
		return tty->flags == 0 && tty->number == 0;
	return tty->launcher == NO_LAUNCHER;
}

static int tty_decode(const struct thump_ofd *ofd, struct thump_arena *arena, void **object_ret,
		      struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);
	struct tty *tty = thump_arena_alloc(arena, 1, sizeof(*tty));

	if (!tty)
		return thump_fail(err, "out of memory");
	tty->path = thump_get_str(&r, arena, PATH_MAX);
	tty->launcher = thump_get_u8(&r);
	if (ofd->version >= 2)
		tty->has_modes = thump_tty_decode_modes(&r, &tty->modes);
	if (ofd->version >= 3) {
		tty->flags = thump_get_u8(&r);
		tty->number = thump_get_u32(&r);
		thump_tty_decode_window(&r, &tty->window);
	}
	if (!is_in_range(tty))
		r.failed = true;
	*object_ret = tty;
	return thump_reader_done(&r, "terminal", err);
}

static int open_terminal(const struct tty *tty, uint32_t recorded)
{
	auto_close int fd = -1;
	struct stat st;

	if (tty->path[0] != '/') {
		errno = ENOENT;
		return -1;
	}
	fd = open(tty->path, thump_open_flags(recorded));
	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (!S_ISCHR(st.st_mode) || !is_terminal(st.st_rdev)) {
		errno = ENOTTY;
		return -1;
	}
	return thump_take_fd(&fd);
}

/* Where the process has both ends of its terminal, only the new one can open /dev/tty: when it has
 * made that the terminal of its session. */
static bool opens_own(const struct thump_fd_rebuild *rb, const struct tty *tty)
{
	if (strcmp(tty->path, "/dev/tty") != 0)
		return false;
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++) {
		const struct tty *other = rb->objects[i];

		if (thump_ofd_kind(rb, i) == &thump_kind_tty && other->flags & TTY_CONTROLLING)
			return true;
	}
	return false;
}

static int tty_check(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
		     struct thump_problems *problems, struct thump_err *err)
{
	const struct tty *tty = object;
	auto_close int fd = -1;

	if (tty->flags & TTY_INSIDE)
		return thump_pty_has_master(rb, tty->number)
			       ? 0
			       : thump_damaged(err, "terminal: no master %u", tty->number);
	if (opens_own(rb, tty))
		return thump_open_late(rb, ofd_id, tty->path, err);
	fd = open_terminal(tty, rb->model->ofds[ofd_id].open_flags);
	if (fd < 0)
		thump_misfit(rb, ofd_id, problems, "terminal", "terminal %s: %s", tty->path,
			     strerror(errno));
	return 0;
}

static int tty_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
		       struct thump_err *err)
{
	const struct tty *tty = object;
	int fd;

	if (tty->flags & TTY_INSIDE)
		return thump_pty_open_other_end(
			rb, tty->number, thump_open_flags(rb->model->ofds[ofd_id].open_flags),
			fd_ret, err);
	/* Else something that keeps the number. */
	fd = opens_own(rb, tty) ? open("/dev/null", O_PATH | O_CLOEXEC)
				: open_terminal(tty, rb->model->ofds[ofd_id].open_flags);
	if (fd < 0)
		return thump_fail_errno(err, "open terminal %s", tty->path);
	*fd_ret = fd;
	return 0;
}

/* A session leader has it as its terminal again, and is in the foreground. */
static int tty_connect(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int fd,
		       struct thump_err *err)
{
	const struct tty *tty = object;

	(void)rb;
	(void)ofd_id;
	if ((tty->flags & TTY_CONTROLLING) && getsid(0) == getpid() && ioctl(fd, TIOCSCTTY, 0) < 0)
		return thump_fail_errno(err, "make %s the terminal of the session", tty->path);
	if ((tty->flags & TTY_EXCLUSIVE) && ioctl(fd, TIOCEXCL) < 0)
		return thump_fail_errno(err, "ioctl(TIOCEXCL) of %s", tty->path);
	return 0;
}

/* A job in the background leaves the terminal alone. One that is not ours has no foreground. */
static bool may_set_modes(int fd)
{
	pid_t foreground = tcgetpgrp(fd);

	return foreground < 0 || foreground == getpgrp();
}

/* A size of no rows is that of a terminal that nobody has told one (ioctl_tty(2)), or of an image
 * that does not know it. */
static bool has_another_size(const struct tty *tty)
{
	struct winsize window;

	return tty->window.ws_row && ioctl(tty->launcher, TIOCGWINSZ, &window) == 0 &&
	       memcmp(&window, &tty->window, sizeof(window)) != 0;
}

void thump_terminals_look(struct thump_fd_rebuild *rb)
{
	memset(&rb->terminals, 0, sizeof(rb->terminals));
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++) {
		const struct tty *tty = rb->objects[i];
		struct thump_terminal *terminal;

		if (thump_ofd_kind(rb, i) != &thump_kind_tty || !tty->has_modes || rb->keep_stdio)
			continue;
		rb->terminals.resized |= has_another_size(tty);
		if (!may_set_modes(tty->launcher))
			continue;
		terminal = &rb->terminals.at[tty->launcher];
		if (ioctl(tty->launcher, TCGETS, &terminal->before) < 0 ||
		    terminal->before.line != tty->modes.line)
			continue;
		terminal->wanted = tty->modes;
		/* The speed of the line is its own. */
		terminal->wanted.control = terminal->before.control;
		terminal->differs =
			memcmp(&terminal->wanted, &terminal->before, sizeof(terminal->before)) != 0;
	}
}

void thump_terminals_adopt(const struct thump_terminals *terminals)
{
	for (int i = 0; i < 3; i++)
		if (terminals->at[i].differs)
			(void)ioctl(i, TCSETS, &terminals->at[i].wanted);
}

void thump_terminals_put_back(const struct thump_terminals *terminals)
{
	struct thump_tty_modes now;

	for (int i = 0; i < 3; i++)
		if (terminals->at[i].differs && may_set_modes(i) && ioctl(i, TCGETS, &now) == 0 &&
		    memcmp(&now, &terminals->at[i].wanted, sizeof(now)) == 0)
			(void)ioctl(i, TCSETS, &terminals->at[i].before);
}

static int tty_launcher_fd(const void *object)
{
	const struct tty *tty = object;

	return tty->launcher == NO_LAUNCHER ? -1 : tty->launcher;
}

const struct thump_kind thump_kind_tty = {
	.name = "terminal",
	.kind_id = 4,
	.version = 3,
	.matches = tty_matches,
	.capture = tty_capture,
	.decode = tty_decode,
	.check = tty_check,
	.rebuild = tty_rebuild,
	.connect = tty_connect,
	.launcher_fd = tty_launcher_fd,
};
