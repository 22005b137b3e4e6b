/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Little-endian encoding into a growing buffer, and one bounded reader for untrusted bytes.
 * The reader never reads past its end: after the first short read it stays failed and yields
 * zeros, so a decoder checks once, with thump_reader_done().
 */
#ifndef THUMP_BASE_BYTES_H
#define THUMP_BASE_BYTES_H

#include "base/err.h"

struct thump_buf {
	unsigned char *bytes;
	size_t size_bytes, room_bytes;
	bool failed; /* out of memory; sticky */
};

#define THUMP_BUF_INIT ((struct thump_buf){ 0 })

void thump_buf_deinit(struct thump_buf *buf);
void thump_buf_put(struct thump_buf *buf, const void *data, size_t size_bytes);
void thump_buf_put_u8(struct thump_buf *buf, uint8_t value);
void thump_buf_put_u16(struct thump_buf *buf, uint16_t value);
void thump_buf_put_u32(struct thump_buf *buf, uint32_t value);
void thump_buf_put_u64(struct thump_buf *buf, uint64_t value);
void thump_buf_put_i64(struct thump_buf *buf, int64_t value);
/* u32 length, then the bytes. NULL is written as length 0. */
void thump_buf_put_str(struct thump_buf *buf, const char *text);
void thump_buf_put_blob(struct thump_buf *buf, const void *data, size_t size_bytes);
void thump_buf_pad(struct thump_buf *buf, size_t align_bytes); /* with zeros */

#define auto_buf __attribute__((cleanup(thump_buf_deinit)))

struct thump_reader {
	const unsigned char *at, *end;
	bool failed;
};

static inline struct thump_reader thump_reader_of(const void *data, size_t size_bytes)
{
	const unsigned char *bytes = data;

	return (struct thump_reader){ .at = bytes, .end = bytes ? bytes + size_bytes : bytes };
}

uint8_t thump_get_u8(struct thump_reader *r);
uint16_t thump_get_u16(struct thump_reader *r);
uint32_t thump_get_u32(struct thump_reader *r);
uint64_t thump_get_u64(struct thump_reader *r);
int64_t thump_get_i64(struct thump_reader *r);
/* Points into the input; NULL once failed. */
const void *thump_get_bytes(struct thump_reader *r, size_t size_bytes);
/* A blob as written by thump_buf_put_blob; the length may not exceed max_bytes. */
const void *thump_get_blob(struct thump_reader *r, size_t max_bytes, size_t *size_ret);

/* 0 when everything was read and nothing is left; else damaged, naming `what`. */
THUMP_MUST_CHECK int thump_reader_done(const struct thump_reader *r, const char *what,
				       struct thump_err *err);

struct thump_arena;
/* A string as written by thump_buf_put_str, copied; fails on an embedded NUL or > max_bytes. */
char *thump_get_str(struct thump_reader *r, struct thump_arena *arena, size_t max_bytes);

#endif
