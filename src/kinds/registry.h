/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind there is. A new one: one line here, one in registry.c, one in docs/FORMAT.md. */
#ifndef THUMP_KINDS_REGISTRY_H
#define THUMP_KINDS_REGISTRY_H

#include "kinds/kind.h"

extern const struct thump_kind thump_kind_regular, thump_kind_directory, thump_kind_chardev,
	thump_kind_tty, thump_kind_pipe, thump_kind_eventfd, thump_kind_epoll, thump_kind_timerfd,
	thump_kind_signalfd, thump_kind_inotify, thump_kind_memfd, thump_kind_inet_socket,
	thump_kind_unix_socket, thump_kind_fifo, thump_kind_pidfd, thump_kind_pty,
	thump_kind_own_proc, thump_kind_closed;

#endif
