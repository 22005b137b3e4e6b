/* SPDX-License-Identifier: Apache-2.0 */
/* The same hash with instructions that not every processor has. The state of a hasher is the same,
 * whoever adds to it. */
#ifndef THUMP_IMAGE_ARCH_HASH_H
#define THUMP_IMAGE_ARCH_HASH_H

#include <stdbool.h>

#include "image/hash.h"

/* Whether this processor has them; where not, neither of the others may be called. */
bool image_arch_hashes_faster(void);
uint64_t image_arch_hash(const void *data, size_t size_bytes);
void image_arch_hasher_add(struct image_hasher *hasher, const void *data, size_t size_bytes);

#endif
