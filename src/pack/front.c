/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands in front of the data. Order: sizes in HEAD, DIGEST; only then is anything decoded.
 * Like the seal of an image, the digest finds accidents, not attackers: decoding trusts nothing all
 * the same.
 */
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "pack/read.h"

/* Memory is had only for what has come, whatever HEAD says is still to come. */
#define FIRST_STEP_BYTES ((size_t)1 << 20)

static int read_bytes(struct pack_stream *stream, void *buf, size_t size_bytes,
		      struct thump_err *err)
{
	if (thump_read_full(stream->fd, buf, size_bytes) == 0)
		return 0;
	if (errno == ENODATA)
		return thump_damaged(err, "it ends early");
	return thump_fail_errno(err, "read");
}

static int read_growing(struct pack_stream *stream, size_t size_bytes, unsigned char **bytes_ret,
			struct thump_err *err)
{
	auto_free unsigned char *bytes = NULL;
	size_t have = 0, step = FIRST_STEP_BYTES;

	do {
		size_t want = thump_min_u64(size_bytes, have + step);
		unsigned char *bigger = realloc(bytes, want ? want : 1);

		if (!bigger)
			return thump_fail_errno(err, "memory for the table of chunks");
		bytes = bigger;
		if (read_bytes(stream, bytes + have, want - have, err) < 0)
			return -1;
		have = want;
		step = have;
	} while (have < size_bytes);
	*bytes_ret = bytes;
	bytes = NULL;
	return 0;
}

bool pack_stream_is_packed(const struct pack_stream *stream)
{
	static const unsigned char magic[PACK_MAGIC_SIZE] = PACK_MAGIC;

	return memcmp(stream->ahead, magic, sizeof(magic)) == 0;
}

/* Before anything is read on its word, where that can be had. */
static int check_file_size(const struct pack_stream *stream, const struct pack_front *front,
			   struct thump_err *err)
{
	uint64_t expected = front->size_bytes + front->head.data_size;

	if (stream->seekable && stream->size_bytes != expected)
		return thump_damaged(err, "the file has %" PRIu64 " bytes instead of %" PRIu64,
				     stream->size_bytes, expected);
	return 0;
}

static int check_digest(const unsigned char head[PACK_HEAD_SIZE], const unsigned char *rest,
			size_t size, struct thump_err *err)
{
	crypto_generichash_state state;
	unsigned char digest[PACK_HASH_SIZE];

	(void)crypto_generichash_init(&state, NULL, 0, sizeof(digest));
	(void)crypto_generichash_update(&state, head, PACK_HEAD_SIZE);
	(void)crypto_generichash_update(&state, rest, size);
	(void)crypto_generichash_final(&state, digest, sizeof(digest));
	if (memcmp(digest, rest + size, sizeof(digest)) != 0)
		return thump_damaged(err, "head or table are damaged: the digest does not match");
	return 0;
}

static int read_signatures(struct pack_stream *stream, struct thump_err *err)
{
	unsigned char bytes[sizeof(uint32_t)];
	struct thump_reader r = thump_reader_of(bytes, sizeof(bytes));

	if (read_bytes(stream, bytes, sizeof(bytes), err) < 0)
		return -1;
	if (thump_get_u32(&r) != 0)
		return thump_damaged(err, "signatures are announced");
	return 0;
}

static int read_front(struct pack_stream *stream, struct pack_front *front, struct thump_err *err)
{
	struct pack_head *head = &front->head;
	unsigned char bytes[PACK_HEAD_SIZE];
	auto_free unsigned char *rest = NULL;
	size_t table_size;

	memcpy(bytes, stream->ahead, sizeof(stream->ahead));
	if (read_bytes(stream, bytes + sizeof(stream->ahead), sizeof(bytes) - sizeof(stream->ahead),
		       err) < 0 ||
	    pack_head_decode(bytes, head, err) < 0)
		return -1;
	table_size = (size_t)head->nr_chunks * PACK_ENTRY_SIZE;
	front->size_bytes =
		PACK_HEAD_SIZE + head->keys_size + table_size + PACK_HASH_SIZE + sizeof(uint32_t);
	if (read_growing(stream, head->keys_size + table_size + PACK_HASH_SIZE, &rest, err) < 0 ||
	    check_digest(bytes, rest, head->keys_size + table_size, err) < 0 ||
	    pack_head_check(head, err) < 0 || read_signatures(stream, err) < 0 ||
	    check_file_size(stream, front, err) < 0)
		return -1;
	front->chunks = calloc(head->nr_chunks, sizeof(*front->chunks));
	if (!front->chunks)
		return thump_fail_errno(err, "memory for %" PRIu32 " chunks", head->nr_chunks);
	return pack_table_decode(head, rest + head->keys_size, front->chunks, err);
}

int pack_front_read(struct pack_stream *stream, struct pack_front *front_ret, struct thump_err *err)
{
	struct pack_front front = { 0 };

	if (sodium_init() < 0)
		return thump_fail(err, "libsodium cannot be used here");
	if (read_front(stream, &front, err) < 0) {
		pack_front_deinit(&front);
		return -1;
	}
	*front_ret = front;
	return 0;
}

void pack_front_deinit(struct pack_front *front)
{
	free(front->chunks);
	*front = (struct pack_front){ 0 };
}
