/* SPDX-License-Identifier: Apache-2.0 */
/* One chunk <-> what is stored of it. A coder belongs to one thread. */
#ifndef THUMP_PACK_CODEC_H
#define THUMP_PACK_CODEC_H

#include "pack/cipher.h"
#include "pack/pack.h"

/* Room for what is stored: a chunk that grows is stored as it is. */
#define PACK_STORED_ROOM (PACK_CHUNK_BYTES + PACK_SEAL_SIZE)

struct pack_coder;

/* `cipher` may be NULL; it outlives the coder. */
THUMP_MUST_CHECK int pack_coder_create(const struct thump_compression *compression,
				       const struct pack_cipher *cipher,
				       struct pack_coder **coder_ret, struct thump_err *err);
/* For decoding. */
THUMP_MUST_CHECK int pack_decoder_create(const struct pack_cipher *cipher,
					 struct pack_coder **coder_ret, struct thump_err *err);
void pack_coder_destroy(struct pack_coder *coder);

/* What one thread unpacks with. */
struct pack_bench {
	struct pack_coder *coder;
	unsigned char *raw, *stored;
};
/* Takes coder, on failure too. */
THUMP_MUST_CHECK int pack_bench_init(struct pack_bench *bench, struct pack_coder *coder,
				     struct thump_err *err);
void pack_bench_deinit(struct pack_bench *bench);

/* Takes chunk->raw_size bytes; sets form, stored_size and hash. `stored` has room for raw_size and
 * PACK_SEAL_SIZE. */
THUMP_MUST_CHECK int pack_encode(struct pack_coder *coder, struct pack_chunk *chunk, uint32_t index,
				 const unsigned char *raw, unsigned char *stored,
				 struct thump_err *err);

/* Are these the bytes that the table tells of? */
THUMP_MUST_CHECK int pack_check_hash(const struct pack_chunk *chunk, const unsigned char *stored,
				     struct thump_err *err);
/* Untrusted bytes: checks the seal, then that exactly raw_size bytes come of them. *raw_ret is
 * `raw`, or `stored` itself, in which the bytes are decrypted. */
THUMP_MUST_CHECK int pack_decode(struct pack_coder *coder, const struct pack_chunk *chunk,
				 uint32_t index, unsigned char *stored,
				 unsigned char raw[PACK_CHUNK_BYTES], const unsigned char **raw_ret,
				 struct thump_err *err);

#endif
