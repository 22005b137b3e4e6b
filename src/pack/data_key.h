/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of struct pack_cipher, for the code that seals chunks. */
#ifndef THUMP_PACK_DATA_KEY_H
#define THUMP_PACK_DATA_KEY_H

#include "pack/cipher.h"

#define PACK_KEY_BYTES 32u

struct pack_cipher {
	unsigned char key[PACK_KEY_BYTES];
	unsigned char wrapping[PACK_KEY_BYTES]; /* what a passphrase makes */
	unsigned char id[PACK_ID_SIZE];
	uint64_t raw_size;
	uint32_t nr_chunks;
	enum thump_cipher method;
};

#endif
