/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The numbers of docs/FORMAT.md, "Packed images", shared by the code that packs and the code that
 * unpacks. A number here is on disk: it is never changed and never reused.
 */
#ifndef THUMP_PACK_FORMAT_H
#define THUMP_PACK_FORMAT_H

#include "base/types.h"

#define PACK_MAGIC                                                                                 \
	{                                                                                          \
		0x89, 't', 'h', 'u', 'm', 'p', '\r', '\n'                                          \
	}
#define PACK_MAGIC_SIZE	 8u
#define PACK_VERSION	 1u
#define PACK_HEAD_SIZE	 96u
#define PACK_ID_SIZE	 16u
#define PACK_ENTRY_SIZE	 48u /* of the table */
#define PACK_HASH_SIZE	 32u /* BLAKE2b-256 */
#define PACK_SIGN_SIZE	 96u /* of one signature, with its key */
#define PACK_SEAL_SIZE	 16u /* what encryption adds to a chunk */
#define PACK_MAX_SIGNED	 64u
#define PACK_ENCRYPTED	 1u /* bit of the flags */
#define PACK_APART	 2u /* the same: data lies in a chunk store */
#define PACK_AES	 4u /* the same: of the two ciphers it is AES-256-OCB */
#define PACK_CHUNK_BYTES ((uint32_t)1 << 20)
#define PACK_MAX_CHUNKS	 ((uint32_t)4 << 20)
#define PACK_MAX_RAW	 ((uint64_t)1 << 46)
#define PACK_MAX_KEYS	 65536u

enum pack_form {
	PACK_ZEROS = 0,
	PACK_SAME = 1,
	PACK_PLAIN = 2,
	PACK_ZSTD = 3,
	PACK_LZ4 = 4,
};

#endif
