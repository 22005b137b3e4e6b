/* SPDX-License-Identifier: Apache-2.0 */
/* A file that has its name only when it is complete. */
#ifndef THUMP_IMAGE_TEMPFILE_H
#define THUMP_IMAGE_TEMPFILE_H

#include "base/err.h"

struct image_tempfile {
	int fd; /* read-write */
	int dir_fd;
	char *name;   /* final name in the directory */
	char *hidden; /* name that it has meanwhile, to be removed; NULL: it has none (O_TMPFILE) */
};

#define IMAGE_TEMPFILE_INIT ((struct image_tempfile){ .fd = -1, .dir_fd = -1 })

THUMP_MUST_CHECK int image_tempfile_create(const char *path, struct image_tempfile *file_ret,
					   struct thump_err *err);
/* Could an image be written there? Everything but its size is tried; nothing is left. */
THUMP_MUST_CHECK int image_tempfile_try(const char *path, struct thump_err *err);
/* Gives the file its name, in place of a regular file that has it. */
THUMP_MUST_CHECK int image_tempfile_commit(struct image_tempfile *file, bool sync,
					   struct thump_err *err);
/* Gives the file, which has no name yet or a temporary one, another name for good. -1 with errno.
 */
THUMP_MUST_CHECK int image_tempfile_link(const struct image_tempfile *file, int dir_fd,
					 const char *name);
/* Also removes the file unless it was committed. */
void image_tempfile_deinit(struct image_tempfile *file);

#endif
