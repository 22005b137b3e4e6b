/* SPDX-License-Identifier: Apache-2.0 */
/* Which parts of memory get a program header, within the limit of docs/FORMAT.md. */
#ifndef THUMP_IMAGE_LAYOUT_H
#define THUMP_IMAGE_LAYOUT_H

#include "image/encode.h"

struct image_layout {
	const struct thump_model *model;
	const struct image_extent_list *vma_extents;	 /* of all VMAs, in order */
	const uint32_t *first_extent;			 /* [nr_vmas + 1] into vma_extents */
	const struct image_extent_list *backing_extents; /* [backing_id] */
	const struct image_extent_list *debug_extents;	 /* of all VMAs, in order */
	/* filled by image_layout_plan */
	uint64_t max_cost; /* of what only debuggers need; above it is left out */
	uint64_t zero_block_bytes;
	uint32_t nr_segments;
};

/* Decides what is left out. FAILED when the extents alone are too many. */
THUMP_MUST_CHECK int image_layout_plan(struct image_layout *layout, struct thump_err *err);

/* Where bytes of the file go that are put one after the other. */
struct image_sink {
	/* Takes all bytes out of buf. */
	void (*flush)(struct image_sink *sink, struct thump_buf *buf);
};

/* Appends the PT_LOAD headers, which lie at headers_offset of the file, behind the PT_NOTE, to buf,
 * which is flushed now and then: 60,000 of them are 3 MB. */
void image_layout_put(const struct image_layout *layout, uint64_t zero_offset,
		      uint64_t headers_offset, struct thump_buf *buf, struct image_sink *sink);

#endif
