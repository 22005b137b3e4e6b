/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the reader: an open image and its parts. */
#ifndef THUMP_IMAGE_READ_H
#define THUMP_IMAGE_READ_H

#include "base/bytes.h"
#include "image/format.h"
#include "image/image.h"

struct thump_image {
	int fd;
	char *name; /* for messages */
	struct stat origin;
	bool unpacked;
	uint64_t size_bytes;
	uint64_t seal;	     /* covers all but content; its checksums cover that */
	unsigned char *meta; /* a copy of the file from e_phoff on; the model points into it */
	size_t meta_size;
	uint64_t meta_offset; /* e_phoff = end of the zero block */
	uint32_t nr_headers;
	const unsigned char *notes; /* in meta */
	size_t notes_size;
	/* LAYOUT and CHECKSUMS */
	uint64_t memory_end, backing_end, debug_end, zero_end;
	const unsigned char *checksums; /* little-endian u64s, in meta */
	uint32_t nr_chunks;
	unsigned char *chunk_good; /* [nr_chunks], atomic: 1 = checked since the image was opened */
	struct thump_model model;
	struct thump_supply *supply; /* NULL: all content is in the file */
	struct image_fetching *fetching;
};

/* supply.c */
void image_supply_destroy(struct thump_image *image);

/* decode.c: all notes -> image->model, layout and checksums; only their form is checked. */
THUMP_MUST_CHECK int image_decode_notes(struct thump_image *image, struct thump_err *err);

/* decode.c: the two lists of a table of hot memory; only their form is checked. */
void image_get_hot(struct thump_reader *r, struct thump_arena *arena, struct thump_hot *hot);

/* hot.c: what FILE.hot holds; `image` says of what image it must be. */
THUMP_MUST_CHECK int image_decode_hot_file(const struct thump_image *image, const void *bytes,
					   size_t size_bytes, struct thump_arena *arena,
					   struct thump_hot *hot_ret, struct thump_err *err);

/* segments.c: program headers -> extents of the VMAs; the model was checked before. */
THUMP_MUST_CHECK int image_check_segments(struct thump_image *image, struct thump_err *err);

#endif
