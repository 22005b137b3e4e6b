/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THUMP_IMAGE_ROOM_H
#define THUMP_IMAGE_ROOM_H

#include "image/image.h"

/* Of all extents of all VMAs. */
uint64_t image_memory_bytes(const struct thump_model *model);

/* FAILED when the memory of `model` surely does not fit where `fd` lies: better said before the
 * target has stood still for all of the writing. Best effort: what is close is found by writing. */
THUMP_MUST_CHECK int image_check_room(int fd, const struct thump_model *model,
				      const struct thump_page_source *source,
				      struct thump_err *err);

#endif
