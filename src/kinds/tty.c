/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terminals. One that the program got as stdin, stdout or stderr, and every other descriptor of
 * the same terminal, becomes the restoring command's own, which gets the modes that the program's
 * had (termios(3)): an editor needs its raw ones. Others are opened again by path, and keep their
 * modes.
 *
 * Record: str path, u8 launcher (0 to 2, or 255: none), since version 2 u8 1 and MODES, or u8 0.
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

#define NO_LAUNCHER 255U

struct tty {
	const char *path;
	uint8_t launcher;
	bool has_modes;
	struct thump_tty_modes modes;
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

static int capture_modes(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			 struct thump_buf *record, struct thump_err *err)
{
	auto_access struct thump_access access = THUMP_ACCESS_INIT;
	struct thump_tty_modes modes;
	uint64_t args[6] = { 0, TCGETS };
	long result;

	if (thump_access_open(cap->target, cap->have_dup_fd, facts->fd, &access, err) < 0)
		return -1;
	args[0] = (uint64_t)access.fd;
	args[2] = access.addr;
	if (thump_access_call(&access, SYS_ioctl, args, sizeof(modes), &result, err) < 0)
		return -1;
	thump_buf_put_u8(record, result == 0);
	/* EIO: it has hung up. */
	if (result < 0)
		return 0;
	memcpy(&modes, access.bytes, sizeof(modes));
	thump_buf_put_u32(record, modes.input);
	thump_buf_put_u32(record, modes.output);
	thump_buf_put_u32(record, modes.control);
	thump_buf_put_u32(record, modes.local);
	thump_buf_put_u8(record, modes.line);
	thump_buf_put(record, modes.characters, sizeof(modes.characters));
	return 0;
}

static int tty_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		       struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	uint8_t launcher = find_launcher(cap, facts);

	thump_buf_put_str(record, facts->link);
	thump_buf_put_u8(record, launcher);
	if (launcher == NO_LAUNCHER)
		thump_buf_put_u8(record, false);
	else if (capture_modes(cap, facts, record, err) < 0)
		return -1;
	return thump_ofd_describe(cap, ofd, err, "terminal %s", facts->link);
}

static void decode_modes(struct thump_reader *r, struct tty *tty)
{
	uint8_t there = thump_get_u8(r);
	const void *characters;

	if (there > 1 || (there && tty->launcher == NO_LAUNCHER))
		r->failed = true;
	if (!there || r->failed)
		return;
	tty->modes.input = thump_get_u32(r);
	tty->modes.output = thump_get_u32(r);
	tty->modes.control = thump_get_u32(r);
	tty->modes.local = thump_get_u32(r);
	tty->modes.line = thump_get_u8(r);
	characters = thump_get_bytes(r, sizeof(tty->modes.characters));
	if (!characters)
		return;
	memcpy(tty->modes.characters, characters, sizeof(tty->modes.characters));
	tty->has_modes = true;
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
	if (tty->launcher > 2 && tty->launcher != NO_LAUNCHER)
		r.failed = true;
	if (ofd->version >= 2)
		decode_modes(&r, tty);
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

static int tty_check(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
		     struct thump_problems *problems, struct thump_err *err)
{
	const struct tty *tty = object;
	auto_close int fd = open_terminal(tty, rb->model->ofds[ofd_id].open_flags);

	(void)err;
	if (fd < 0)
		thump_misfit(rb, ofd_id, problems, "terminal", "terminal %s: %s", tty->path,
			     strerror(errno));
	return 0;
}

static int tty_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
		       struct thump_err *err)
{
	const struct tty *tty = object;
	int fd = open_terminal(tty, rb->model->ofds[ofd_id].open_flags);

	if (fd < 0)
		return thump_fail_errno(err, "open terminal %s", tty->path);
	*fd_ret = fd;
	return 0;
}

/* A job in the background leaves the terminal alone. One that is not ours has no foreground. */
static bool may_set_modes(int fd)
{
	pid_t foreground = tcgetpgrp(fd);

	return foreground < 0 || foreground == getpgrp();
}

void thump_terminals_look(struct thump_fd_rebuild *rb)
{
	memset(&rb->terminals, 0, sizeof(rb->terminals));
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++) {
		const struct tty *tty = rb->objects[i];
		struct thump_terminal *terminal;

		if (rb->model->ofds[i].kind_id != thump_kind_tty.kind_id || !tty->has_modes ||
		    rb->keep_stdio || !may_set_modes(tty->launcher))
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
	.version = 2,
	.matches = tty_matches,
	.capture = tty_capture,
	.decode = tty_decode,
	.check = tty_check,
	.rebuild = tty_rebuild,
	.launcher_fd = tty_launcher_fd,
};
