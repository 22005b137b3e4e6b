/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

void thump_buf_deinit(struct thump_buf *buf)
{
	free(buf->bytes);
	*buf = THUMP_BUF_INIT;
}

static bool buf_reserve(struct thump_buf *buf, size_t more)
{
	size_t wanted = buf->room_bytes ? buf->room_bytes : 256;
	unsigned char *bigger;

	if (buf->failed || more > SIZE_MAX / 4) {
		buf->failed = true;
		return false;
	}
	while (wanted - buf->size_bytes < more)
		wanted *= 2;
	if (wanted == buf->room_bytes)
		return true;
	bigger = realloc(buf->bytes, wanted);
	if (!bigger) {
		buf->failed = true;
		return false;
	}
	buf->bytes = bigger;
	buf->room_bytes = wanted;
	return true;
}

void thump_buf_put(struct thump_buf *buf, const void *data, size_t size_bytes)
{
	if (size_bytes == 0 || !buf_reserve(buf, size_bytes))
		return;
	memcpy(buf->bytes + buf->size_bytes, data, size_bytes);
	buf->size_bytes += size_bytes;
}

void thump_buf_put_u8(struct thump_buf *buf, uint8_t value)
{
	thump_buf_put(buf, &value, sizeof(value));
}

void thump_buf_put_u16(struct thump_buf *buf, uint16_t value)
{
	uint16_t le = htole16(value);

	thump_buf_put(buf, &le, sizeof(le));
}

void thump_buf_put_u32(struct thump_buf *buf, uint32_t value)
{
	uint32_t le = htole32(value);

	thump_buf_put(buf, &le, sizeof(le));
}

void thump_buf_put_u64(struct thump_buf *buf, uint64_t value)
{
	uint64_t le = htole64(value);

	thump_buf_put(buf, &le, sizeof(le));
}

void thump_buf_put_i64(struct thump_buf *buf, int64_t value)
{
	thump_buf_put_u64(buf, (uint64_t)value);
}

void thump_buf_put_blob(struct thump_buf *buf, const void *data, size_t size_bytes)
{
	if (size_bytes > UINT32_MAX) {
		buf->failed = true;
		return;
	}
	thump_buf_put_u32(buf, (uint32_t)size_bytes);
	thump_buf_put(buf, data, size_bytes);
}

void thump_buf_put_str(struct thump_buf *buf, const char *text)
{
	thump_buf_put_blob(buf, text, text ? strlen(text) : 0);
}

void thump_buf_pad(struct thump_buf *buf, size_t align_bytes)
{
	static const unsigned char zeros[16];

	while (!buf->failed && buf->size_bytes % align_bytes != 0) {
		size_t gap = align_bytes - buf->size_bytes % align_bytes;

		thump_buf_put(buf, zeros, gap < sizeof(zeros) ? gap : sizeof(zeros));
	}
}

const void *thump_get_bytes(struct thump_reader *r, size_t size_bytes)
{
	const unsigned char *at = r->at;

	if (r->failed || (size_t)(r->end - r->at) < size_bytes) {
		r->failed = true;
		return NULL;
	}
	r->at += size_bytes;
	return at;
}

uint8_t thump_get_u8(struct thump_reader *r)
{
	const unsigned char *at = thump_get_bytes(r, 1);

	return at ? *at : 0;
}

uint16_t thump_get_u16(struct thump_reader *r)
{
	const void *at = thump_get_bytes(r, sizeof(uint16_t));
	uint16_t le = 0;

	if (at)
		memcpy(&le, at, sizeof(le));
	return le16toh(le);
}

uint32_t thump_get_u32(struct thump_reader *r)
{
	const void *at = thump_get_bytes(r, sizeof(uint32_t));
	uint32_t le = 0;

	if (at)
		memcpy(&le, at, sizeof(le));
	return le32toh(le);
}

uint64_t thump_get_u64(struct thump_reader *r)
{
	const void *at = thump_get_bytes(r, sizeof(uint64_t));
	uint64_t le = 0;

	if (at)
		memcpy(&le, at, sizeof(le));
	return le64toh(le);
}

int64_t thump_get_i64(struct thump_reader *r)
{
	return (int64_t)thump_get_u64(r);
}

const void *thump_get_blob(struct thump_reader *r, size_t max_bytes, size_t *size_ret)
{
	uint32_t size_bytes = thump_get_u32(r);
	const void *bytes;

	if (size_bytes > max_bytes)
		r->failed = true;
	bytes = thump_get_bytes(r, size_bytes);
	*size_ret = bytes ? size_bytes : 0;
	return bytes;
}

char *thump_get_str(struct thump_reader *r, struct thump_arena *arena, size_t max_bytes)
{
	size_t len;
	const char *bytes = thump_get_blob(r, max_bytes, &len);
	char *copy;

	if (!bytes || (len && memchr(bytes, '\0', len))) {
		r->failed = true;
		return NULL;
	}
	copy = thump_arena_strndup(arena, bytes, len);
	if (!copy)
		r->failed = true;
	return copy;
}

int thump_reader_done(const struct thump_reader *r, const char *what, struct thump_err *err)
{
	if (r->failed)
		return thump_damaged(err, "%s: record is too short or a field is out of range",
				     what);
	if (r->at != r->end)
		return thump_damaged(err, "%s: %zu bytes left over", what,
				     (size_t)(r->end - r->at));
	return 0;
}
