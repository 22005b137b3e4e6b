/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/image: a file that becomes an image when it is committed. */
#ifndef THUMP_IMAGE_WRITER_H
#define THUMP_IMAGE_WRITER_H

#include "image/image.h"
#include "image/tempfile.h"

struct thump_image_writer {
	struct image_tempfile file;
	bool sync;
};

/* NULL: failed. */
struct thump_image_writer *image_writer_create(const struct thump_image_options *options,
					       struct thump_err *err);
/* All is written: gives it its mode, and makes it durable when asked to. */
THUMP_MUST_CHECK int image_writer_finish(struct thump_image_writer *writer,
					 const struct thump_image_options *options,
					 struct thump_err *err);

#endif
