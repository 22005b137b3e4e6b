/* SPDX-License-Identifier: Apache-2.0 */
#include "kinds/registry.h"

/* In matching order: the special before the general. */
/* clang-format off: one per line */
static const struct thump_kind *const kinds[] = {
	&thump_kind_memfd, /* a regular file, too */
	&thump_kind_own_proc,	 &thump_kind_regular, &thump_kind_directory,
	&thump_kind_tty,	 &thump_kind_pty,     &thump_kind_chardev,
	&thump_kind_pipe,	 &thump_kind_fifo,    &thump_kind_eventfd,
	&thump_kind_epoll,	 &thump_kind_timerfd, &thump_kind_signalfd,
	&thump_kind_inotify,	 &thump_kind_pidfd,   &thump_kind_inet_socket,
	&thump_kind_unix_socket, &thump_kind_closed,  NULL,
};
/* clang-format on */

const struct thump_kind *const *thump_kinds(void)
{
	return kinds;
}

bool thump_owner_is_own(const struct thump_model *model, const struct thump_ofd *ofd)
{
	if (ofd->owner_type == F_OWNER_PID)
		return ofd->owner == model->process.pid;
	for (uint32_t i = 0; ofd->owner_type == F_OWNER_TID && i < model->nr_tasks; i++)
		if (model->tasks[i].tid == ofd->owner)
			return true;
	return false;
}

const struct thump_kind *thump_kind_by_id(uint16_t kind_id)
{
	for (size_t i = 0; kinds[i]; i++)
		if (kinds[i]->kind_id == kind_id)
			return kinds[i];
	return NULL;
}
