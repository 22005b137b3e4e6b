/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/table.h"

#include <inttypes.h>
#include <string.h>

#include "image/format.h"

static const unsigned char magic[PACK_MAGIC_SIZE] = PACK_MAGIC;

void pack_head_encode(struct thump_buf *buf, const struct pack_head *head)
{
	thump_buf_put(buf, magic, sizeof(magic));
	thump_buf_put_u32(buf, head->version);
	thump_buf_put_u32(buf, head->flags);
	thump_buf_put_u64(buf, head->raw_size);
	thump_buf_put_u64(buf, head->raw_meta_offset);
	thump_buf_put_u64(buf, head->data_size);
	thump_buf_put_u32(buf, head->nr_chunks);
	thump_buf_put_u32(buf, head->keys_size);
	thump_buf_put(buf, head->key_check, sizeof(head->key_check));
	thump_buf_put(buf, head->id, sizeof(head->id));
}

void pack_table_encode(struct thump_buf *buf, const struct pack_chunk *chunks, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		thump_buf_put_u32(buf, chunks[i].raw_size);
		thump_buf_put_u32(buf, chunks[i].stored_size);
		thump_buf_put_u32(buf, chunks[i].form); /* u8 and three zeros */
		thump_buf_put_u32(buf, chunks[i].same);
		thump_buf_put(buf, chunks[i].hash, sizeof(chunks[i].hash));
	}
}

static bool all_zero(const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

int pack_head_decode(const unsigned char bytes[PACK_HEAD_SIZE], struct pack_head *head_ret,
		     struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(bytes, PACK_HEAD_SIZE);
	struct pack_head head;

	if (memcmp(thump_get_bytes(&r, sizeof(magic)), magic, sizeof(magic)) != 0)
		return thump_damaged(err, "not a packed image");
	head.version = thump_get_u32(&r);
	head.flags = thump_get_u32(&r);
	head.raw_size = thump_get_u64(&r);
	head.raw_meta_offset = thump_get_u64(&r);
	head.data_size = thump_get_u64(&r);
	head.nr_chunks = thump_get_u32(&r);
	head.keys_size = thump_get_u32(&r);
	memcpy(head.key_check, thump_get_bytes(&r, sizeof(head.key_check)), sizeof(head.key_check));
	memcpy(head.id, thump_get_bytes(&r, sizeof(head.id)), sizeof(head.id));
	if (head.nr_chunks < 1 || head.nr_chunks > PACK_MAX_CHUNKS)
		return thump_damaged(err, "%" PRIu32 " chunks", head.nr_chunks);
	if (head.keys_size > PACK_MAX_KEYS)
		return thump_damaged(err, "%" PRIu32 " bytes of keys", head.keys_size);
	*head_ret = head;
	return 0;
}

int pack_head_check(const struct pack_head *head, struct thump_err *err)
{
	if (head->version != PACK_VERSION)
		return thump_refuse(err,
				    "a packed image of version %" PRIu32 "; this thump knows %u",
				    head->version, PACK_VERSION);
	if (head->flags & ~(PACK_ENCRYPTED | PACK_APART | PACK_AES))
		return thump_refuse(err,
				    "a packed image with flags %#" PRIx32 ", unknown to this "
				    "thump",
				    head->flags);
	if ((head->flags & PACK_ENCRYPTED) && (head->flags & PACK_APART))
		return thump_damaged(err, "an encrypted image whose chunks lie in a store");
	if ((head->flags & PACK_AES) && !(head->flags & PACK_ENCRYPTED))
		return thump_damaged(err, "a cipher of what is not encrypted");
	if (!(head->flags & PACK_ENCRYPTED) &&
	    ((head->keys_size != 0) != ((head->flags & PACK_APART) != 0) ||
	     !all_zero(head->key_check, sizeof(head->key_check)) ||
	     !all_zero(head->id, sizeof(head->id))))
		return thump_damaged(err, "unexpected fields in the head");
	if (head->raw_size < THUMP_PAGE_SIZE || head->raw_size > PACK_MAX_RAW ||
	    head->raw_meta_offset > head->raw_size)
		return thump_damaged(err, "an image of %" PRIu64 " bytes in the head",
				     head->raw_size);
	/* All of these are unpacked by who wants to know only what the image says. */
	if (head->raw_size - head->raw_meta_offset > IMG_MAX_META)
		return thump_damaged(err, "%" PRIu64 " bytes of notes in the head",
				     head->raw_size - head->raw_meta_offset);
	return 0;
}

static bool stores(enum pack_form form)
{
	return form == PACK_PLAIN || form == PACK_ZSTD || form == PACK_LZ4;
}

/* chunks[index] is decoded, and so are all before it. `extra` bytes are stored of each. */
static bool chunk_is_right(const struct pack_chunk *chunks, uint32_t index, uint32_t extra)
{
	const struct pack_chunk *chunk = &chunks[index];

	if (chunk->raw_size < 1 || chunk->raw_size > PACK_CHUNK_BYTES)
		return false;
	if (chunk->form != PACK_SAME && chunk->same != 0)
		return false;
	if (extra && !stores(chunk->form)) /* it would tell what is the same */
		return false;
	switch (chunk->form) {
	case PACK_ZEROS:
		return chunk->stored_size == 0 && all_zero(chunk->hash, sizeof(chunk->hash));
	case PACK_SAME:
		return chunk->stored_size == 0 && all_zero(chunk->hash, sizeof(chunk->hash)) &&
		       chunk->same < index && stores(chunks[chunk->same].form) &&
		       chunks[chunk->same].raw_size == chunk->raw_size;
	case PACK_PLAIN:
		return chunk->stored_size == chunk->raw_size + extra;
	case PACK_ZSTD:
	case PACK_LZ4:
		return chunk->stored_size > extra && chunk->stored_size < chunk->raw_size + extra;
	}
	return false;
}

int pack_table_decode(const struct pack_head *head, const unsigned char *bytes,
		      struct pack_chunk *chunks_ret, struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(bytes, (size_t)head->nr_chunks * PACK_ENTRY_SIZE);
	const uint32_t extra = head->flags & PACK_ENCRYPTED ? PACK_SEAL_SIZE : 0;
	uint64_t raw = 0, stored = 0;

	for (uint32_t i = 0; i < head->nr_chunks; i++) {
		struct pack_chunk *chunk = &chunks_ret[i];

		chunk->raw_offset = raw;
		chunk->raw_size = thump_get_u32(&r);
		chunk->stored_size = thump_get_u32(&r);
		chunk->form = thump_get_u32(&r);
		chunk->same = thump_get_u32(&r);
		memcpy(chunk->hash, thump_get_bytes(&r, sizeof(chunk->hash)), sizeof(chunk->hash));
		if (!chunk_is_right(chunks_ret, i, extra))
			return thump_damaged(err, "chunk %" PRIu32 " of the table breaks a rule",
					     i);
		raw += chunk->raw_size;
		stored += chunk->stored_size;
	}
	if (raw != head->raw_size || stored != head->data_size)
		return thump_damaged(err, "the chunks of the table do not add up");
	return 0;
}
