/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content part of an image: ranges are read by the calling thread, pages of zeros are dropped,
 * chunks are hashed, and a second thread writes them. The ring between both is all the memory
 * that is used, whatever the size of the image.
 */
#ifndef THUMP_IMAGE_STREAM_H
#define THUMP_IMAGE_STREAM_H

#include "image/encode.h"
#include "image/image.h"

struct image_stream;

THUMP_MUST_CHECK int image_stream_create(int fd, thump_progress_fn progress, void *progress_ctx,
					 uint64_t total_bytes, struct image_stream **stream_ret,
					 struct thump_err *err);
void image_stream_destroy(struct image_stream *stream); /* waits for the thread; NULL is fine */

/* How many more extents runs of zeros may cost: the fewer are left, the longer a run must be. */
struct image_split_budget {
	uint64_t keep_bytes; /* runs of zeros up to this are stored */
	uint32_t left;	     /* extents that splitting may still add */
	uint32_t next_mark;  /* when left falls to this, keep_bytes doubles */
};
struct image_split_budget image_split_budget_of(uint64_t keep_bytes, uint32_t left);

bool image_page_is_zero(const unsigned char *page);

struct image_copy {
	int (*read)(void *ctx, uint64_t at, void *buf, size_t size_bytes, struct thump_err *err);
	void *ctx;
	const struct thump_extent *parts; /* to be copied with the gaps between them, as zeros */
	size_t nr_parts;
	struct image_split_budget *split; /* NULL: every page is stored, zeros too */
};

/* Appends the range that parts span; what was stored of it is appended to `extents`. */
THUMP_MUST_CHECK int image_stream_copy(struct image_stream *stream, const struct image_copy *copy,
				       struct image_extent_list *extents, struct thump_err *err);
THUMP_MUST_CHECK int image_stream_zeros(struct image_stream *stream, uint64_t size_bytes,
					struct thump_err *err);

/* File offset of the next byte. */
uint64_t image_stream_offset(const struct image_stream *stream);

/* Writes the last chunk and waits until all are written; then nothing can be appended. */
THUMP_MUST_CHECK int image_stream_finish(struct image_stream *stream, struct thump_err *err);
void image_stream_checksums(const struct image_stream *stream, const uint64_t **list_ret,
			    size_t *count_ret);
void image_stream_stats(const struct image_stream *stream, struct thump_image_stats *stats);

#endif
