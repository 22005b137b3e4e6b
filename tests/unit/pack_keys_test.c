/* SPDX-License-Identifier: Apache-2.0 */
/* Who can open a packed image, and whose signature counts. */
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "base/fd.h"
#include "cli/keys.h"
#include "pack_fixture.h"
#include "pack/table.h"

#define FLAGS_AT 12

static const struct thump_compression plain = { THUMP_COMPRESS_NONE, 0 };

static struct thump_keys *keys_of(enum thump_key_kind kind, const char *word)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_keys *keys;

	assert_int_equal(thump_keys_create(&keys, &err), 0);
	assert_int_equal(thump_keys_add(keys, kind, word, &err), 0);
	return keys;
}

static struct thump_keys *passphrase_of(const struct pack_fixture *f, const char *text)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_keys *keys;

	pack_fixture_write(f->unpacked, text, strlen(text));
	assert_int_equal(thump_keys_create(&keys, &err), 0);
	assert_int_equal(thump_keys_passphrase_file(keys, f->unpacked, &err), 0);
	return keys;
}

/* Takes keys. */
static int code_of(const char *path, struct thump_keys *keys)
{
	const struct thump_open_options options = { .extent = THUMP_OPEN_ALL, .keys = keys };
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image;

	if (thump_open(path, &options, &image, NULL, &err) == 0) {
		(void)!thump_image_verify(image, NULL, NULL, &err);
		thump_image_destroy(image);
	}
	thump_keys_destroy(keys);
	return err.code;
}

static void pack_with(const struct pack_fixture *f, struct thump_keys *keys)
{
	(void)pack_fixture_pack_with(f, &plain, keys);
	thump_keys_destroy(keys);
}

static bool holds(const unsigned char *bytes, size_t size, const void *part, size_t part_size)
{
	return memmem(bytes, size, part, part_size) != NULL;
}

/* ---- encryption ------------------------------------------------------------------------- */

static void only_recipients_open_it(void **state)
{
	struct pack_fixture *f = *state;
	char other[128], recipient[THUMP_KEY_WORD_MAX];
	struct thump_err err = THUMP_ERR_INIT;

	(void)snprintf(other, sizeof(other), "%s/other.key", f->dir);
	assert_int_equal(thump_key_generate(THUMP_KEY_DECRYPT, other, recipient, &err), 0);
	pack_with(f, keys_of(THUMP_KEY_RECIPIENT, f->recipient));
	assert_int_equal(code_of(f->packed, keys_of(THUMP_KEY_DECRYPT, f->secret)), THUMP_OK);
	assert_int_equal(code_of(f->packed, keys_of(THUMP_KEY_DECRYPT, other)), THUMP_REFUSED);
	assert_int_equal(code_of(f->packed, NULL), THUMP_REFUSED);
	assert_int_equal(code_of(f->packed, passphrase_of(f, "x")), THUMP_REFUSED);
	(void)unlink(other);
}

static void passphrases_open_it(void **state)
{
	struct pack_fixture *f = *state;

	pack_with(f, passphrase_of(f, "correct horse\nand nothing of this\n"));
	assert_int_equal(code_of(f->packed, passphrase_of(f, "correct horse")), THUMP_OK);
	assert_int_equal(code_of(f->packed, passphrase_of(f, "correct horsf")), THUMP_REFUSED);
	assert_int_equal(code_of(f->packed, keys_of(THUMP_KEY_DECRYPT, f->secret)), THUMP_REFUSED);
}

static void nothing_of_it_can_be_read(void **state)
{
	struct pack_fixture *f = *state;
	const unsigned char *page = f->raw + THUMP_PAGE_SIZE;
	unsigned char *bytes;
	size_t size;

	pack_with(f, NULL);
	bytes = pack_fixture_read(f->packed, &size);
	assert_true(holds(bytes, size, page, 64));
	free(bytes);
	pack_with(f, keys_of(THUMP_KEY_RECIPIENT, f->recipient));
	bytes = pack_fixture_read(f->packed, &size);
	for (size_t at = 0; at + 64 <= f->raw_size; at += 512)
		assert_false(holds(bytes, size, f->raw + at, 64));
	free(bytes);
}

/* Equal content looks different, in one image and in two. */
static void nothing_is_the_same_twice(void **state)
{
	struct pack_fixture *f = *state;
	unsigned char *first, *second;
	size_t size, second_size;
	struct pack_head head;
	struct thump_err err = THUMP_ERR_INIT;

	pack_with(f, keys_of(THUMP_KEY_RECIPIENT, f->recipient));
	first = pack_fixture_read(f->packed, &size);
	pack_with(f, keys_of(THUMP_KEY_RECIPIENT, f->recipient));
	second = pack_fixture_read(f->packed, &second_size);
	assert_int_equal(size, second_size);
	assert_int_equal(pack_head_decode(first, &head, &err), 0);
	for (size_t at = size - head.data_size; at + 64 <= size; at += 512)
		assert_false(holds(second, size, first + at, 64));
	free(first);
	free(second);
}

struct packed {
	unsigned char *bytes;
	size_t size;
	struct pack_head head;
};

static struct packed packed_again(const struct pack_fixture *f)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct packed packed;

	pack_with(f, keys_of(THUMP_KEY_RECIPIENT, f->recipient));
	packed.bytes = pack_fixture_read(f->packed, &packed.size);
	assert_int_equal(pack_head_decode(packed.bytes, &packed.head, &err), 0);
	return packed;
}

static unsigned char *entry(const struct packed *packed, uint32_t index)
{
	return packed->bytes + PACK_HEAD_SIZE + packed->head.keys_size +
	       (size_t)index * PACK_ENTRY_SIZE;
}

static uint32_t stored_size(const struct packed *packed, uint32_t index)
{
	uint32_t size;

	memcpy(&size, entry(packed, index) + 4, sizeof(size));
	return size;
}

static unsigned char *data(const struct packed *packed, uint32_t index)
{
	unsigned char *at = packed->bytes + packed->size - packed->head.data_size;

	for (uint32_t i = 0; i < index; i++)
		at += stored_size(packed, i);
	return at;
}

static void make_digest(const struct packed *packed)
{
	size_t size = PACK_HEAD_SIZE + packed->head.keys_size +
		      (size_t)packed->head.nr_chunks * PACK_ENTRY_SIZE;

	(void)crypto_generichash(packed->bytes + size, PACK_HASH_SIZE, packed->bytes, size, NULL,
				 0);
}

static int code_of_packed(const struct pack_fixture *f, const struct packed *packed)
{
	make_digest(packed);
	pack_fixture_write(f->packed, packed->bytes, packed->size);
	return code_of(f->packed, keys_of(THUMP_KEY_DECRYPT, f->secret));
}

/* Entry and data of `from` in the place of `to`. */
static void put_chunk(const struct packed *from, uint32_t from_index, const struct packed *to,
		      uint32_t to_index)
{
	assert_int_equal(stored_size(from, from_index), stored_size(to, to_index));
	memmove(data(to, to_index), data(from, from_index), stored_size(from, from_index));
	memmove(entry(to, to_index), entry(from, from_index), PACK_ENTRY_SIZE);
}

/* Every hash and the digest are right: it is the place that is authenticated. */
static void chunks_open_only_at_their_place(void **state)
{
	struct pack_fixture *f = *state;
	struct packed first = packed_again(f), second = packed_again(f);
	uint32_t a = 0, b = 0;

	for (uint32_t i = 1; i < first.head.nr_chunks && !b; i++)
		for (uint32_t k = 0; k < i && !b; k++)
			if (memcmp(entry(&first, i), entry(&first, k), 12) == 0) {
				a = k;
				b = i;
			}
	assert_true(b > a);
	assert_int_equal(code_of_packed(f, &first), THUMP_OK);
	put_chunk(&first, a, &first, b);
	assert_int_equal(code_of_packed(f, &first), THUMP_DAMAGED);
	/* The same chunk of another image of the same program, to the same recipient. */
	put_chunk(&second, b, &first, b);
	assert_int_equal(code_of_packed(f, &first), THUMP_DAMAGED);
	assert_int_equal(code_of_packed(f, &second), THUMP_OK);
	free(first.bytes);
	free(second.bytes);
}

/* Keys of one image do not open the chunks of another one. */
static void keys_of_another_image_do_not_open_it(void **state)
{
	struct pack_fixture *f = *state;
	struct packed first = packed_again(f), second = packed_again(f);

	memcpy(first.bytes + PACK_HEAD_SIZE, second.bytes + PACK_HEAD_SIZE, first.head.keys_size);
	assert_int_equal(code_of_packed(f, &first), THUMP_DAMAGED);
	/* With what HEAD says of the key, too. */
	memcpy(first.bytes + 48, second.bytes + 48, PACK_HASH_SIZE + PACK_ID_SIZE);
	assert_int_equal(code_of_packed(f, &first), THUMP_DAMAGED);
	free(first.bytes);
	free(second.bytes);
}

/* Nobody but who has the key says what it was encrypted with. */
static void another_cipher_does_not_open_it(void **state)
{
	struct pack_fixture *f = *state;
	struct packed packed = packed_again(f);

	assert_int_equal((packed.head.flags & PACK_AES) != 0, f->cipher == THUMP_CIPHER_AES256_OCB);
	packed.bytes[FLAGS_AT] ^= PACK_AES;
	assert_int_equal(code_of_packed(f, &packed), THUMP_DAMAGED);
	packed.bytes[FLAGS_AT] ^= PACK_AES;
	assert_int_equal(code_of_packed(f, &packed), THUMP_OK);
	free(packed.bytes);
}

static void the_faster_cipher_is_taken(void **state)
{
	struct pack_fixture *f = *state;
	const struct thump_open_options options = { .extent = THUMP_OPEN_META, .keys = f->keys };
	const enum thump_cipher asked_for[] = { THUMP_CIPHER_FASTER,
						THUMP_CIPHER_XCHACHA20_POLY1305,
						THUMP_CIPHER_AES256_OCB };
	const enum thump_cipher taken[] = { sodium_runtime_has_aesni()
						    ? THUMP_CIPHER_AES256_OCB
						    : THUMP_CIPHER_XCHACHA20_POLY1305,
					    THUMP_CIPHER_XCHACHA20_POLY1305,
					    THUMP_CIPHER_AES256_OCB };

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(taken); i++) {
		struct thump_err err = THUMP_ERR_INIT;
		struct thump_packed_info info;
		struct thump_image *image;

		f->cipher = asked_for[i];
		(void)pack_fixture_pack_with(f, &plain, f->keys);
		assert_int_equal(thump_open(f->packed, &options, &image, &info, &err), 0);
		assert_true(info.encrypted);
		assert_int_equal(info.cipher, taken[i]);
		thump_image_destroy(image);
	}
}

static void what_is_not_encrypted_has_no_cipher(void **state)
{
	struct pack_fixture *f = *state;
	struct packed packed;
	struct thump_err err = THUMP_ERR_INIT;

	pack_with(f, NULL);
	packed.bytes = pack_fixture_read(f->packed, &packed.size);
	assert_int_equal(pack_head_decode(packed.bytes, &packed.head, &err), 0);
	packed.bytes[FLAGS_AT] ^= PACK_AES;
	assert_int_equal(code_of_packed(f, &packed), THUMP_DAMAGED);
	free(packed.bytes);
}

/* Anybody can write how hard a passphrase is to try. */
static void passphrases_do_not_take_all_memory(void **state)
{
	static const uint32_t lies[][2] = { { 0, 1024 }, { 17, 1024 }, { 0xffffffff, 1024 },
					    { 1, 0 },	 { 1, 7 },     { 1, 0x100001 } };
	struct pack_fixture *f = *state;
	struct packed packed;
	struct thump_err err = THUMP_ERR_INIT;

	pack_with(f, passphrase_of(f, "x"));
	packed.bytes = pack_fixture_read(f->packed, &packed.size);
	assert_int_equal(pack_head_decode(packed.bytes, &packed.head, &err), 0);
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(lies); i++) {
		memcpy(packed.bytes + PACK_HEAD_SIZE + 8 + 16, lies[i], sizeof(lies[i]));
		make_digest(&packed);
		pack_fixture_write(f->packed, packed.bytes, packed.size);
		assert_int_equal(code_of(f->packed, passphrase_of(f, "x")), THUMP_DAMAGED);
	}
	free(packed.bytes);
}

/* Nor how many there are to be tried. */
static void one_passphrase_is_enough(void **state)
{
	struct pack_fixture *f = *state;
	struct packed packed;
	struct thump_err err = THUMP_ERR_INIT;
	unsigned char *bytes;
	uint32_t keys_size;

	pack_with(f, passphrase_of(f, "x"));
	packed.bytes = pack_fixture_read(f->packed, &packed.size);
	assert_int_equal(pack_head_decode(packed.bytes, &packed.head, &err), 0);
	keys_size = packed.head.keys_size;
	bytes = malloc(packed.size + keys_size);
	assert_non_null(bytes);
	memcpy(bytes, packed.bytes, PACK_HEAD_SIZE + keys_size);
	memcpy(bytes + PACK_HEAD_SIZE + keys_size, packed.bytes + PACK_HEAD_SIZE,
	       packed.size - PACK_HEAD_SIZE);
	free(packed.bytes);
	packed.bytes = bytes;
	packed.size += keys_size;
	packed.head.keys_size = 2 * keys_size;
	memcpy(bytes + 44, &packed.head.keys_size, sizeof(packed.head.keys_size));
	make_digest(&packed);
	pack_fixture_write(f->packed, packed.bytes, packed.size);
	assert_int_equal(code_of(f->packed, passphrase_of(f, "x")), THUMP_DAMAGED);
	free(packed.bytes);
}

static void secrets_of_others_are_no_secrets(void **state)
{
	struct pack_fixture *f = *state;
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_keys *keys;
	size_t size;
	char *text = (char *)pack_fixture_read(f->secret, &size);

	assert_int_equal(thump_keys_create(&keys, &err), 0);
	assert_int_equal(thump_keys_add(keys, THUMP_KEY_DECRYPT, text, &err), -1);
	assert_non_null(strstr(err.text, "must be in a file"));
	assert_int_equal(chmod(f->secret, 0440), 0);
	assert_int_equal(thump_keys_add(keys, THUMP_KEY_DECRYPT, f->secret, &err), -1);
	assert_int_equal(err.code, THUMP_REFUSED);
	assert_int_equal(chmod(f->secret, 0400), 0);
	assert_int_equal(thump_keys_add(keys, THUMP_KEY_RECIPIENT, f->secret, &err), -1);
	assert_int_equal(thump_keys_add(keys, THUMP_KEY_RECIPIENT, "thump-recipient-1:AAAA", &err),
			 -1);
	/* Nobody's key is overwritten. */
	assert_int_equal(thump_key_generate(THUMP_KEY_SIGN, f->secret, text, &err), -1);
	thump_keys_destroy(keys);
	free(text);
}

/* ---- signatures -------------------------------------------------------------------------- */

static void sign(const struct pack_fixture *f, const char *key)
{
	struct thump_keys *keys = keys_of(THUMP_KEY_SIGN, key);
	struct thump_packed_info info;
	struct thump_err err = THUMP_ERR_INIT;

	assert_int_equal(thump_sign(f->packed, f->packed, 0, keys, &info, &err), 0);
	assert_true(info.nr_signatures > 0);
	thump_keys_destroy(keys);
}

static void only_what_is_signed_is_opened(void **state)
{
	struct pack_fixture *f = *state;
	char other[128], other_signer[THUMP_KEY_WORD_MAX];
	struct thump_err err = THUMP_ERR_INIT;
	struct stat before, after;

	(void)snprintf(other, sizeof(other), "%s/other.key", f->dir);
	assert_int_equal(thump_key_generate(THUMP_KEY_SIGN, other, other_signer, &err), 0);
	pack_with(f, NULL);
	assert_int_equal(code_of(f->path, keys_of(THUMP_KEY_SIGNER, f->signer)), THUMP_REFUSED);
	assert_int_equal(code_of(f->packed, keys_of(THUMP_KEY_SIGNER, f->signer)), THUMP_REFUSED);
	sign(f, f->signing);
	assert_int_equal(code_of(f->packed, keys_of(THUMP_KEY_SIGNER, f->signer)), THUMP_OK);
	assert_int_equal(code_of(f->packed, NULL), THUMP_OK);
	assert_int_equal(code_of(f->packed, keys_of(THUMP_KEY_SIGNER, other_signer)),
			 THUMP_REFUSED);
	assert_int_equal(stat(f->packed, &before), 0);
	sign(f, f->signing);
	assert_int_equal(stat(f->packed, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	sign(f, other);
	assert_int_equal(code_of(f->packed, keys_of(THUMP_KEY_SIGNER, other_signer)), THUMP_OK);
	assert_int_equal(code_of(f->packed, keys_of(THUMP_KEY_SIGNER, f->signer)), THUMP_OK);
	(void)unlink(other);
}

/* A policy's keys are not satisfied by those that the caller names. */
static void policies_hold_besides_options(void **state)
{
	struct pack_fixture *f = *state;
	char other[128], other_signer[THUMP_KEY_WORD_MAX], text[256];
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_keys *keys;

	(void)snprintf(other, sizeof(other), "%s/other.key", f->dir);
	assert_int_equal(thump_key_generate(THUMP_KEY_SIGN, other, other_signer, &err), 0);
	pack_with(f, NULL);
	sign(f, other);
	(void)snprintf(text, sizeof(text), "# ours\n\n require-signed-by\t%s \n", f->signer);
	keys = keys_of(THUMP_KEY_SIGNER, other_signer);
	assert_int_equal(thump_policy_apply(text, "policy", keys, &err), 0);
	assert_int_equal(code_of(f->packed, keys), THUMP_REFUSED);
	sign(f, f->signing);
	keys = keys_of(THUMP_KEY_SIGNER, other_signer);
	assert_int_equal(thump_policy_apply(text, "policy", keys, &err), 0);
	assert_int_equal(code_of(f->packed, keys), THUMP_OK);
	(void)unlink(other);
}

static void policies_that_are_not_understood_are_refused(void **state)
{
	static const char *const wrong[] = {
		"allow-all\n",
		"require-signed-by\n",
		"require-signed-by a b\n",
		"require-signed-by /nonexistent\n",
		"require-signed-by relative\n",
		"require-signed-by thump-signer-1:AAAA\n",
		"\n\nrequire\n",
	};
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_keys *keys;

	(void)state;
	assert_int_equal(thump_keys_create(&keys, &err), 0);
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(wrong); i++)
		assert_int_equal(thump_policy_apply(wrong[i], "policy", keys, &err), -1);
	assert_non_null(strstr(err.text, "line 3"));
	thump_keys_destroy(keys);
}

/* In the option of another kind it would be taken for a path, and printed. */
static void secret_keys_are_never_printed(void **state)
{
	struct pack_fixture *f = *state;
	struct thump_err err = THUMP_ERR_INIT;
	const char *const files[] = { f->secret, f->signing };
	struct thump_keys *keys;

	assert_int_equal(thump_keys_create(&keys, &err), 0);
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(files); i++) {
		size_t size;
		char *word = (char *)pack_fixture_read(files[i], &size);

		word[strcspn(word, "\n")] = '\0';
		for (enum thump_key_kind kind = 0; kind < THUMP_KEY_KINDS; kind++) {
			assert_int_equal(thump_keys_add(keys, kind, word, &err), -1);
			assert_null(strstr(err.text, word));
			assert_non_null(strstr(err.text, "must be in a file"));
		}
		free(word);
	}
	assert_int_equal(thump_keys_add(keys, THUMP_KEY_SIGNER, f->recipient, &err), -1);
	assert_non_null(strstr(err.text, "key of a signer is wanted"));
	thump_keys_destroy(keys);
}

static void a_key_signs_once(void **state)
{
	struct pack_fixture *f = *state;
	const struct thump_open_options options = { .extent = THUMP_OPEN_META };
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_keys *keys = keys_of(THUMP_KEY_SIGN, f->signing);
	struct thump_packed_info info;
	struct thump_image *image;

	assert_int_equal(thump_keys_add(keys, THUMP_KEY_SIGN, f->signing, &err), 0);
	pack_with(f, keys);
	assert_int_equal(thump_open(f->packed, &options, &image, &info, &err), 0);
	assert_int_equal(info.nr_signatures, 1);
	thump_image_destroy(image);
}

/* A signature is for one image. */
static void signatures_of_another_image_are_damage(void **state)
{
	struct pack_fixture *f = *state;
	const size_t signature = sizeof(uint32_t) + PACK_SIGN_SIZE;
	struct packed first, second;
	struct thump_err err = THUMP_ERR_INIT;

	(void)pack_fixture_pack_with(f, &plain, f->keys);
	first.bytes = pack_fixture_read(f->packed, &first.size);
	assert_int_equal(pack_head_decode(first.bytes, &first.head, &err), 0);
	(void)pack_fixture_pack_with(f, &plain, f->keys);
	second.bytes = pack_fixture_read(f->packed, &second.size);
	assert_int_equal(first.size, second.size);
	memcpy(first.bytes + first.size - first.head.data_size - signature,
	       second.bytes + second.size - first.head.data_size - signature, signature);
	pack_fixture_write(f->packed, first.bytes, first.size);
	assert_int_equal(code_of(f->packed, keys_of(THUMP_KEY_DECRYPT, f->secret)), THUMP_DAMAGED);
	free(first.bytes);
	free(second.bytes);
}

/* Who signs vouches for all of it. */
static void damage_is_not_signed(void **state)
{
	struct pack_fixture *f = *state;
	struct thump_packed_info info;
	struct thump_err err = THUMP_ERR_INIT;
	unsigned char *bytes;
	size_t size;

	pack_with(f, NULL);
	bytes = pack_fixture_read(f->packed, &size);
	bytes[size - 1] ^= 1;
	pack_fixture_write(f->unpacked, bytes, size);
	(void)unlink(f->packed);
	assert_int_equal(thump_sign(f->unpacked, f->packed, 0, f->keys, &info, &err), -1);
	assert_int_equal(err.code, THUMP_DAMAGED);
	assert_int_equal(access(f->packed, F_OK), -1);
	assert_int_equal(thump_sign(f->path, f->packed, 0, f->keys, &info, &err), -1);
	assert_int_equal(err.code, THUMP_DAMAGED);
	free(bytes);
}

static int with_xchacha(void **state)
{
	if (pack_fixture_small(state) < 0)
		return -1;
	((struct pack_fixture *)*state)->cipher = THUMP_CIPHER_XCHACHA20_POLY1305;
	return 0;
}

static int with_aes(void **state)
{
	if (pack_fixture_small(state) < 0)
		return -1;
	((struct pack_fixture *)*state)->cipher = THUMP_CIPHER_AES256_OCB;
	return 0;
}

int main(void)
{
	const struct CMUnitTest ciphers[] = {
		cmocka_unit_test(only_recipients_open_it),
		cmocka_unit_test(passphrases_open_it),
		cmocka_unit_test(nothing_of_it_can_be_read),
		cmocka_unit_test(nothing_is_the_same_twice),
		cmocka_unit_test(chunks_open_only_at_their_place),
		cmocka_unit_test(keys_of_another_image_do_not_open_it),
		cmocka_unit_test(another_cipher_does_not_open_it),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_faster_cipher_is_taken),
		cmocka_unit_test(what_is_not_encrypted_has_no_cipher),
		cmocka_unit_test(passphrases_do_not_take_all_memory),
		cmocka_unit_test(one_passphrase_is_enough),
		cmocka_unit_test(secrets_of_others_are_no_secrets),
		cmocka_unit_test(only_what_is_signed_is_opened),
		cmocka_unit_test(policies_hold_besides_options),
		cmocka_unit_test(policies_that_are_not_understood_are_refused),
		cmocka_unit_test(secret_keys_are_never_printed),
		cmocka_unit_test(a_key_signs_once),
		cmocka_unit_test(signatures_of_another_image_are_damage),
		cmocka_unit_test(damage_is_not_signed),
	};

	return cmocka_run_group_tests_name("XChaCha20-Poly1305", ciphers, with_xchacha,
					   pack_fixture_tear_down) +
	       cmocka_run_group_tests_name("AES-256-OCB", ciphers, with_aes,
					   pack_fixture_tear_down) +
	       cmocka_run_group_tests(tests, pack_fixture_small, pack_fixture_tear_down);
}
