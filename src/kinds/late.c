/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of a spare (docs/ARCHITECTURE.md, "Templates"), which are made before anybody asks
 * for its program: what nobody sees is made at once, what others would see when it is taken, and
 * where a description is neither there are no spares.
 */
#include <sys/stat.h>

#include "kinds/registry.h"
#include "kinds/restore.h"
#include "kinds/sock.h"

bool thump_can_always_wait(const struct thump_fd_rebuild *rb, uint32_t ofd_id, const void *object)
{
	(void)rb;
	(void)ofd_id;
	(void)object;
	return true;
}

/* The caller's is not there yet: it comes as it is, into the place of another one, which leaves
 * every epoll set by that. */
static void check_callers(const struct thump_fd_rebuild *rb, uint32_t ofd_id,
			  struct thump_problems *problems)
{
	if (thump_ofd_first_fd(rb->model, ofd_id) < 0)
		thump_misfit(rb, ofd_id, problems, "spare",
			     "the caller's stdin, stdout or stderr is in flight: no spare can be "
			     "given it later");
	else if (rb->model->ofds[ofd_id].open_flags & O_NONBLOCK)
		thump_misfit(rb, ofd_id, problems, "spare",
			     "the program's stdin, stdout or stderr does not block: no spare can "
			     "be given the caller's later");
}

void thump_check_waiting(const struct thump_fd_rebuild *rb, struct thump_problems *problems)
{
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++) {
		const struct thump_kind *kind = thump_ofd_kind(rb, i);

		if (thump_ofd_is_callers(rb, i))
			check_callers(rb, i, problems);
		else if (!kind->can_wait || !kind->can_wait(rb, i, rb->objects[i]))
			thump_misfit(rb, i, problems, "spare",
				     "this %s cannot be made before the program is wanted: there "
				     "can be no spares",
				     kind->name);
	}
}

size_t thump_late_binds(const struct thump_fd_rebuild *rb, struct thump_late_bind *list)
{
	size_t count = 0;

	for (uint32_t i = 0; i < rb->model->nr_ofds; i++) {
		const int fd = thump_ofd_first_fd(rb->model, i);

		if (fd < 0 || thump_ofd_kind(rb, i) != &thump_kind_inet_socket ||
		    !thump_inet_late_bind(rb, rb->objects[i], &list[count]))
			continue;
		list[count++].fd = fd;
	}
	return count;
}

int thump_check_still(const struct thump_fd_rebuild *rb, struct thump_err *err)
{
	for (uint32_t i = 0; i < rb->model->nr_backings; i++) {
		const struct thump_backing_plan *plan = &rb->plans[i];
		const char *path = rb->model->backings[i].path;
		struct stat st;

		if (plan->how != THUMP_BACKING_OPEN)
			continue;
		if (stat(path, &st) < 0)
			return thump_fail_errno(err, "look at %s", path);
		if (st.st_dev != plan->dev || st.st_ino != plan->ino)
			return thump_fail(err, "%s is another file than the spare has open", path);
	}
	return 0;
}
