/* SPDX-License-Identifier: Apache-2.0 */
/* An image of the made-up process, and room for what is packed of it. */
#ifndef THUMP_TESTS_PACK_FIXTURE_H
#define THUMP_TESTS_PACK_FIXTURE_H

#include <unistd.h>

#include "pack/pack.h"

struct pack_fixture {
	char dir[64], path[96], packed[96], unpacked[96];
	unsigned char *raw; /* what is in the file `path` */
	size_t raw_size;
	uint32_t nr_tasks;
	char secret[96], signing[96]; /* key files */
	char recipient[THUMP_KEY_WORD_MAX], signer[THUMP_KEY_WORD_MAX];
	struct thump_keys *keys;  /* to encrypt, decrypt and sign */
	enum thump_cipher cipher; /* to encrypt with */
};

/* For cmocka. */
int pack_fixture_small(void **state);
int pack_fixture_rich(void **state);
int pack_fixture_tear_down(void **state);

/* Packs `path` into `packed`. */
struct thump_pack_stats pack_fixture_pack(const struct pack_fixture *f,
					  const struct thump_compression *compression);
/* The same with keys, which may be NULL. */
struct thump_pack_stats pack_fixture_pack_with(const struct pack_fixture *f,
					       const struct thump_compression *compression,
					       const struct thump_keys *keys);

/* Whole files; abort the test program on failure. */
unsigned char *pack_fixture_read(const char *path, size_t *size_ret);
void pack_fixture_write(const char *path, const void *bytes, size_t size);

#endif
