/* SPDX-License-Identifier: Apache-2.0 */
/* SIGNATURES of a packed image: Ed25519 over its DIGEST. */
#ifndef THUMP_PACK_SIGNATURE_H
#define THUMP_PACK_SIGNATURE_H

#include "base/bytes.h"
#include "pack/format.h"
#include "pack/keys.h"

struct pack_signature {
	unsigned char key[THUMP_KEY_BYTES];
	unsigned char signature[64];
};

/* The section with one signature of each signing key of `keys`, which may be NULL, and its size. */
size_t pack_signatures_size(const struct thump_keys *keys);
void pack_signatures_encode(struct thump_buf *buf, const struct thump_keys *keys,
			    const unsigned char digest[PACK_HASH_SIZE]);

void pack_signature_put(struct thump_buf *buf, const struct pack_signature *signature);
/* Signs with signing key `index` of keys. */
void pack_signature_make(const struct thump_keys *keys, uint32_t index,
			 const unsigned char digest[PACK_HASH_SIZE],
			 struct pack_signature *signature_ret);

/* DAMAGED unless every signature is valid; REFUSED when `keys` asks for one that is not there. */
THUMP_MUST_CHECK int pack_signatures_check(const struct pack_signature *signatures, uint32_t count,
					   const unsigned char digest[PACK_HASH_SIZE],
					   const struct thump_keys *keys, struct thump_err *err);
/* What is not packed has no signature: REFUSED when `keys` asks for one. */
THUMP_MUST_CHECK int pack_signature_not_asked_for(const struct thump_keys *keys,
						  struct thump_err *err);

#endif
