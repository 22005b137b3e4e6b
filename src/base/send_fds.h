/* SPDX-License-Identifier: Apache-2.0 */
/* Messages with descriptors over a unix socket that keeps messages apart (unix(7), SCM_RIGHTS). */
#ifndef THUMP_BASE_SEND_FDS_H
#define THUMP_BASE_SEND_FDS_H

#include <sys/types.h>

#include "base/err.h"

/* As many as a message may carry here; the kernel takes 253 (SCM_MAX_FD). */
#define THUMP_SEND_FDS_MAX 128

/* 0, or -1 with errno; never SIGPIPE. */
THUMP_MUST_CHECK int thump_send_fds(int socket_fd, const void *bytes, size_t size_bytes,
				    const int *fds, size_t nr_fds);

/*
 * One message of at most size_bytes with at most `room` descriptors, which are CLOEXEC: more are
 * closed. Returns its size, 0 at end of file, -1 with errno.
 */
THUMP_MUST_CHECK ssize_t thump_receive_fds(int socket_fd, void *bytes, size_t size_bytes, int *fds,
					   size_t room, size_t *nr_fds_ret);

#endif
