/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that this user's restores have verified before, so that content that is mapped lazily need
 * not be read to be checked. Best effort: without a home every restore verifies anew.
 */
#ifndef THUMP_REBUILD_VERIFIED_H
#define THUMP_REBUILD_VERIFIED_H

#include <sys/stat.h>

#include "base/types.h"

/* What must be as it was. */
struct thump_file_state {
	uint64_t dev, ino, size_bytes, mtime_ns, ctime_ns;
};

struct thump_file_state thump_file_state_of(const struct stat *st);

/* The content of the image is known to be good: noted before, or fs-verity(7) checks it. */
bool thump_is_verified(int image_fd, const struct thump_file_state *state);

/* Notes that an image was found good while it had this state. */
void thump_note_verified(const struct thump_file_state *state);

#endif
