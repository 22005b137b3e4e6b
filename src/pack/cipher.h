/* SPDX-License-Identifier: Apache-2.0 */
/* The data key of one encrypted image, and what is done with it: docs/FORMAT.md, KEYS. */
#ifndef THUMP_PACK_CIPHER_H
#define THUMP_PACK_CIPHER_H

#include "pack/pack.h"
#include "pack/table.h"

struct pack_cipher; /* in locked memory */

/* A new data key for a new image: sets flags, keys_size, id and key_check of HEAD; KEYS is appended
 * to `section`. HEAD's raw_size and nr_chunks are set before. */
THUMP_MUST_CHECK int pack_cipher_create(const struct thump_keys *keys, enum thump_cipher method,
					struct pack_head *head, struct thump_buf *section,
					struct pack_cipher **cipher_ret, struct thump_err *err);
/* The data key of an image, by one of our keys; refused when none fits. `section` are the bytes of
 * KEYS. */
THUMP_MUST_CHECK int pack_cipher_open(const struct thump_keys *keys, const struct pack_head *head,
				      const unsigned char *section, struct pack_cipher **cipher_ret,
				      struct thump_err *err);
/* Of the head of an encrypted image. */
enum thump_cipher pack_cipher_method(const struct pack_head *head);
void pack_cipher_destroy(struct pack_cipher *cipher); /* NULL is fine */

#endif
