/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terminals. One that the program got as stdin, stdout or stderr, and every other descriptor of
 * the same terminal, becomes the restoring command's own. Others are opened again by path; the
 * settings of the terminal stay as they are.
 *
 * Record: str path, u8 launcher (0 to 2, or 255: none).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/registry.h"
#include "kinds/restore.h"

#define NO_LAUNCHER 255U

struct tty {
	const char *path;
	uint8_t launcher;
};

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

static int tty_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		       struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	uint8_t launcher = find_launcher(cap, facts);

	thump_buf_put_str(record, facts->link);
	thump_buf_put_u8(record, launcher);
	return thump_ofd_describe(cap, ofd, err, "terminal %s", facts->link);
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

static int tty_launcher_fd(const void *object)
{
	const struct tty *tty = object;

	return tty->launcher == NO_LAUNCHER ? -1 : tty->launcher;
}

const struct thump_kind thump_kind_tty = {
	.name = "terminal",
	.kind_id = 4,
	.version = 1,
	.matches = tty_matches,
	.capture = tty_capture,
	.decode = tty_decode,
	.check = tty_check,
	.rebuild = tty_rebuild,
	.launcher_fd = tty_launcher_fd,
};
