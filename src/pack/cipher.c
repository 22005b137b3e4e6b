/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/cipher.h"

#include <sodium.h>
#include <string.h>

#include "pack/aes.h"
#include "pack/data_key.h"
#include "pack/keyring.h"

#define DATA_KEY_BYTES crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define NONCE_BYTES    crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define SEAL_BYTES     crypto_aead_xchacha20poly1305_ietf_ABYTES
#define MIN_OPS	       1u
#define MAX_OPS	       16u
#define MIN_KIB	       8u
#define MAX_KIB	       ((uint32_t)1 << 20)

enum keys_entry { ENTRY_RECIPIENT = 1, ENTRY_PASSPHRASE = 2 };
#define RECIPIENT_SIZE	(crypto_box_SEALBYTES + DATA_KEY_BYTES)
#define PASSPHRASE_SIZE (crypto_pwhash_SALTBYTES + 8 + NONCE_BYTES + DATA_KEY_BYTES + SEAL_BYTES)

_Static_assert(RECIPIENT_SIZE == 80 && PASSPHRASE_SIZE == 96, "docs/FORMAT.md: KEYS");
_Static_assert(DATA_KEY_BYTES == PACK_KEY_BYTES && NONCE_BYTES == 24 && SEAL_BYTES == 16,
	       "docs/FORMAT.md: KEYS");
_Static_assert(crypto_box_PUBLICKEYBYTES == THUMP_KEY_BYTES, "keys of recipients");

static int cipher_alloc(const struct pack_head *head, struct pack_cipher **cipher_ret,
			struct thump_err *err)
{
	struct pack_cipher *cipher;

	if ((head->flags & PACK_AES) && pack_aes_prepare(err) < 0)
		return -1;
	cipher = sodium_malloc(sizeof(*cipher));
	if (!cipher)
		return thump_fail_errno(err, "memory for the data key");
	memcpy(cipher->id, head->id, sizeof(cipher->id));
	cipher->raw_size = head->raw_size;
	cipher->nr_chunks = head->nr_chunks;
	cipher->method = pack_cipher_method(head);
	*cipher_ret = cipher;
	return 0;
}

enum thump_cipher pack_cipher_method(const struct pack_head *head)
{
	return head->flags & PACK_AES ? THUMP_CIPHER_AES256_OCB : THUMP_CIPHER_XCHACHA20_POLY1305;
}

void pack_cipher_destroy(struct pack_cipher *cipher)
{
	sodium_free(cipher);
}

static void key_check(const struct pack_cipher *cipher, unsigned char check[PACK_HASH_SIZE])
{
	static const unsigned char context[] = { 't', 'h', 'u', 'm', 'p', ' ', 'd',
						 'a', 't', 'a', ' ', 'k', 'e', 'y' };
	crypto_generichash_state state;

	(void)crypto_generichash_init(&state, cipher->key, sizeof(cipher->key), PACK_HASH_SIZE);
	(void)crypto_generichash_update(&state, context, sizeof(context));
	(void)crypto_generichash_update(&state, cipher->id, sizeof(cipher->id));
	(void)crypto_generichash_final(&state, check, PACK_HASH_SIZE);
	sodium_memzero(&state, sizeof(state));
}

/* ---- wrapping -------------------------------------------------------------------------------- */

static int passphrase_key(const struct thump_keys *keys, const unsigned char *salt, uint32_t ops,
			  uint32_t kib, struct pack_cipher *cipher, struct thump_err *err)
{
	if (crypto_pwhash(cipher->wrapping, sizeof(cipher->wrapping), keys->passphrase,
			  keys->passphrase_len, salt, ops, (size_t)kib << 10,
			  crypto_pwhash_ALG_ARGON2ID13) == 0)
		return 0;
	return thump_fail_errno(err, "%u MiB of memory to make a key of the passphrase", kib >> 10);
}

static void wrap_for_recipients(const struct thump_keys *keys, const struct pack_cipher *cipher,
				struct thump_buf *section)
{
	unsigned char sealed[RECIPIENT_SIZE];

	for (uint32_t i = 0; i < keys->count[THUMP_KEY_RECIPIENT]; i++) {
		(void)crypto_box_seal(sealed, cipher->key, sizeof(cipher->key),
				      keys->keys[THUMP_KEY_RECIPIENT][i]);
		thump_buf_put_u32(section, ENTRY_RECIPIENT);
		thump_buf_put_blob(section, sealed, sizeof(sealed));
	}
}

static int wrap_for_passphrase(const struct thump_keys *keys, struct pack_cipher *cipher,
			       struct thump_buf *section, struct thump_err *err)
{
	const uint32_t ops = crypto_pwhash_OPSLIMIT_MODERATE;
	const uint32_t kib = crypto_pwhash_MEMLIMIT_MODERATE >> 10;
	unsigned char salt[crypto_pwhash_SALTBYTES], nonce[NONCE_BYTES];
	unsigned char wrapped[DATA_KEY_BYTES + SEAL_BYTES];

	randombytes_buf(salt, sizeof(salt));
	randombytes_buf(nonce, sizeof(nonce));
	if (passphrase_key(keys, salt, ops, kib, cipher, err) < 0)
		return -1;
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(wrapped, NULL, cipher->key,
							 sizeof(cipher->key), NULL, 0, NULL, nonce,
							 cipher->wrapping);
	thump_buf_put_u32(section, ENTRY_PASSPHRASE);
	thump_buf_put_u32(section, PASSPHRASE_SIZE);
	thump_buf_put(section, salt, sizeof(salt));
	thump_buf_put_u32(section, ops);
	thump_buf_put_u32(section, kib);
	thump_buf_put(section, nonce, sizeof(nonce));
	thump_buf_put(section, wrapped, sizeof(wrapped));
	return 0;
}

static uint32_t flags_of(enum thump_cipher method)
{
	if (method == THUMP_CIPHER_FASTER)
		method = pack_aes_is_fast() ? THUMP_CIPHER_AES256_OCB
					    : THUMP_CIPHER_XCHACHA20_POLY1305;
	return method == THUMP_CIPHER_AES256_OCB ? PACK_ENCRYPTED | PACK_AES : PACK_ENCRYPTED;
}

int pack_cipher_create(const struct thump_keys *keys, enum thump_cipher method,
		       struct pack_head *head, struct thump_buf *section,
		       struct pack_cipher **cipher_ret, struct thump_err *err)
{
	struct pack_cipher *cipher;
	size_t before = section->size_bytes;

	head->flags |= flags_of(method);
	randombytes_buf(head->id, sizeof(head->id));
	if (cipher_alloc(head, &cipher, err) < 0)
		return -1;
	randombytes_buf(cipher->key, sizeof(cipher->key));
	key_check(cipher, head->key_check);
	wrap_for_recipients(keys, cipher, section);
	if (keys->passphrase_len && wrap_for_passphrase(keys, cipher, section, err) < 0) {
		pack_cipher_destroy(cipher);
		return -1;
	}
	head->keys_size = (uint32_t)(section->size_bytes - before);
	*cipher_ret = cipher;
	return 0;
}

/* ---- unwrapping ---------------------------------------------------------------------------- */

static bool is_right(const struct pack_cipher *cipher, const struct pack_head *head)
{
	unsigned char check[PACK_HASH_SIZE];

	key_check(cipher, check);
	return sodium_memcmp(check, head->key_check, sizeof(check)) == 0;
}

static bool unwrap_as_recipient(const struct thump_keys *keys, const unsigned char *sealed,
				struct pack_cipher *cipher)
{
	unsigned char public[THUMP_KEY_BYTES];

	for (uint32_t i = 0; i < keys->count[THUMP_KEY_DECRYPT]; i++) {
		const unsigned char *secret = keys->keys[THUMP_KEY_DECRYPT][i];

		(void)crypto_scalarmult_base(public, secret);
		if (crypto_box_seal_open(cipher->key, sealed, RECIPIENT_SIZE, public, secret) == 0)
			return true;
	}
	return false;
}

/* 1: that is it; 0: another passphrase. */
static int unwrap_by_passphrase(const struct thump_keys *keys, const unsigned char *entry,
				struct pack_cipher *cipher, struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(entry, PASSPHRASE_SIZE);
	const unsigned char *salt = thump_get_bytes(&r, crypto_pwhash_SALTBYTES);
	uint32_t ops = thump_get_u32(&r), kib = thump_get_u32(&r);
	const unsigned char *nonce = thump_get_bytes(&r, NONCE_BYTES);

	/* Anybody may have written these: they must not cost all memory, or a day. */
	if (ops < MIN_OPS || ops > MAX_OPS || kib < MIN_KIB || kib > MAX_KIB)
		return thump_damaged(err, "a passphrase with %u passes over %u KiB", ops, kib);
	if (passphrase_key(keys, salt, ops, kib, cipher, err) < 0)
		return -1;
	return crypto_aead_xchacha20poly1305_ietf_decrypt(cipher->key, NULL, NULL, r.at,
							  DATA_KEY_BYTES + SEAL_BYTES, NULL, 0,
							  nonce, cipher->wrapping) == 0;
}

struct entry {
	uint32_t type;
	const unsigned char *bytes;
	size_t size;
};

/* 1: the next one; 0: there is none. */
static int next_entry(struct thump_reader *r, struct entry *entry_ret, struct thump_err *err)
{
	if (r->at == r->end)
		return 0;
	entry_ret->type = thump_get_u32(r);
	entry_ret->bytes = thump_get_blob(r, PACK_MAX_KEYS, &entry_ret->size);
	if (r->failed)
		return thump_damaged(err, "KEYS ends inside of an entry");
	if (entry_ret->type == ENTRY_RECIPIENT && entry_ret->size != RECIPIENT_SIZE)
		return thump_damaged(err, "a recipient of %zu bytes", entry_ret->size);
	if (entry_ret->type == ENTRY_PASSPHRASE && entry_ret->size != PASSPHRASE_SIZE)
		return thump_damaged(err, "a passphrase of %zu bytes", entry_ret->size);
	return 1;
}

/* Before any is tried: each passphrase may take a minute, and there is room for hundreds. */
static int check_entries(struct thump_reader r, struct thump_err *err)
{
	unsigned nr_passphrases = 0;
	struct entry entry;
	int got;

	while ((got = next_entry(&r, &entry, err)) > 0)
		nr_passphrases += entry.type == ENTRY_PASSPHRASE;
	if (got < 0)
		return -1;
	return nr_passphrases <= 1 ? 0 : thump_damaged(err, "%u passphrases", nr_passphrases);
}

static int unwrap(const struct thump_keys *keys, const struct entry *entry,
		  struct pack_cipher *cipher, struct thump_err *err)
{
	if (entry->type == ENTRY_RECIPIENT)
		return unwrap_as_recipient(keys, entry->bytes, cipher);
	if (entry->type == ENTRY_PASSPHRASE && keys->passphrase_len)
		return unwrap_by_passphrase(keys, entry->bytes, cipher, err);
	return 0;
}

static int find_key(const struct thump_keys *keys, const struct pack_head *head,
		    const unsigned char *section, struct pack_cipher *cipher, struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(section, head->keys_size);
	struct entry entry;
	int got;

	if (check_entries(r, err) < 0)
		return -1;
	while ((got = next_entry(&r, &entry, err)) > 0) {
		int fits = unwrap(keys, &entry, cipher, err);

		if (fits < 0)
			return -1;
		if (fits && !is_right(cipher, head))
			return thump_damaged(err, "the data key is not the one that HEAD tells of");
		if (fits)
			return 0;
	}
	if (got < 0)
		return -1;
	return thump_refuse(err, "it is encrypted, and no key or passphrase fits");
}

int pack_cipher_open(const struct thump_keys *keys, const struct pack_head *head,
		     const unsigned char *section, struct pack_cipher **cipher_ret,
		     struct thump_err *err)
{
	struct pack_cipher *cipher;

	if (!keys || (!keys->count[THUMP_KEY_DECRYPT] && !keys->passphrase_len))
		return thump_refuse(err, "it is encrypted: a key or passphrase is missing "
					 "(--decrypt-with, --passphrase-file)");
	if (cipher_alloc(head, &cipher, err) < 0)
		return -1;
	if (find_key(keys, head, section, cipher, err) < 0) {
		pack_cipher_destroy(cipher);
		return -1;
	}
	*cipher_ret = cipher;
	return 0;
}
