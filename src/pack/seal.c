/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/seal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "pack/aes.h"
#include "pack/data_key.h"

#define PLACE_BYTES   (PACK_ID_SIZE + 24)
#define XCHACHA_NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES

_Static_assert(PACK_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES &&
		       PACK_KEY_BYTES == PACK_AES_KEY_BYTES,
	       "docs/FORMAT.md: KEYS");
_Static_assert(PACK_SEAL_SIZE == crypto_aead_xchacha20poly1305_ietf_ABYTES &&
		       PACK_SEAL_SIZE == PACK_AES_TAG_BYTES,
	       "docs/FORMAT.md: KEYS");
_Static_assert(XCHACHA_NONCE == 24 && PACK_AES_NONCE_BYTES == 12, "docs/FORMAT.md: KEYS");

struct pack_sealer {
	const struct pack_cipher *cipher;
	struct pack_aes *aes; /* of method THUMP_CIPHER_AES256_OCB; else NULL */
};

int pack_sealer_create(const struct pack_cipher *cipher, struct pack_sealer **sealer_ret,
		       struct thump_err *err)
{
	struct pack_sealer *sealer = calloc(1, sizeof(*sealer));

	if (!sealer)
		return thump_fail_errno(err, "memory for a cipher");
	sealer->cipher = cipher;
	if (cipher->method == THUMP_CIPHER_AES256_OCB &&
	    pack_aes_create(cipher->key, &sealer->aes, err) < 0) {
		free(sealer);
		return -1;
	}
	*sealer_ret = sealer;
	return 0;
}

void pack_sealer_destroy(struct pack_sealer *sealer)
{
	if (sealer)
		pack_aes_destroy(sealer->aes);
	free(sealer);
}

static void put_number(unsigned char **at, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		*(*at)++ = (unsigned char)(value >> 8 * i);
}

/* Where a chunk belongs: neither another image nor another place in this one. No two chunks are
 * sealed under one key for one index, so no nonce is used twice, however short it is. */
struct place {
	unsigned char data[PLACE_BYTES];
	unsigned char nonce[XCHACHA_NONCE]; /* zeros behind the index: its start is one of AES */
};

static struct place place_of(const struct pack_cipher *cipher, const struct pack_chunk *chunk,
			     uint32_t index)
{
	struct place place = { .nonce = { 0 } };
	unsigned char *at = place.data + PACK_ID_SIZE;

	memcpy(place.data, cipher->id, PACK_ID_SIZE);
	put_number(&at, cipher->raw_size, 8);
	put_number(&at, cipher->nr_chunks, 4);
	put_number(&at, index, 4);
	put_number(&at, chunk->raw_size, 4);
	put_number(&at, chunk->form, 4);
	at = place.nonce;
	put_number(&at, index, 8);
	return place;
}

static struct pack_aes_place for_aes(const struct place *place)
{
	struct pack_aes_place aes = { .data = place->data, .data_size = sizeof(place->data) };

	memcpy(aes.nonce, place->nonce, sizeof(aes.nonce));
	return aes;
}

int pack_seal(struct pack_sealer *sealer, const struct pack_chunk *chunk, uint32_t index,
	      const unsigned char *from, size_t size, unsigned char *to, struct thump_err *err)
{
	const struct place place = place_of(sealer->cipher, chunk, index);

	if (sealer->aes) {
		const struct pack_aes_place aes = for_aes(&place);

		return pack_aes_seal(sealer->aes, &aes, from, size, to, err);
	}
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(to, NULL, from, size, place.data,
							 sizeof(place.data), NULL, place.nonce,
							 sealer->cipher->key);
	return 0;
}

bool pack_unseal(struct pack_sealer *sealer, const struct pack_chunk *chunk, uint32_t index,
		 unsigned char *bytes, size_t size)
{
	const struct place place = place_of(sealer->cipher, chunk, index);

	if (sealer->aes) {
		const struct pack_aes_place aes = for_aes(&place);

		return pack_aes_unseal(sealer->aes, &aes, bytes, size - PACK_SEAL_SIZE);
	}
	return crypto_aead_xchacha20poly1305_ietf_decrypt(bytes, NULL, NULL, bytes, size,
							  place.data, sizeof(place.data),
							  place.nonce, sealer->cipher->key) == 0;
}
