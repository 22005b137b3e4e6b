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
		if (pack_coming_read(stream->fd, bytes + have, want - have, err) < 0)
			return -1;
		have = want;
		step = have;
	} while (have < size_bytes);
	*bytes_ret = bytes;
	bytes = NULL;
	return 0;
}

/* Before anything is read on its word, where that can be had. */
static int check_file_size(const struct pack_stream *stream, const struct pack_front *front,
			   struct thump_err *err)
{
	uint64_t expected = pack_front_info(front).file_bytes;

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

static int read_signatures(struct pack_stream *stream, struct pack_front *front,
			   struct thump_err *err)
{
	unsigned char bytes[sizeof(uint32_t)];
	struct thump_reader r;

	if (pack_coming_read(stream->fd, bytes, sizeof(bytes), err) < 0)
		return -1;
	r = thump_reader_of(bytes, sizeof(bytes));
	front->nr_signatures = thump_get_u32(&r);
	if (front->nr_signatures > PACK_MAX_SIGNED)
		return thump_damaged(err, "%" PRIu32 " signatures", front->nr_signatures);
	front->size_bytes += front->nr_signatures * (uint64_t)PACK_SIGN_SIZE;
	return pack_coming_read(stream->fd, front->signatures,
				front->nr_signatures * PACK_SIGN_SIZE, err);
}

/* HEAD is read and the place of DIGEST known; nothing of all else was looked at. */
static int check_front(struct pack_stream *stream, const unsigned char head_bytes[PACK_HEAD_SIZE],
		       const struct thump_keys *keys, struct pack_front *front,
		       struct thump_err *err)
{
	const struct pack_head *head = &front->head;
	const size_t digest_at = head->keys_size + (size_t)head->nr_chunks * PACK_ENTRY_SIZE;

	front->size_bytes = PACK_HEAD_SIZE + digest_at + PACK_HASH_SIZE + sizeof(uint32_t);
	if (read_growing(stream, digest_at + PACK_HASH_SIZE, &front->bytes, err) < 0)
		return -1;
	front->digest = front->bytes + digest_at;
	if (check_digest(head_bytes, front->bytes, digest_at, err) < 0 ||
	    pack_head_check(head, err) < 0 || read_signatures(stream, front, err) < 0 ||
	    pack_signatures_check(front->signatures, front->nr_signatures, front->digest, keys,
				  err) < 0)
		return -1;
	return check_file_size(stream, front, err);
}

static int read_front(struct pack_stream *stream, const struct thump_keys *keys,
		      struct pack_front *front, struct thump_err *err)
{
	struct pack_head *head = &front->head;
	unsigned char bytes[PACK_HEAD_SIZE];

	memcpy(bytes, stream->ahead, sizeof(stream->ahead));
	if (pack_coming_read(stream->fd, bytes + sizeof(stream->ahead),
			     sizeof(bytes) - sizeof(stream->ahead), err) < 0 ||
	    pack_head_decode(bytes, head, err) < 0 ||
	    check_front(stream, bytes, keys, front, err) < 0)
		return -1;
	front->chunks = calloc(head->nr_chunks, sizeof(*front->chunks));
	if (!front->chunks)
		return thump_fail_errno(err, "memory for %" PRIu32 " chunks", head->nr_chunks);
	return pack_table_decode(head, front->bytes + head->keys_size, front->chunks, err);
}

static int read_note(struct pack_front *front, struct thump_err *err)
{
	if (!(front->head.flags & PACK_APART))
		return 0;
	return pack_store_note_decode(front->bytes, front->head.keys_size, &front->note, err);
}

int pack_front_read(struct pack_stream *stream, const struct thump_keys *keys,
		    struct pack_front *front_ret, struct thump_err *err)
{
	struct pack_front front = PACK_FRONT_INIT;

	if (sodium_init() < 0)
		return thump_fail(err, "libsodium cannot be used here");
	if (read_front(stream, keys, &front, err) < 0 || read_note(&front, err) < 0) {
		pack_front_deinit(&front);
		return -1;
	}
	*front_ret = front;
	return 0;
}

int pack_front_unlock(struct pack_front *front, const struct thump_keys *keys,
		      struct thump_err *err)
{
	if (!(front->head.flags & PACK_ENCRYPTED))
		return 0;
	return pack_cipher_open(keys, &front->head, front->bytes, &front->cipher, err);
}

int pack_front_find_store(struct pack_front *front, const struct pack_coming *coming,
			  const char *store, struct thump_err *err)
{
	auto_free char *path = NULL;

	if (!front->note)
		return 0;
	if (!store && !coming->stream.seekable)
		return thump_fail(err, "its chunks are in a chunk store: --store DIR says where");
	if (!store && pack_store_find(front->note, coming->name, &path, err) < 0)
		return -1;
	if (pack_store_open(store ? store : path, PACK_STORE_READ, &front->store, err) == 0)
		return 0;
	return store ? -1 : thump_add_context(err, "its chunks are elsewhere (--store DIR)");
}

struct thump_packed_info pack_front_info(const struct pack_front *front)
{
	const bool apart = front->head.flags & PACK_APART;

	return (struct thump_packed_info){
		.file_bytes = front->size_bytes + (apart ? 0 : front->head.data_size),
		.raw_bytes = front->head.raw_size,
		.raw_meta_offset = front->head.raw_meta_offset,
		.nr_chunks = front->head.nr_chunks,
		.nr_signatures = front->nr_signatures,
		.encrypted = front->head.flags & PACK_ENCRYPTED,
		.cipher = pack_cipher_method(&front->head),
		.apart = apart,
		.stored_bytes = front->head.data_size,
	};
}

bool pack_front_wants(const struct pack_front *front, enum thump_open_extent extent,
		      const struct pack_chunk *chunk)
{
	return extent == THUMP_OPEN_ALL || chunk->raw_offset < THUMP_PAGE_SIZE ||
	       chunk->raw_offset + chunk->raw_size > front->head.raw_meta_offset;
}

void pack_front_deinit(struct pack_front *front)
{
	pack_cipher_destroy(front->cipher);
	free(front->chunks);
	free(front->bytes);
	free(front->note);
	pack_store_close(&front->store);
	*front = PACK_FRONT_INIT;
}
