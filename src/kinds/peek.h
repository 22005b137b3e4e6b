/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THUMP_KINDS_PEEK_H
#define THUMP_KINDS_PEEK_H

#include "kinds/capture.h"

/*
 * Appends up to want_bytes of what waits in a stream socket, from its beginning; fewer when the
 * kernel stops before (the border between two senders' credentials, urgent data), or when it is
 * more than fits (about 60 KiB without pidfd_getfd(2)). Nothing is changed: MSG_PEEK without
 * SO_PEEK_OFF.
 * *more_ret: descriptors or credentials came along, which are not looked at.
 */
THUMP_MUST_CHECK int thump_peek_stream(struct thump_access *access, size_t want_bytes,
				       struct thump_buf *into, bool *more_ret,
				       struct thump_err *err);

#endif
