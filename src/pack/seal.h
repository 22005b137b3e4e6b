/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks under the data key of their image, each for its place: docs/FORMAT.md, KEYS. */
#ifndef THUMP_PACK_SEAL_H
#define THUMP_PACK_SEAL_H

#include "pack/cipher.h"

/* What one thread seals and unseals with. `cipher` outlives it. */
struct pack_sealer;
THUMP_MUST_CHECK int pack_sealer_create(const struct pack_cipher *cipher,
					struct pack_sealer **sealer_ret, struct thump_err *err);
void pack_sealer_destroy(struct pack_sealer *sealer); /* NULL is fine */

/* `to` may be `from`; it gets PACK_SEAL_SIZE bytes more. */
THUMP_MUST_CHECK int pack_seal(struct pack_sealer *sealer, const struct pack_chunk *chunk,
			       uint32_t index, const unsigned char *from, size_t size,
			       unsigned char *to, struct thump_err *err);
/* In place: false when these are not the bytes that were sealed for this chunk. `size` is with the
 * seal. */
THUMP_MUST_CHECK bool pack_unseal(struct pack_sealer *sealer, const struct pack_chunk *chunk,
				  uint32_t index, unsigned char *bytes, size_t size);

#endif
