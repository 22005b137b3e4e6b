/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/codec.h"

#include <lz4.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "pack/seal.h"

struct pack_coder {
	struct thump_compression compression;
	ZSTD_CCtx *compress;
	ZSTD_DCtx *decompress;
	struct pack_sealer *sealer; /* NULL: not encrypted */
};

static int coder_failed(struct pack_coder *coder, struct thump_err *err)
{
	pack_coder_destroy(coder);
	errno = ENOMEM;
	return thump_fail_errno(err, "memory to compress chunks");
}

static int coder_alloc(const struct pack_cipher *cipher, struct pack_coder **coder_ret,
		       struct thump_err *err)
{
	struct pack_coder *coder = calloc(1, sizeof(*coder));

	if (!coder)
		return coder_failed(coder, err);
	if (cipher && pack_sealer_create(cipher, &coder->sealer, err) < 0) {
		pack_coder_destroy(coder);
		return -1;
	}
	*coder_ret = coder;
	return 0;
}

int pack_coder_create(const struct thump_compression *compression, const struct pack_cipher *cipher,
		      struct pack_coder **coder_ret, struct thump_err *err)
{
	struct pack_coder *coder;

	if (coder_alloc(cipher, &coder, err) < 0)
		return -1;
	coder->compression = *compression;
	if (compression->method == THUMP_COMPRESS_ZSTD) {
		coder->compress = ZSTD_createCCtx();
		if (!coder->compress)
			return coder_failed(coder, err);
	}
	*coder_ret = coder;
	return 0;
}

int pack_decoder_create(const struct pack_cipher *cipher, struct pack_coder **coder_ret,
			struct thump_err *err)
{
	struct pack_coder *coder;

	if (coder_alloc(cipher, &coder, err) < 0)
		return -1;
	coder->decompress = ZSTD_createDCtx();
	if (!coder->decompress)
		return coder_failed(coder, err);
	*coder_ret = coder;
	return 0;
}

void pack_coder_destroy(struct pack_coder *coder)
{
	if (!coder)
		return;
	(void)ZSTD_freeCCtx(coder->compress);
	(void)ZSTD_freeDCtx(coder->decompress);
	pack_sealer_destroy(coder->sealer);
	free(coder);
}

int pack_bench_init(struct pack_bench *bench, struct pack_coder *coder, struct thump_err *err)
{
	*bench = (struct pack_bench){ .coder = coder,
				      .raw = malloc(PACK_CHUNK_BYTES),
				      .stored = malloc(PACK_STORED_ROOM) };
	if (bench->raw && bench->stored)
		return 0;
	(void)thump_fail_errno(err, "memory for chunks");
	pack_bench_deinit(bench);
	return -1;
}

/* What was encrypted is nobody's to find in memory that was freed. */
void pack_bench_deinit(struct pack_bench *bench)
{
	if (bench->coder && bench->coder->sealer && bench->raw)
		sodium_memzero(bench->raw, PACK_CHUNK_BYTES);
	if (bench->coder && bench->coder->sealer && bench->stored)
		sodium_memzero(bench->stored, PACK_STORED_ROOM);
	pack_coder_destroy(bench->coder);
	free(bench->raw);
	free(bench->stored);
}

static bool is_zero(const unsigned char *raw, size_t size)
{
	return raw[0] == 0 && memcmp(raw, raw + 1, size - 1) == 0;
}

/* 0: it does not get smaller. */
static size_t compress(struct pack_coder *coder, const unsigned char *raw, size_t size,
		       unsigned char *stored)
{
	size_t got = 0;
	int count;

	switch (coder->compression.method) {
	case THUMP_COMPRESS_NONE:
		break;
	case THUMP_COMPRESS_ZSTD:
		got = ZSTD_compressCCtx(coder->compress, stored, size - 1, raw, size,
					coder->compression.level);
		if (ZSTD_isError(got))
			got = 0;
		break;
	case THUMP_COMPRESS_LZ4:
		count = LZ4_compress_default((const char *)raw, (char *)stored, (int)size,
					     (int)size - 1);
		got = count > 0 ? (size_t)count : 0;
		break;
	}
	return got;
}

int pack_encode(struct pack_coder *coder, struct pack_chunk *chunk, uint32_t index,
		const unsigned char *raw, unsigned char *stored, struct thump_err *err)
{
	size_t size;

	chunk->same = 0;
	if (!coder->sealer && is_zero(raw, chunk->raw_size)) {
		chunk->form = PACK_ZEROS;
		chunk->stored_size = 0;
		memset(chunk->hash, 0, sizeof(chunk->hash));
		return 0;
	}
	size = compress(coder, raw, chunk->raw_size, stored);
	if (size) {
		chunk->form =
			coder->compression.method == THUMP_COMPRESS_LZ4 ? PACK_LZ4 : PACK_ZSTD;
	} else {
		chunk->form = PACK_PLAIN;
		size = chunk->raw_size;
	}
	if (coder->sealer) {
		if (pack_seal(coder->sealer, chunk, index, chunk->form == PACK_PLAIN ? raw : stored,
			      size, stored, err) < 0)
			return -1;
		size += PACK_SEAL_SIZE;
	} else if (chunk->form == PACK_PLAIN) {
		memcpy(stored, raw, size);
	}
	chunk->stored_size = (uint32_t)size;
	(void)crypto_generichash(chunk->hash, sizeof(chunk->hash), stored, size, NULL, 0);
	return 0;
}

static bool decompress(struct pack_coder *coder, const struct pack_chunk *chunk,
		       const unsigned char *stored, size_t size, unsigned char *raw)
{
	if (chunk->form == PACK_LZ4)
		return LZ4_decompress_safe((const char *)stored, (char *)raw, (int)size,
					   (int)chunk->raw_size) == (int)chunk->raw_size;
	/* One frame: the function would take several. */
	return ZSTD_findFrameCompressedSize(stored, size) == size &&
	       ZSTD_decompressDCtx(coder->decompress, raw, chunk->raw_size, stored, size) ==
		       chunk->raw_size;
}

int pack_check_hash(const struct pack_chunk *chunk, const unsigned char *stored,
		    struct thump_err *err)
{
	unsigned char hash[PACK_HASH_SIZE];

	(void)crypto_generichash(hash, sizeof(hash), stored, chunk->stored_size, NULL, 0);
	if (memcmp(hash, chunk->hash, sizeof(hash)) != 0)
		return thump_damaged(err, "it does not match its hash");
	return 0;
}

int pack_decode(struct pack_coder *coder, const struct pack_chunk *chunk, uint32_t index,
		unsigned char *stored, unsigned char raw[PACK_CHUNK_BYTES],
		const unsigned char **raw_ret, struct thump_err *err)
{
	size_t size = chunk->stored_size;

	if (coder->sealer) {
		if (!pack_unseal(coder->sealer, chunk, index, stored, size))
			return thump_damaged(err, "it was not encrypted for this place");
		size -= PACK_SEAL_SIZE;
	}
	*raw_ret = stored;
	if (chunk->form == PACK_PLAIN)
		return 0;
	*raw_ret = raw;
	if (!decompress(coder, chunk, stored, size, raw))
		return thump_damaged(err, "it does not decompress to its size");
	return 0;
}
