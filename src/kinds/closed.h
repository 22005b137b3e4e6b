/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THUMP_KINDS_CLOSED_H
#define THUMP_KINDS_CLOSED_H

#include <sys/types.h>

#include "base/arena.h"

/* An object of the kind `closed` in place of something of this type (S_IFREG: what cannot be in an
 * epoll set) that was opened with these flags; NULL without memory. */
void *thump_closed_object(struct thump_arena *arena, mode_t type, uint32_t open_flags);

#endif
