/* SPDX-License-Identifier: Apache-2.0 */
/* Where an image is cut into chunks: docs/FORMAT.md, "Packed images". */
#ifndef THUMP_PACK_CUT_H
#define THUMP_PACK_CUT_H

#include "image/image.h"
#include "pack/table.h"

/* Offset and size of every chunk; heap, freed by the caller. */
THUMP_MUST_CHECK int pack_cut(const struct thump_image *image, struct pack_chunk **chunks_ret,
			      uint32_t *count_ret, struct thump_err *err);

#endif
