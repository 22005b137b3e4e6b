/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is not as docs/FORMAT.md, "Packed images", says is refused, and never crashes the reader:
 * accidents (a byte flipped, an end cut off), chunks in other places, and tables that lie with a
 * digest that is right.
 */
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "base/fd.h"
#include "pack_fixture.h"
#include "pack/read.h"

static const struct {
	struct thump_compression compression;
	size_t step; /* from one byte that is flipped, or cut off, to the next */
	bool keys;   /* encrypted and signed */
	enum thump_cipher cipher;
} methods[] = {
	/* Stored as it is, the raw image is most of the file: some of it will do. */
	{ { THUMP_COMPRESS_NONE, 0 }, 13, false, THUMP_CIPHER_FASTER },
	/* Every byte of what has the same rules but for the codec is that of the next one. */
	{ { THUMP_COMPRESS_LZ4, 0 }, 7, false, THUMP_CIPHER_FASTER },
	{ { THUMP_COMPRESS_ZSTD, 1 }, 1, false, THUMP_CIPHER_FASTER },
	/* Every byte with one of the ciphers: only the library that finds it is another one. */
	{ { THUMP_COMPRESS_ZSTD, 1 }, 31, true, THUMP_CIPHER_XCHACHA20_POLY1305 },
	{ { THUMP_COMPRESS_ZSTD, 1 }, 1, true, THUMP_CIPHER_AES256_OCB },
};
#define PLAIN	  0
#define LZ4	  1
#define ZSTD	  2
#define ENCRYPTED 4 /* the last one that is */

/* A packed image to be broken. */
struct victim {
	unsigned char *good, *bytes;
	size_t size;
	struct pack_head head;
	const struct thump_keys *keys; /* to open it, or NULL */
	int fd;
	char path[64]; /* of a memfd that the broken one is written to */
};

static void victim_init(struct victim *v, struct pack_fixture *f, size_t method)
{
	struct thump_err err = THUMP_ERR_INIT;

	f->cipher = methods[method].cipher;
	v->keys = methods[method].keys ? f->keys : NULL;
	(void)pack_fixture_pack_with(f, &methods[method].compression, v->keys);
	v->good = pack_fixture_read(f->packed, &v->size);
	v->bytes = malloc(v->size);
	assert_non_null(v->bytes);
	memcpy(v->bytes, v->good, v->size);
	assert_int_equal(pack_head_decode(v->good, &v->head, &err), 0);
	v->fd = memfd_create("broken", MFD_CLOEXEC);
	assert_true(v->fd >= 0);
	(void)snprintf(v->path, sizeof(v->path), "/proc/self/fd/%d", v->fd);
}

static void victim_deinit(struct victim *v)
{
	free(v->good);
	free(v->bytes);
	thump_close_fd(&v->fd);
}

static unsigned char *entry(struct victim *v, uint32_t index)
{
	return v->bytes + PACK_HEAD_SIZE + v->head.keys_size + (size_t)index * PACK_ENTRY_SIZE;
}

static uint32_t field(const unsigned char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static void set_field(unsigned char *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

static void write_victim(struct victim *v, size_t size)
{
	assert_int_equal(ftruncate(v->fd, 0), 0);
	assert_int_equal(thump_pwrite_full(v->fd, v->bytes, size, 0), 0);
}

/* What a restore or `thump verify` would say of it: opened, and all content checked. */
static int code_of_victim(struct victim *v, size_t size)
{
	const struct thump_open_options options = { .extent = THUMP_OPEN_ALL, .keys = v->keys };
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image;

	write_victim(v, size);
	if (thump_open(v->path, &options, &image, NULL, &err) == 0) {
		(void)!thump_image_verify(image, NULL, NULL, &err);
		thump_image_destroy(image);
	}
	return err.code;
}

/* Makes the digest right again: what is left is what the reader must find by itself. */
static void set_digest(struct victim *v)
{
	size_t size =
		PACK_HEAD_SIZE + v->head.keys_size + (size_t)v->head.nr_chunks * PACK_ENTRY_SIZE;

	(void)crypto_generichash(v->bytes + size, PACK_HASH_SIZE, v->bytes, size, NULL, 0);
}

static void forgery_is_damage(struct victim *v)
{
	set_digest(v);
	assert_int_equal(code_of_victim(v, v->size), THUMP_DAMAGED);
	memcpy(v->bytes, v->good, v->size);
}

static void every_flipped_byte_is_damage(void **state)
{
	for (size_t m = 0; m < THUMP_ARRAY_SIZE(methods); m++) {
		struct victim v;

		victim_init(&v, *state, m);
		assert_int_equal(code_of_victim(&v, v.size), THUMP_OK);
		for (size_t i = 0; i < v.size; i += methods[m].step) {
			v.bytes[i] ^= (unsigned char)(1u << (i % 8));
			if (code_of_victim(&v, v.size) != THUMP_DAMAGED)
				fail_msg("method %zu, byte %zu of %zu", m, i, v.size);
			v.bytes[i] = v.good[i];
		}
		victim_deinit(&v);
	}
}

/* As a restore opens it: 0 when it found damage, or what came out is the raw image all the same. */
static int restore_of_victim(struct victim *v, const struct pack_fixture *f)
{
	const struct thump_open_options options = {
		.extent = THUMP_OPEN_ALL,
		.keys = v->keys,
		.checks_content = true,
	};
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image;
	unsigned char *raw = malloc(f->raw_size);
	int wrong = 0;

	assert_non_null(raw);
	write_victim(v, v->size);
	if (thump_open(v->path, &options, &image, NULL, &err) < 0) {
		wrong = err.code != THUMP_DAMAGED;
	} else {
		if (thump_image_verify(image, NULL, NULL, &err) == 0)
			wrong = thump_pread_full(thump_image_fd(image), raw, f->raw_size, 0) < 0 ||
				memcmp(raw, f->raw, f->raw_size) != 0;
		thump_image_destroy(image);
	}
	free(raw);
	return wrong;
}

/* Without hashes, the checksums of the raw image find it. */
static void every_flipped_byte_is_found_without_hashes(void **state)
{
	for (size_t m = PLAIN; m <= ENCRYPTED; m++) {
		struct victim v;

		victim_init(&v, *state, m);
		assert_int_equal(restore_of_victim(&v, *state), 0);
		for (size_t i = v.size - v.head.data_size; i < v.size; i += methods[m].step) {
			v.bytes[i] ^= (unsigned char)(1u << (i % 8));
			if (restore_of_victim(&v, *state))
				fail_msg("method %zu, byte %zu of %zu", m, i, v.size);
			v.bytes[i] = v.good[i];
		}
		victim_deinit(&v);
	}
}

static void every_truncation_is_damage(void **state)
{
	for (size_t m = ZSTD; m <= ENCRYPTED; m++) {
		struct victim v;

		victim_init(&v, *state, m);
		for (size_t size = 0; size < v.size; size += methods[m].step)
			if (code_of_victim(&v, size) != THUMP_DAMAGED)
				fail_msg("method %zu, cut to %zu of %zu bytes", m, size, v.size);
		victim_deinit(&v);
	}
}

static void trailing_bytes_are_damage(void **state)
{
	struct victim v;

	victim_init(&v, *state, LZ4);
	v.bytes = realloc(v.bytes, v.size + 1);
	v.bytes[v.size] = 0;
	assert_int_equal(code_of_victim(&v, v.size + 1), THUMP_DAMAGED);
	victim_deinit(&v);
}

/* Two chunks of one stored size: their entries, and the data with them, are exchanged. */
static void swapped_chunks_are_damage(void **state)
{
	unsigned char other[PACK_ENTRY_SIZE];
	uint32_t a = 0, b = 0;
	struct victim v;

	victim_init(&v, *state, PLAIN);
	for (uint32_t i = 1; i < v.head.nr_chunks && !b; i++)
		for (uint32_t k = 0; k < i && !b; k++)
			if (field(entry(&v, i) + 4) && field(entry(&v, i)) == field(entry(&v, k)) &&
			    field(entry(&v, k) + 4)) {
				a = k;
				b = i;
			}
	assert_true(b > a);
	memcpy(other, entry(&v, a), sizeof(other));
	memcpy(entry(&v, a), entry(&v, b), sizeof(other));
	memcpy(entry(&v, b), other, sizeof(other));
	/* The hashes are where the data is not. */
	forgery_is_damage(&v);
	victim_deinit(&v);
}

/* The data of a chunk, hash included, that another image of the same program has there. */
static void replayed_chunk_is_damage(void **state)
{
	struct victim v;
	unsigned char *data;
	uint32_t index = 1;

	victim_init(&v, *state, PLAIN);
	data = v.bytes + v.size - v.head.data_size;
	while (!field(entry(&v, index) + 4))
		index++;
	for (uint32_t i = 0; i < index; i++)
		data += field(entry(&v, i) + 4);
	data[7] ^= 1;
	(void)crypto_generichash(entry(&v, index) + 16, PACK_HASH_SIZE, data,
				 field(entry(&v, index) + 4), NULL, 0);
	/* Found by the checksums of the raw image. */
	forgery_is_damage(&v);
	victim_deinit(&v);
}

static void lying_heads_are_damage(void **state)
{
	/* Every u32 of HEAD between the version and what is zero, and that. */
	static const uint32_t lies[] = { 0, 1, 0x7fffffff, 0xffffffff };
	struct victim v;

	victim_init(&v, *state, ZSTD);
	for (size_t at = 16; at < PACK_HEAD_SIZE; at += 4) {
		for (size_t i = 0; i < THUMP_ARRAY_SIZE(lies); i++) {
			if (field(v.good + at) == lies[i])
				continue;
			set_field(v.bytes + at, lies[i]);
			forgery_is_damage(&v);
		}
	}
	victim_deinit(&v);
}

static void lying_tables_are_damage(void **state)
{
	static const uint32_t lies[] = { 0,	   1,	       2,	  3,	      4,
					 5,	   0x100,      0x1000000, 0xfffff,    0x100000,
					 0x100001, 0x7fffffff, 4096,	  0xffffffffu };
	struct victim v;

	for (size_t m = 0; m < THUMP_ARRAY_SIZE(methods); m++) {
		victim_init(&v, *state, m);
		for (uint32_t i = 0; i < v.head.nr_chunks; i++) {
			for (size_t at = 0; at < 16; at += 4) {
				for (size_t k = 0; k < THUMP_ARRAY_SIZE(lies); k++) {
					if (field(entry(&v, i) + at) == lies[k])
						continue;
					set_field(entry(&v, i) + at, lies[k]);
					forgery_is_damage(&v);
				}
			}
		}
		victim_deinit(&v);
	}
}

/* Another version is no damage, and is named; unless the digest says that it is an accident. */
static void another_version_is_refused(void **state)
{
	const struct thump_open_options options = { .extent = THUMP_OPEN_META };
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image;
	struct victim v;

	victim_init(&v, *state, PLAIN);
	set_field(v.bytes + 8, 2);
	set_digest(&v);
	write_victim(&v, v.size);
	assert_int_equal(thump_open(v.path, &options, &image, NULL, &err), -1);
	assert_int_equal(err.code, THUMP_REFUSED);
	assert_non_null(strstr(err.text, "version 2"));
	memcpy(v.bytes, v.good, v.size);
	set_field(v.bytes + 12, 0x80);
	set_digest(&v);
	assert_int_equal(code_of_victim(&v, v.size), THUMP_REFUSED);
	victim_deinit(&v);
}

/* All of memory is not had on the word of a head that nothing follows. */
static void announced_chunks_cost_no_memory(void **state)
{
	struct pack_fixture *f = *state;
	const struct pack_head lie = {
		.version = 1,
		.raw_size = PACK_MAX_RAW,
		.raw_meta_offset = PACK_MAX_RAW,
		.nr_chunks = PACK_MAX_CHUNKS,
	};
	const struct thump_open_options options = { .extent = THUMP_OPEN_ALL };
	auto_buf struct thump_buf buf = THUMP_BUF_INIT;
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image;

	pack_head_encode(&buf, &lie);
	assert_int_equal(buf.size_bytes, PACK_HEAD_SIZE);
	pack_fixture_write(f->unpacked, buf.bytes, buf.size_bytes);
	assert_int_equal(thump_open(f->unpacked, &options, &image, NULL, &err), -1);
	assert_int_equal(err.code, THUMP_DAMAGED);
	assert_non_null(strstr(err.text, "ends early"));
}

/* Writes `head` and `chunks` with a digest, and room for the data: opening it must fail with a text
 * that says `why`. */
static void expect_bomb(const struct pack_fixture *f, const struct pack_head *head,
			const struct pack_chunk *chunks, enum thump_open_extent extent,
			const char *why)
{
	const struct thump_open_options options = { .extent = extent };
	auto_buf struct thump_buf buf = THUMP_BUF_INIT;
	unsigned char digest[PACK_HASH_SIZE];
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image;

	pack_head_encode(&buf, head);
	pack_table_encode(&buf, chunks, head->nr_chunks);
	(void)crypto_generichash(digest, sizeof(digest), buf.bytes, buf.size_bytes, NULL, 0);
	thump_buf_put(&buf, digest, sizeof(digest));
	thump_buf_put_u32(&buf, 0);
	pack_fixture_write(f->unpacked, buf.bytes, buf.size_bytes);
	assert_int_equal(truncate(f->unpacked, (off_t)(buf.size_bytes + head->data_size)), 0);
	assert_int_equal(thump_open(f->unpacked, &options, &image, NULL, &err), -1);
	if (!strstr(err.text, why))
		fail_msg("%s", err.text);
}

static struct pack_chunk *chunks_alloc(uint32_t nr_chunks)
{
	struct pack_chunk *chunks = calloc(nr_chunks, sizeof(*chunks));

	assert_non_null(chunks);
	return chunks;
}

/* Nor does a small file that tells of more than there is. */
static void bombs_are_not_unpacked_into_memory(void **state)
{
	const uint32_t nr_chunks = 1u << 20;
	const uint64_t raw_size = (uint64_t)nr_chunks * PACK_CHUNK_BYTES;
	struct pack_chunk *chunks = chunks_alloc(nr_chunks);
	const struct pack_head head = { .version = PACK_VERSION,
					.raw_size = raw_size,
					.raw_meta_offset = raw_size - PACK_CHUNK_BYTES,
					.data_size = PACK_CHUNK_BYTES,
					.nr_chunks = nr_chunks };

	for (uint32_t i = 0; i < nr_chunks; i++)
		chunks[i] = (struct pack_chunk){ .raw_size = PACK_CHUNK_BYTES,
						 .form = i ? PACK_SAME : PACK_PLAIN,
						 .stored_size = i ? 0 : PACK_CHUNK_BYTES };
	expect_bomb(*state, &head, chunks, THUMP_OPEN_ALL, "MB are available");
	free(chunks);
}

/* What an image says is a small part of it: inspecting it takes no more, whatever HEAD says. */
static void bombs_are_not_inspected(void **state)
{
	const uint32_t nr_chunks = 65536;
	struct pack_chunk *chunks = chunks_alloc(nr_chunks);
	struct pack_head head = { .version = PACK_VERSION,
				  .raw_size = (uint64_t)nr_chunks * PACK_CHUNK_BYTES,
				  .data_size = PACK_CHUNK_BYTES,
				  .nr_chunks = nr_chunks };

	for (uint32_t i = 0; i < nr_chunks; i++)
		chunks[i] = (struct pack_chunk){ .raw_size = PACK_CHUNK_BYTES,
						 .form = i ? PACK_SAME : PACK_PLAIN,
						 .stored_size = i ? 0 : PACK_CHUNK_BYTES };
	expect_bomb(*state, &head, chunks, THUMP_OPEN_META, "bytes of notes in the head");
	free(chunks);
}

/* A byte takes a page: tables with a little in every page take all of them. */
static void bombs_of_single_bytes_are_not_unpacked(void **state)
{
	const uint32_t nr_chunks = 1u << 21;
	const uint64_t nr_pages = nr_chunks / 2;
	struct pack_chunk *chunks = chunks_alloc(nr_chunks);
	struct pack_front front = { .head = { .nr_chunks = nr_chunks }, .chunks = chunks };

	(void)state;
	for (uint32_t i = 0; i < nr_chunks; i++)
		chunks[i] = (struct pack_chunk){
			.raw_offset = i / 2 * (uint64_t)THUMP_PAGE_SIZE + i % 2,
			.raw_size = i % 2 ? THUMP_PAGE_SIZE - 1 : 1,
			.form = i % 2 ? PACK_ZEROS : PACK_PLAIN,
		};
	assert_int_equal(pack_memory_needed(&front, THUMP_OPEN_ALL), nr_pages * THUMP_PAGE_SIZE);
	/* Two that share a page take it once. */
	chunks[1].form = PACK_PLAIN;
	assert_int_equal(pack_memory_needed(&front, THUMP_OPEN_ALL), nr_pages * THUMP_PAGE_SIZE);
	free(chunks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_flipped_byte_is_damage),
		cmocka_unit_test(every_flipped_byte_is_found_without_hashes),
		cmocka_unit_test(every_truncation_is_damage),
		cmocka_unit_test(trailing_bytes_are_damage),
		cmocka_unit_test(swapped_chunks_are_damage),
		cmocka_unit_test(replayed_chunk_is_damage),
		cmocka_unit_test(lying_heads_are_damage),
		cmocka_unit_test(lying_tables_are_damage),
		cmocka_unit_test(another_version_is_refused),
		cmocka_unit_test(announced_chunks_cost_no_memory),
		cmocka_unit_test(bombs_are_not_unpacked_into_memory),
		cmocka_unit_test(bombs_are_not_inspected),
		cmocka_unit_test(bombs_of_single_bytes_are_not_unpacked),
	};

	return cmocka_run_group_tests(tests, pack_fixture_small, pack_fixture_tear_down);
}
