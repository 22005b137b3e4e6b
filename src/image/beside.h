/* SPDX-License-Identifier: Apache-2.0 */
/* Small files beside an image, that say something of it: FILE.verified, FILE.hot. */
#ifndef THUMP_IMAGE_BESIDE_H
#define THUMP_IMAGE_BESIDE_H

#include "image/image.h"

/* The caller's; NULL: out of memory. */
char *image_beside_path(const struct thump_image *image, const char *suffix);

/* Read-only for everybody, and whole or absent. */
THUMP_MUST_CHECK int image_beside_write(const struct thump_image *image, const char *suffix,
					const void *bytes, size_t size_bytes, bool sync,
					struct thump_err *err);

/* -1 unless there is a regular file that belongs to root or the caller, which nobody else may
 * write: who could have written it could have written the image itself. */
int image_beside_open(const struct thump_image *image, const char *suffix);

#endif
