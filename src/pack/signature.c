/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/signature.h"

#include <sodium.h>
#include <string.h>

#include "pack/keyring.h"

#define CONTEXT	     "thump packed image 1"
#define CONTEXT_SIZE (sizeof(CONTEXT) - 1)
#define SIGNED_SIZE  (CONTEXT_SIZE + PACK_HASH_SIZE)

_Static_assert(CONTEXT_SIZE == 20 && crypto_sign_BYTES == 64 &&
		       sizeof(struct pack_signature) == PACK_SIGN_SIZE,
	       "docs/FORMAT.md: SIGNATURES");

static void signed_bytes(const unsigned char digest[PACK_HASH_SIZE],
			 unsigned char bytes[SIGNED_SIZE])
{
	memcpy(bytes, CONTEXT, CONTEXT_SIZE);
	memcpy(bytes + CONTEXT_SIZE, digest, PACK_HASH_SIZE);
}

size_t pack_signatures_size(const struct thump_keys *keys)
{
	return sizeof(uint32_t) + (keys ? keys->count[THUMP_KEY_SIGN] : 0) * PACK_SIGN_SIZE;
}

void pack_signature_put(struct thump_buf *buf, const struct pack_signature *signature)
{
	thump_buf_put(buf, signature->key, sizeof(signature->key));
	thump_buf_put(buf, signature->signature, sizeof(signature->signature));
}

void pack_signature_make(const struct thump_keys *keys, uint32_t index,
			 const unsigned char digest[PACK_HASH_SIZE],
			 struct pack_signature *signature_ret)
{
	unsigned char secret[crypto_sign_SECRETKEYBYTES], bytes[SIGNED_SIZE];

	signed_bytes(digest, bytes);
	(void)sodium_mlock(secret, sizeof(secret)); /* as far as RLIMIT_MEMLOCK allows */
	(void)crypto_sign_seed_keypair(signature_ret->key, secret,
				       keys->keys[THUMP_KEY_SIGN][index]);
	(void)crypto_sign_detached(signature_ret->signature, NULL, bytes, sizeof(bytes), secret);
	(void)sodium_munlock(secret, sizeof(secret)); /* wipes it, too */
}

void pack_signatures_encode(struct thump_buf *buf, const struct thump_keys *keys,
			    const unsigned char digest[PACK_HASH_SIZE])
{
	const uint32_t count = keys ? keys->count[THUMP_KEY_SIGN] : 0;
	struct pack_signature signature;

	thump_buf_put_u32(buf, count);
	for (uint32_t i = 0; i < count; i++) {
		pack_signature_make(keys, i, digest, &signature);
		pack_signature_put(buf, &signature);
	}
}

static bool has_signed(const struct pack_signature *signatures, uint32_t count,
		       const struct thump_keys *keys, enum thump_key_kind kind)
{
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < keys->count[kind]; k++)
			if (memcmp(signatures[i].key, keys->keys[kind][k],
				   sizeof(signatures[i].key)) == 0)
				return true;
	return keys->count[kind] == 0;
}

int pack_signatures_check(const struct pack_signature *signatures, uint32_t count,
			  const unsigned char digest[PACK_HASH_SIZE], const struct thump_keys *keys,
			  struct thump_err *err)
{
	unsigned char bytes[SIGNED_SIZE];

	signed_bytes(digest, bytes);
	for (uint32_t i = 0; i < count; i++)
		if (crypto_sign_verify_detached(signatures[i].signature, bytes, sizeof(bytes),
						signatures[i].key) != 0)
			return thump_damaged(err, "signature %u is not valid", i);
	if (!keys || (has_signed(signatures, count, keys, THUMP_KEY_SIGNER) &&
		      has_signed(signatures, count, keys, THUMP_KEY_POLICY_SIGNER)))
		return 0;
	return thump_refuse(err,
			    "it is not signed by any of the keys that are asked for (%u "
			    "signature%s)",
			    count, count == 1 ? "" : "s");
}

int pack_signature_not_asked_for(const struct thump_keys *keys, struct thump_err *err)
{
	if (!thump_keys_ask_for_signature(keys))
		return 0;
	return thump_refuse(err, "a signature is asked for, and only packed images have one "
				 "(thump pack, thump sign)");
}
