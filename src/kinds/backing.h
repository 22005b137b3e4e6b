/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backings on the capture side: what descriptors (src/kinds) and mappings (src/capture) both refer
 * to. One inode is one backing, found by device and inode number.
 */
#ifndef THUMP_KINDS_BACKING_H
#define THUMP_KINDS_BACKING_H

#include "base/err.h"
#include "model/model.h"

/* Index of the backing with this st_dev and st_ino, or THUMP_NO_ID. */
uint32_t thump_backing_find(const struct thump_model *model, uint64_t dev, uint64_t ino);

/* A copy of *backing at the end of model->backings. */
THUMP_MUST_CHECK int thump_backing_add(struct thump_model *model,
				       const struct thump_backing *backing,
				       uint32_t *backing_id_ret, struct thump_err *err);

/* Page-aligned ranges of the file that hold data (SEEK_DATA); the last may end after the file. */
THUMP_MUST_CHECK int thump_backing_extents(struct thump_arena *arena, int fd, uint64_t size_bytes,
					   struct thump_extent **extents_ret,
					   uint32_t *nr_extents_ret, struct thump_err *err);

/* Bytes that carried files take in the image so far. */
uint64_t thump_backing_carried_bytes(const struct thump_model *model);

/* Under /tmp, /var/tmp, /dev/shm or tmpdir (may be NULL): files there do not outlive a machine, so
 * they travel in the image. */
bool thump_path_is_temporary(const char *path, const char *tmpdir);

#endif
