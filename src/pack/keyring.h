/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of struct thump_keys, for the code that uses keys. */
#ifndef THUMP_PACK_KEYRING_H
#define THUMP_PACK_KEYRING_H

#include "pack/keys.h"

#define PASSPHRASE_MAX 1024u

struct thump_keys {
	unsigned char keys[THUMP_KEY_KINDS][THUMP_KEYS_MAX][THUMP_KEY_BYTES];
	uint32_t count[THUMP_KEY_KINDS];
	char passphrase[PASSPHRASE_MAX];
	size_t passphrase_len; /* 0: there is none */
};

#endif
