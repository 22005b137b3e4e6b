/* SPDX-License-Identifier: Apache-2.0 */
/* What all kinds need to make objects again. */
#include "kinds/restore.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "kinds/sock.h"
#include "kinds/registry.h"

struct thump_stash {
	uint64_t key;
	int fd;
	uint16_t kind_id;
};

int thump_ofd_first_fd(const struct thump_model *model, uint32_t ofd_id)
{
	for (uint32_t i = 0; i < model->nr_fds; i++)
		if (model->fds[i].ofd_id == ofd_id)
			return model->fds[i].fd;
	return -1;
}

const struct thump_kind *thump_ofd_kind(const struct thump_fd_rebuild *rb, uint32_t ofd_id)
{
	if (rb->closed && rb->closed[ofd_id])
		return &thump_kind_closed;
	return thump_kind_by_id(rb->model->ofds[ofd_id].kind_id);
}

int thump_ofd_launcher_fd(const struct thump_fd_rebuild *rb, uint32_t ofd_id)
{
	const struct thump_kind *kind = thump_ofd_kind(rb, ofd_id);

	if (!kind || !kind->launcher_fd || !rb->objects[ofd_id])
		return -1;
	return kind->launcher_fd(rb->objects[ofd_id]);
}

bool thump_ofd_is_callers(const struct thump_fd_rebuild *rb, uint32_t ofd_id)
{
	return !rb->keep_stdio && thump_ofd_launcher_fd(rb, ofd_id) >= 0;
}

static void THUMP_PRINTF(6, 0) add_misfit(const struct thump_fd_rebuild *rb, uint32_t ofd_id,
					  struct thump_problems *problems, bool warning,
					  const char *word, const char *fmt, va_list args)
{
	int fd = thump_ofd_first_fd(rb->model, ofd_id);
	char *text = NULL;

	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	if (fd < 0)
		thump_problem_add(problems, warning, fd, word,
				  "descriptor in flight through a unix socket: %s",
				  text ? text : "(out of memory)");
	else
		thump_problem_add(problems, warning, fd, word, "fd %d: %s", fd,
				  text ? text : "(out of memory)");
	free(text);
}

void thump_misfit(const struct thump_fd_rebuild *rb, uint32_t ofd_id,
		  struct thump_problems *problems, const char *word, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add_misfit(rb, ofd_id, problems, false, word, fmt, args);
	va_end(args);
}

void thump_misfit_warn(const struct thump_fd_rebuild *rb, uint32_t ofd_id,
		       struct thump_problems *problems, const char *word, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add_misfit(rb, ofd_id, problems, true, word, fmt, args);
	va_end(args);
}

void thump_warn_about_buffer(const struct thump_fd_rebuild *rb, uint32_t ofd_id,
			     const struct thump_sock_options *options, int fd,
			     struct thump_problems *problems)
{
	int wanted, have;
	const char *name = thump_sock_cut_buffer(fd, options, &wanted, &have);

	if (name)
		thump_misfit_warn(rb, ofd_id, problems, "socket-buffer",
				  "socket: its %s was %d bytes, here it is %d: above "
				  "net.core.%s only CAP_NET_ADMIN goes",
				  name, wanted, have,
				  strcmp(name, "SO_RCVBUF") == 0 ? "rmem_max" : "wmem_max");
}

int thump_reopen(int fd, int flags)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

void thump_give_to_program(const struct thump_fd_rebuild *rb, int dir_fd, const char *path)
{
	const struct thump_creds *creds = &rb->model->process.creds;
	int flags = AT_SYMLINK_NOFOLLOW | (*path ? 0 : AT_EMPTY_PATH);

	if (geteuid() == 0 && creds->fsuid != 0)
		(void)!fchownat(dir_fd, path, creds->fsuid, creds->fsgid, flags);
}

int thump_open_flags(uint32_t recorded)
{
	/* O_TMPFILE is O_DIRECTORY and one more bit; the kernel shows both in f_flags. */
	const uint32_t tmpfile_bit = (uint32_t)O_TMPFILE & ~(uint32_t)O_DIRECTORY;
	const uint32_t kept = O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_DIRECT |
			      O_LARGEFILE | O_NOATIME | O_DIRECTORY | O_NOFOLLOW | O_PATH;

	if (recorded & tmpfile_bit)
		recorded &= ~(uint32_t)O_TMPFILE;
	return (int)(recorded & kept) | O_NOCTTY | O_CLOEXEC;
}

int thump_stash_put(struct thump_fd_rebuild *rb, uint16_t kind_id, uint64_t key, int fd,
		    struct thump_err *err)
{
	auto_close int guard = fd;
	struct thump_stash *list;
	int away;

	if (thump_move_away(rb, thump_take_fd(&guard), &away, err) < 0)
		return -1;
	guard = away;
	list = thump_arena_grow(rb->arena, rb->stash, rb->nr_stash, sizeof(*list));
	if (!list)
		return thump_fail(err, "out of memory");
	rb->stash = list;
	list[rb->nr_stash++] =
		(struct thump_stash){ .kind_id = kind_id, .key = key, .fd = thump_take_fd(&guard) };
	return 0;
}

int thump_stash_take(struct thump_fd_rebuild *rb, uint16_t kind_id, uint64_t key)
{
	for (size_t i = 0; i < rb->nr_stash; i++)
		if (rb->stash[i].kind_id == kind_id && rb->stash[i].key == key &&
		    rb->stash[i].fd >= 0)
			return thump_take_fd(&rb->stash[i].fd);
	return -1;
}

void thump_stash_close(struct thump_fd_rebuild *rb)
{
	for (size_t i = 0; i < rb->nr_stash; i++)
		thump_close_fd(&rb->stash[i].fd);
	rb->nr_stash = 0;
	rb->stash = NULL;
}

static bool is_targets(const struct thump_model *model, int fd)
{
	for (uint32_t i = 0; i < model->nr_fds; i++)
		if (model->fds[i].fd == fd)
			return true;
	return false;
}

/* Where nothing is free above the target's numbers: a number between them. */
static int move_into_gap(struct thump_fd_rebuild *rb, int fd, int cmd)
{
	for (int from = 0; from < rb->safe_fd; from++) {
		int moved;

		if (is_targets(rb->model, from))
			continue;
		moved = fcntl(fd, cmd, from);
		if (moved < 0)
			return -1;
		if (!is_targets(rb->model, moved))
			return moved;
		(void)close(moved);
		from = moved;
	}
	errno = EMFILE;
	return -1;
}

int thump_move_away(struct thump_fd_rebuild *rb, int fd, int *fd_ret, struct thump_err *err)
{
	auto_close int guard = fd;
	int flags = fcntl(fd, F_GETFD);
	int cmd = flags >= 0 && (flags & FD_CLOEXEC) ? F_DUPFD_CLOEXEC : F_DUPFD;
	int moved;

	if (flags < 0)
		return thump_fail_errno(err, "fd %d", fd);
	if (fd >= rb->safe_fd) {
		*fd_ret = thump_take_fd(&guard);
		return 0;
	}
	moved = fcntl(fd, cmd, rb->safe_fd);
	if (moved < 0 && (errno == EMFILE || errno == EINVAL))
		moved = move_into_gap(rb, fd, cmd);
	if (moved < 0)
		return thump_fail_errno(err, "find a descriptor number that the program does not "
					     "use (RLIMIT_NOFILE)");
	*fd_ret = moved;
	return 0;
}
