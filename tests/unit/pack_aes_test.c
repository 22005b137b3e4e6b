/* SPDX-License-Identifier: Apache-2.0 */
/* The cipher is that of RFC 7253, and where its key lies. */
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pack/aes.h"

static struct pack_aes *aes_of(const unsigned char *key)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct pack_aes *aes;

	assert_int_equal(pack_aes_prepare(&err), 0);
	assert_int_equal(pack_aes_create(key, &aes, &err), 0);
	return aes;
}

static void seal(struct pack_aes *aes, uint32_t nonce, size_t data_size, size_t size,
		 const unsigned char *data, unsigned char *to)
{
	struct pack_aes_place place = { .data = data, .data_size = data_size };
	struct thump_err err = THUMP_ERR_INIT;

	place.nonce[10] = (unsigned char)(nonce >> 8);
	place.nonce[11] = (unsigned char)nonce;
	memset(to, 0, size);
	assert_int_equal(pack_aes_seal(aes, &place, to, size, to, &err), 0);
}

/* RFC 7253, appendix A, "the following algorithm": one number of 385 calls. */
static void it_is_that_of_rfc_7253(void **state)
{
	static const unsigned char expected[] = { 0xd9, 0x0e, 0xb8, 0xe9, 0xc9, 0x77, 0xc8, 0x8b,
						  0x79, 0xdd, 0x79, 0x3d, 0x7f, 0xfa, 0x16, 0x1c };
	static const unsigned char zeros[128];
	const unsigned char key[PACK_AES_KEY_BYTES] = { [PACK_AES_KEY_BYTES - 1] = 128 };
	unsigned char all[128 * (3 * PACK_AES_TAG_BYTES + 2 * 128)], *at = all;
	struct pack_aes *aes = aes_of(key);

	(void)state;
	for (uint32_t i = 0; i < 128; i++) {
		seal(aes, 3 * i + 1, i, i, zeros, at);
		at += i + PACK_AES_TAG_BYTES;
		seal(aes, 3 * i + 2, 0, i, zeros, at);
		at += i + PACK_AES_TAG_BYTES;
		seal(aes, 3 * i + 3, i, 0, zeros, at);
		at += PACK_AES_TAG_BYTES;
	}
	seal(aes, 385, (size_t)(at - all), 0, all, at);
	assert_memory_equal(at, expected, sizeof(expected));
	pack_aes_destroy(aes);
}

/* From elsewhere or in place, the same comes out, and opens for the same place alone. */
static void it_opens_only_for_its_place(void **state)
{
	static const unsigned char key[PACK_AES_KEY_BYTES] = "thirty-two bytes that are a key";
	const struct pack_aes_place place = { .nonce = { 1 },
					      .data = (const unsigned char *)"here",
					      .data_size = 4 };
	struct pack_aes_place other_data = place, other_nonce = place;
	unsigned char from[100], to[100 + PACK_AES_TAG_BYTES], again[sizeof(to)];
	struct thump_err err = THUMP_ERR_INIT;
	struct pack_aes *aes = aes_of(key);

	(void)state;
	memset(from, 'x', sizeof(from));
	memcpy(again, from, sizeof(from));
	other_data.data_size = 3;
	other_nonce.nonce[0] = 2;
	assert_int_equal(pack_aes_seal(aes, &place, from, sizeof(from), to, &err), 0);
	assert_int_equal(pack_aes_seal(aes, &place, again, sizeof(from), again, &err), 0);
	assert_memory_equal(to, again, sizeof(to));
	assert_false(pack_aes_unseal(aes, &other_data, again, sizeof(from)));
	memcpy(again, to, sizeof(to));
	assert_false(pack_aes_unseal(aes, &other_nonce, again, sizeof(from)));
	for (size_t i = 0; i < sizeof(to); i++) {
		memcpy(again, to, sizeof(to));
		again[i] ^= 1;
		assert_false(pack_aes_unseal(aes, &place, again, sizeof(from)));
	}
	assert_true(pack_aes_unseal(aes, &place, to, sizeof(from)));
	assert_memory_equal(to, from, sizeof(from));
	pack_aes_destroy(aes);
}

/* ---- where the key lies --------------------------------------------------------------------- */

struct copies {
	unsigned safe, elsewhere; /* of the key: in memory that is locked and not dumped, or not */
};

static unsigned count_in(unsigned long start, unsigned long end, const unsigned char *key)
{
	unsigned count = 0;
	const char *at = (const char *)start;

	while ((at = memmem(at, end - (unsigned long)at, key, PACK_AES_KEY_BYTES))) {
		count++;
		at += PACK_AES_KEY_BYTES;
	}
	return count;
}

/* All that this process may read and write, as smaps(5) tells of it. */
static struct copies copies_of(const unsigned char *key)
{
	struct copies copies = { 0 };
	FILE *smaps = fopen("/proc/self/smaps", "re");
	unsigned long start = 0, end = 0, from, to;
	char line[4096], mode[8] = "", read_mode[8];

	assert_non_null(smaps);
	while (fgets(line, sizeof(line), smaps)) {
		/* Names of other lines begin with digits, too: those of base 16. */
		if (sscanf(line, "%lx-%lx %7s ", &from, &to, read_mode) == 3) {
			start = from;
			end = to;
			memcpy(mode, read_mode, sizeof(mode));
			continue;
		}
		if (strncmp(line, "VmFlags:", 8) != 0 || strncmp(mode, "rw", 2) != 0)
			continue;
		if (strstr(line, " lo") && strstr(line, " dd"))
			copies.safe += count_in(start, end, key);
		else
			copies.elsewhere += count_in(start, end, key);
	}
	(void)fclose(smaps);
	return copies;
}

/* The first round keys of AES-256 are the key itself. */
static void its_key_is_locked_and_wiped(void **state)
{
	unsigned char *key = sodium_malloc(PACK_AES_KEY_BYTES), chunk[64 + PACK_AES_TAG_BYTES];
	struct copies copies;
	struct pack_aes *aes;

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip(); /* what ASan knows of all memory is memory, too, which nobody else may read */
#endif
	assert_non_null(key);
	randombytes_buf(key, PACK_AES_KEY_BYTES);
	aes = aes_of(key);
	seal(aes, 1, 0, 64, chunk, chunk);
	copies = copies_of(key);
	assert_true(copies.safe > 1);
	assert_int_equal(copies.elsewhere, 0);
	pack_aes_destroy(aes);
	copies = copies_of(key);
	assert_int_equal(copies.safe, 1); /* our own */
	assert_int_equal(copies.elsewhere, 0);
	sodium_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_that_of_rfc_7253),
		cmocka_unit_test(it_opens_only_for_its_place),
		cmocka_unit_test(its_key_is_locked_and_wiped),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
