/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of docs/FORMAT.md about the content of the model. The reader applies them to what it
 * decoded; the writer to what it was given, so that it never writes an image it could not read.
 */
#ifndef THUMP_IMAGE_RULES_H
#define THUMP_IMAGE_RULES_H

#include "base/err.h"
#include "model/model.h"

/* What a kind of VMA means for its content; NULL for an unknown kind. */
struct image_vma_rule {
	bool own_content;  /* may have extents */
	bool drop_zeros;   /* a page of zeros need not be stored */
	bool zero_holes;   /* what neither extent nor backing holds reads as zeros */
	uint32_t backings; /* bit (1 << enum thump_backing_kind); bit 0: may have none */
};
const struct image_vma_rule *image_vma_rule(uint32_t kind);

/* Content of this backing travels in the image. */
bool image_backing_stored(const struct thump_backing *backing);

/* The backing of a VMA if its content travels in the image, else NULL. */
const struct thump_backing *image_stored_backing(const struct thump_model *model,
						 const struct thump_vma *vma);

/* A private mapping of a file that is not stored: what is not an extent is as in the file. */
bool image_vma_shows_file(const struct thump_model *model, const struct thump_vma *vma);

/* Everything but file offsets of extents. DAMAGED, naming the rule. */
THUMP_MUST_CHECK int image_check_model(const struct thump_model *model, struct thump_err *err);

/* The rules of the HOT record alone. */
THUMP_MUST_CHECK int image_check_hot(const struct thump_hot *hot, struct thump_err *err);

#endif
