/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256 in OCB mode (RFC 7253, with a tag of 128 bits), by libgcrypt. */
#ifndef THUMP_PACK_AES_H
#define THUMP_PACK_AES_H

#include "base/err.h"

#define PACK_AES_KEY_BYTES   32u
#define PACK_AES_NONCE_BYTES 12u
#define PACK_AES_TAG_BYTES   16u

/* Does this processor have instructions for it? Without them it works all the same, slowly. */
bool pack_aes_is_fast(void);
/* Once before all else, while no other thread does anything here; again is fine. */
THUMP_MUST_CHECK int pack_aes_prepare(struct thump_err *err);

/* One key, for one thread. The key and what is made of it are in memory that is locked, left out of
 * core dumps and wiped. */
struct pack_aes;
THUMP_MUST_CHECK int pack_aes_create(const unsigned char key[PACK_AES_KEY_BYTES],
				     struct pack_aes **aes_ret, struct thump_err *err);
void pack_aes_destroy(struct pack_aes *aes); /* NULL is fine */

/* What a chunk is sealed with, besides the key. */
struct pack_aes_place {
	unsigned char nonce[PACK_AES_NONCE_BYTES];
	const unsigned char *data; /* is authenticated */
	size_t data_size;
};

/* `to` may be `from`; it gets PACK_AES_TAG_BYTES more. When it fails, what is there is of no use.
 */
THUMP_MUST_CHECK int pack_aes_seal(struct pack_aes *aes, const struct pack_aes_place *place,
				   const unsigned char *from, size_t size, unsigned char *to,
				   struct thump_err *err);
/* In place; `size` is without the tag, which follows. */
THUMP_MUST_CHECK bool pack_aes_unseal(struct pack_aes *aes, const struct pack_aes_place *place,
				      unsigned char *bytes, size_t size);

#endif
