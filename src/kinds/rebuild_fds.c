/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the child, between fork and exec: every description is made and gets its numbers.
 *
 * Order: (1) content is read from the image while its descriptor still has its old number; (2) what
 * is ours moves above the target's numbers; (3) all there is becomes CLOEXEC; (4) descriptions in
 * the order of their lowest descriptor, each put into place at once, so that from then on a number
 * of the target is either free or final; (5) those that have no descriptor, but are in flight
 * between sockets; (6) connect, for kinds that refer to others.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/restore.h"

/* F_SETFL ignores all others, see fcntl(2); O_ASYNC comes later. */
#define SETFL_FLAGS (O_APPEND | O_DIRECT | O_NOATIME | O_NONBLOCK)

static int raise_limit(struct thump_err *err)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return thump_fail_errno(err, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return thump_fail_errno(err, "setrlimit(RLIMIT_NOFILE)");
	return 0;
}

static int move_caller_stdio(struct thump_fd_rebuild *rb, struct thump_err *err)
{
	for (int i = 0; i < 3; i++) {
		int flags = fcntl(i, F_GETFD), copy;

		rb->caller_stdio[i] = -1;
		/* What the caller gave us came through our exec: with CLOEXEC it is our own. */
		if (flags < 0 || (flags & FD_CLOEXEC))
			continue;
		copy = fcntl(i, F_DUPFD_CLOEXEC, 3);
		if (copy < 0)
			return thump_fail_errno(err, "duplicate fd %d", i);
		if (thump_move_away(rb, copy, &rb->caller_stdio[i], err) < 0)
			return -1;
	}
	return 0;
}

static int close_all_on_exec(struct thump_err *err)
{
	auto_closedir DIR *dir = NULL;
	const struct dirent *entry;

	/* Linux 5.11; older kernels answer EINVAL or ENOSYS. */
	if (syscall(SYS_close_range, 0U, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
		return 0;
	dir = opendir("/proc/self/fd");
	if (!dir)
		return thump_fail_errno(err, "open /proc/self/fd");
	while ((entry = readdir(dir)))
		if (thump_fd_of_entry(entry) >= 0)
			(void)fcntl(thump_fd_of_entry(entry), F_SETFD, FD_CLOEXEC);
	return 0;
}

static int move_ours(struct thump_fd_rebuild *rb, int *keep, size_t nr_keep, struct thump_err *err)
{
	auto_free int *flags = calloc(nr_keep + 1, sizeof(*flags));

	if (!flags)
		return thump_fail(err, "out of memory");
	for (size_t i = 0; i < nr_keep; i++) {
		flags[i] = fcntl(keep[i], F_GETFD);
		if (thump_move_away(rb, keep[i], &keep[i], err) < 0)
			return -1;
	}
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++)
		if (rb->kept_fds[i] >= 0 &&
		    thump_move_away(rb, rb->kept_fds[i], &rb->kept_fds[i], err) < 0)
			return -1;
	if (move_caller_stdio(rb, err) < 0 || close_all_on_exec(err) < 0)
		return -1;
	for (size_t i = 0; i < nr_keep; i++)
		if (!(flags[i] & FD_CLOEXEC) && fcntl(keep[i], F_SETFD, 0) < 0)
			return thump_fail_errno(err, "keep fd %d open", keep[i]);
	return 0;
}

static int launcher_number(const struct thump_fd_rebuild *rb, uint32_t ofd_id, int number)
{
	return number <= 2 ? number : thump_ofd_kind(rb, ofd_id)->launcher_fd(rb->objects[ofd_id]);
}

int thump_callers_number(const struct thump_fd_rebuild *rb, const struct thump_fd *place)
{
	return thump_ofd_is_callers(rb, place->ofd_id)
		       ? launcher_number(rb, place->ofd_id, place->fd)
		       : -1;
}

/* The caller's descriptor that takes the place of descriptor `number`; /dev/null where the caller
 * has none. */
static int callers_fd(struct thump_fd_rebuild *rb, uint32_t ofd_id, int number, bool *borrowed_ret)
{
	const int launcher_fd = launcher_number(rb, ofd_id, number);

	*borrowed_ret = rb->caller_stdio[launcher_fd] >= 0;
	if (*borrowed_ret)
		return rb->caller_stdio[launcher_fd];
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

/* Makes `number` refer to what `fd` refers to, without CLOEXEC. */
static int put_at(int fd, int number, struct thump_err *err)
{
	if (fd == number) {
		if (fcntl(fd, F_SETFD, 0) < 0)
			return thump_fail_errno(err, "fcntl(F_SETFD)");
	} else if (dup3(fd, number, 0) < 0) {
		return thump_fail_errno(err, "dup3 to fd %d", number);
	}
	return 0;
}

/*
 * What the program had set on its own stdio: an event loop would block without it. The flag belongs
 * to the open file description, which is the caller's: a shell whose terminal does not block any
 * more ends at once. So the file is opened once more; sockets cannot be, and are changed.
 */
static int make_nonblocking(int fd, bool *borrowed)
{
	const int flags = fcntl(fd, F_GETFL);
	char path[32];
	int own;

	if (flags < 0 || (flags & O_NONBLOCK))
		return fd;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, (flags & (O_ACCMODE | O_APPEND)) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0) {
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
		return fd;
	}
	if (!*borrowed)
		thump_close_fd(&fd);
	*borrowed = false;
	return own;
}

static int put_callers(struct thump_fd_rebuild *rb, const struct thump_fd *place,
		       struct thump_err *err)
{
	const struct thump_ofd *ofd = &rb->model->ofds[place->ofd_id];
	bool borrowed;
	int fd = callers_fd(rb, place->ofd_id, place->fd, &borrowed);
	int status;

	if (fd < 0)
		return thump_fail_errno(err, "open /dev/null");
	if (ofd->open_flags & O_NONBLOCK)
		fd = make_nonblocking(fd, &borrowed);
	status = put_at(fd, place->fd, err);
	if (!borrowed && fd != place->fd)
		thump_close_fd(&fd);
	if (status < 0)
		return -1;
	if (rb->ofd_fds[place->ofd_id] < 0)
		rb->ofd_fds[place->ofd_id] = place->fd;
	return 0;
}

static int make_one(struct thump_fd_rebuild *rb, uint32_t ofd_id, int *fd_ret,
		    struct thump_err *err)
{
	const struct thump_ofd *ofd = &rb->model->ofds[ofd_id];
	const struct thump_kind *kind = thump_ofd_kind(rb, ofd_id);
	int wanted = (int)ofd->open_flags & SETFL_FLAGS;
	auto_close int fd = -1;

	if (kind->rebuild(rb, ofd_id, rb->objects[ofd_id], &fd, err) < 0)
		return thump_add_context(err, "%s", kind->name);
	if (wanted && !(ofd->open_flags & O_PATH) && fcntl(fd, F_SETFL, wanted) < 0)
		return thump_fail_errno(err, "%s: fcntl(F_SETFL, %#x)", kind->name,
					(unsigned)wanted);
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

static int rebuild_one(struct thump_fd_rebuild *rb, const struct thump_fd *place,
		       struct thump_err *err)
{
	auto_close int fd = -1;

	if (make_one(rb, place->ofd_id, &fd, err) < 0 || put_at(fd, place->fd, err) < 0)
		return -1;
	if (fd == place->fd)
		(void)thump_take_fd(&fd);
	rb->ofd_fds[place->ofd_id] = place->fd;
	return 0;
}

static int put_all(struct thump_fd_rebuild *rb, struct thump_err *err)
{
	for (uint32_t i = 0; i < rb->model->nr_fds; i++) {
		const struct thump_fd *place = &rb->model->fds[i];
		int status;

		if (thump_ofd_is_callers(rb, place->ofd_id))
			status = put_callers(rb, place, err);
		else if (rb->ofd_fds[place->ofd_id] >= 0)
			status = put_at(rb->ofd_fds[place->ofd_id], place->fd, err);
		else
			status = rebuild_one(rb, place, err);
		if (status < 0)
			return thump_add_context(err, "fd %d", place->fd);
	}
	return 0;
}

/* What only waits to be received: anywhere out of the way; the exec closes it. */
static int make_flying(struct thump_fd_rebuild *rb, uint32_t ofd_id, struct thump_err *err)
{
	auto_close int fd = -1;
	int away;
	bool borrowed;

	if (thump_ofd_is_callers(rb, ofd_id)) {
		int callers = callers_fd(rb, ofd_id, INT_MAX, &borrowed);

		fd = callers < 0 || !borrowed ? callers : fcntl(callers, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return thump_fail_errno(err, "duplicate the caller's descriptor");
	} else if (make_one(rb, ofd_id, &fd, err) < 0) {
		return -1;
	}
	if (thump_move_away(rb, thump_take_fd(&fd), &away, err) < 0)
		return -1;
	rb->ofd_fds[ofd_id] = away;
	return 0;
}

static int make_all_flying(struct thump_fd_rebuild *rb, struct thump_err *err)
{
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++)
		if (rb->ofd_fds[i] < 0 && make_flying(rb, i, err) < 0)
			return thump_add_context(err, "descriptor in flight");
	return 0;
}

/* The signal tells the number that it was asked for with (si_fd), so not before it is the final
 * one. Nobody owns the description yet, so nobody gets one. */
static int set_async(const struct thump_fd_rebuild *rb, uint32_t ofd_id, struct thump_err *err)
{
	const int fd = rb->ofd_fds[ofd_id];

	if (!(rb->model->ofds[ofd_id].open_flags & O_ASYNC) || rb->closed[ofd_id])
		return 0;
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC) < 0)
		return thump_fail_errno(err, "fd %d: fcntl(O_ASYNC)", fd);
	return 0;
}

static int connect_all(struct thump_fd_rebuild *rb, struct thump_err *err)
{
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++) {
		const struct thump_kind *kind = thump_ofd_kind(rb, i);

		if (rb->ofd_fds[i] < 0 || thump_ofd_is_callers(rb, i))
			continue;
		if (set_async(rb, i, err) < 0)
			return -1;
		if (kind->connect && kind->connect(rb, i, rb->objects[i], rb->ofd_fds[i], err) < 0)
			return thump_add_context(err, "fd %d: %s", rb->ofd_fds[i], kind->name);
	}
	return 0;
}

int thump_rebuild_fds(struct thump_fd_rebuild *rb, int *keep, size_t nr_keep, struct thump_err *err)
{
	const struct thump_model *model = rb->model;

	rb->safe_fd = model->nr_fds ? model->fds[model->nr_fds - 1].fd + 1 : 0;
	if (rb->safe_fd < 3)
		rb->safe_fd = 3;
	if (raise_limit(err) < 0 || thump_make_backings(rb, err) < 0 ||
	    move_ours(rb, keep, nr_keep, err) < 0 || put_all(rb, err) < 0 ||
	    make_all_flying(rb, err) < 0)
		return -1;
	thump_stash_close(rb);
	/* Before connect: closing any descriptor of a file ends the POSIX locks that it takes. */
	if (thump_settle_backings(rb, err) < 0)
		return -1;
	return connect_all(rb, err);
}

int thump_rebuild_backings(struct thump_fd_rebuild *rb, struct thump_err *err)
{
	if (raise_limit(err) < 0 || close_all_on_exec(err) < 0)
		return -1;
	for (uint32_t i = 0; i < rb->model->nr_backings; i++)
		if (rb->backing_fds[i] >= 0 && fcntl(rb->backing_fds[i], F_SETFD, 0) < 0)
			return thump_fail_errno(err, "keep fd %d open", rb->backing_fds[i]);
	return 0;
}

void thump_check_clonable(const struct thump_fd_rebuild *rb, struct thump_problems *problems)
{
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++) {
		const struct thump_kind *kind = thump_ofd_kind(rb, i);

		if (kind->stays && kind->stays(rb->objects[i]) && !thump_ofd_is_callers(rb, i))
			thump_misfit(rb, i, problems, "template",
				     "this %s belongs to the process that makes it, and cannot be "
				     "handed to a clone",
				     kind->name);
	}
}
