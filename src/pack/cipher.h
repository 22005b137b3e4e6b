/* SPDX-License-Identifier: Apache-2.0 */
/* The data key of one encrypted image, and what is done with it: docs/FORMAT.md, KEYS. */
#ifndef THUMP_PACK_CIPHER_H
#define THUMP_PACK_CIPHER_H

#include "pack/keys.h"
#include "pack/table.h"

struct pack_cipher; /* in locked memory */

/* A new data key for a new image: sets flags, keys_size, id and key_check of HEAD; KEYS is appended
 * to `section`. HEAD's raw_size and nr_chunks are set before. */
THUMP_MUST_CHECK int pack_cipher_create(const struct thump_keys *keys, struct pack_head *head,
					struct thump_buf *section, struct pack_cipher **cipher_ret,
					struct thump_err *err);
/* The data key of an image, by one of our keys; refused when none fits. `section` are the bytes of
 * KEYS. */
THUMP_MUST_CHECK int pack_cipher_open(const struct thump_keys *keys, const struct pack_head *head,
				      const unsigned char *section, struct pack_cipher **cipher_ret,
				      struct thump_err *err);
void pack_cipher_destroy(struct pack_cipher *cipher); /* NULL is fine */

/* `to` may be `from`; it gets PACK_SEAL_SIZE bytes more. */
void pack_cipher_seal(const struct pack_cipher *cipher, const struct pack_chunk *chunk,
		      uint32_t index, const unsigned char *from, size_t size, unsigned char *to);
/* In place: false when these are not the bytes that were sealed for this chunk. `size` is with the
 * seal. */
THUMP_MUST_CHECK bool pack_cipher_unseal(const struct pack_cipher *cipher,
					 const struct pack_chunk *chunk, uint32_t index,
					 unsigned char *bytes, size_t size);

#endif
