/* SPDX-License-Identifier: Apache-2.0 */
/* What is packed comes out again, byte for byte; where images are cut; what the table costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "pack_fixture.h"
#include "pack/cut.h"

static const struct thump_compression methods[] = {
	{ THUMP_COMPRESS_NONE, 0 },
	{ THUMP_COMPRESS_LZ4, 0 },
	{ THUMP_COMPRESS_ZSTD, 1 },
	{ THUMP_COMPRESS_ZSTD, 9 },
};

static void the_same_bytes_come_out(void **state)
{
	struct pack_fixture *f = *state;

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(methods); i++) {
		const struct thump_unpack_options options = { .path = f->unpacked };
		struct thump_packed_info info;
		struct thump_err err = THUMP_ERR_INIT;
		struct stat st;
		unsigned char *bytes;
		size_t size;

		pack_fixture_pack(f, &methods[i]);
		assert_int_equal(thump_unpack(f->packed, &options, &info, &err), 0);
		bytes = pack_fixture_read(f->unpacked, &size);
		assert_int_equal(size, f->raw_size);
		assert_memory_equal(bytes, f->raw, size);
		free(bytes);
		assert_int_equal(stat(f->unpacked, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0400);
		assert_int_equal(stat(f->packed, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0400);
		assert_int_equal(info.file_bytes, st.st_size);
		assert_int_equal(info.raw_bytes, f->raw_size);
	}
}

static void packing_is_deterministic(void **state)
{
	struct pack_fixture *f = *state;
	unsigned char *first, *second;
	size_t first_size, second_size;

	pack_fixture_pack(f, &methods[2]);
	first = pack_fixture_read(f->packed, &first_size);
	pack_fixture_pack(f, &methods[2]);
	second = pack_fixture_read(f->packed, &second_size);
	assert_int_equal(first_size, second_size);
	assert_memory_equal(first, second, first_size);
	free(first);
	free(second);
}

static void compressing_makes_it_smaller(void **state)
{
	struct pack_fixture *f = *state;
	uint64_t sizes[THUMP_ARRAY_SIZE(methods)];

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(methods); i++)
		sizes[i] = pack_fixture_pack(f, &methods[i]).file_bytes;
	assert_true(sizes[1] < sizes[0]);
	assert_true(sizes[3] <= sizes[2]);
	assert_true(sizes[2] < sizes[0]);
}

/* Each chunk of content lies inside one mapping and one MiB of it. */
static void chunks_keep_to_one_mapping(void **state)
{
	struct pack_fixture *f = *state;
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image;
	const struct thump_model *model;
	struct pack_chunk *chunks;
	uint32_t count, looked_at = 0;

	assert_int_equal(thump_image_open(f->path, &image, &err), 0);
	model = thump_image_model(image);
	assert_int_equal(pack_cut(image, &chunks, &count, &err), 0);
	for (uint32_t v = 0; v < model->nr_vmas; v++) {
		for (uint32_t e = 0; e < model->vmas[v].nr_extents; e++) {
			const struct thump_extent *extent = &model->vmas[v].extents[e];
			bool begins = false;

			for (uint32_t i = 0; i < count && e == 0; i++)
				begins |= chunks[i].raw_offset == extent->file_offset;
			assert_true(begins || e > 0);
			looked_at++;
		}
	}
	assert_true(looked_at > 1);
	assert_int_equal(chunks[0].raw_size, THUMP_PAGE_SIZE);
	assert_int_equal(chunks[count - 1].raw_offset + chunks[count - 1].raw_size, f->raw_size);
	free(chunks);
	thump_image_destroy(image);
}

/* What an image says can be read without its content. */
static void meta_alone_opens(void **state)
{
	struct pack_fixture *f = *state;
	const struct thump_open_options options = { .extent = THUMP_OPEN_META };
	struct thump_packed_info info;
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image;
	struct stat st;

	pack_fixture_pack(f, &methods[2]);
	assert_int_equal(thump_open(f->packed, &options, &image, &info, &err), 0);
	assert_int_equal(thump_image_model(image)->nr_tasks, f->nr_tasks);
	assert_int_equal(info.raw_bytes, f->raw_size);
	assert_int_equal(fstat(thump_image_fd(image), &st), 0);
	assert_true((uint64_t)st.st_blocks * 512 < f->raw_size);
	/* Nothing is given out that was not unpacked. */
	assert_int_equal(thump_image_verify(image, NULL, NULL, &err), -1);
	assert_int_equal(err.code, THUMP_DAMAGED);
	thump_image_destroy(image);
}

/* No one may write what others rely on, and its origin is the file, not the memory it is in. */
static void unpacked_memory_is_sealed(void **state)
{
	struct pack_fixture *f = *state;
	const struct thump_open_options options = { .extent = THUMP_OPEN_ALL };
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image;
	struct stat st;

	pack_fixture_pack(f, &methods[1]);
	assert_int_equal(thump_open(f->packed, &options, &image, NULL, &err), 0);
	assert_true(thump_image_is_unpacked(image));
	assert_int_equal(pwrite(thump_image_fd(image), "x", 1, 0), -1);
	assert_int_equal(stat(f->packed, &st), 0);
	assert_int_equal(thump_image_origin(image)->st_ino, st.st_ino);
	thump_image_destroy(image);
	assert_int_equal(thump_open(f->path, &options, &image, NULL, &err), 0);
	assert_false(thump_image_is_unpacked(image));
	thump_image_destroy(image);
}

static struct thump_image *open_with_supply(const struct pack_fixture *f)
{
	const struct thump_open_options options = { .extent = THUMP_OPEN_ALL,
						    .checks_content = true,
						    .takes_supply = true };
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image;

	assert_int_equal(thump_open(f->packed, &options, &image, NULL, &err), 0);
	assert_non_null(thump_image_supply(image));
	return image;
}

/* Content that is made only when it is asked for is the same. */
static void a_supply_has_all_content(void **state)
{
	struct pack_fixture *f = *state;

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(methods); i++) {
		struct thump_err err = THUMP_ERR_INIT;
		struct thump_image *image;
		struct stat st;
		unsigned char *bytes = malloc(f->raw_size);

		assert_non_null(bytes);
		pack_fixture_pack(f, &methods[i]);
		image = open_with_supply(f);
		assert_int_equal(fstat(thump_image_fd(image), &st), 0);
		assert_true((uint64_t)st.st_blocks * 512 < f->raw_size);
		assert_int_equal(thump_image_read(image, 0, bytes, f->raw_size, &err), 0);
		assert_memory_equal(bytes, f->raw, f->raw_size);
		assert_int_equal(thump_image_verify(image, NULL, NULL, &err), 0);
		thump_image_destroy(image);
		free(bytes);
	}
}

/* Gives the checker all of `bytes`, in pieces that end where no checksum does. */
static int check_pieces(struct thump_image *image, const unsigned char *bytes, size_t size,
			struct thump_err *err)
{
	const struct thump_image_parts parts = thump_image_parts(image);
	struct thump_image_checker *checker;
	int failed = 0;

	assert_int_equal(thump_image_checker_create(image, &checker, err), 0);
	thump_image_checker_want(checker, parts.memory, parts.backings - parts.memory);
	assert_true(thump_image_checker_wants(checker, parts.memory, 1));
	for (size_t at = 0, piece; at < size && !failed; at += piece) {
		piece = thump_min_u64(size - at, 3 * THUMP_PAGE_SIZE);
		failed = thump_image_checker_add(checker, at, bytes + at, piece, err);
	}
	thump_image_checker_destroy(checker);
	return failed;
}

/* What is wrong in memory that comes from a supply is found, as it is in a file. */
static void content_in_memory_is_checked(void **state)
{
	struct pack_fixture *f = *state;
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image;
	uint64_t last;

	pack_fixture_pack(f, &methods[1]);
	image = open_with_supply(f);
	last = thump_image_parts(image).backings - 1;
	assert_int_equal(check_pieces(image, f->raw, f->raw_size, &err), 0);
	f->raw[THUMP_PAGE_SIZE] ^= 1;
	assert_int_equal(check_pieces(image, f->raw, f->raw_size, &err), -1);
	assert_int_equal(err.code, THUMP_DAMAGED);
	f->raw[THUMP_PAGE_SIZE] ^= 1;
	f->raw[last] ^= 1;
	assert_int_equal(check_pieces(image, f->raw, f->raw_size, &err), -1);
	f->raw[last] ^= 1;
	thump_image_destroy(image);
}

/* A damaged image does not become a packed one that looks whole. */
static void damage_is_not_packed(void **state)
{
	struct pack_fixture *f = *state;
	const struct thump_open_options open_options = { .extent = THUMP_OPEN_ALL };
	const struct thump_pack_options options = { .path = f->packed, .compression = methods[1] };
	struct thump_pack_stats stats;
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image;

	(void)unlink(f->packed);
	f->raw[THUMP_PAGE_SIZE + 100] ^= 1;
	pack_fixture_write(f->unpacked, f->raw, f->raw_size);
	f->raw[THUMP_PAGE_SIZE + 100] ^= 1;
	assert_int_equal(thump_open(f->unpacked, &open_options, &image, NULL, &err), 0);
	assert_int_equal(thump_pack(image, &options, &stats, &err), -1);
	assert_int_equal(err.code, THUMP_DAMAGED);
	assert_int_equal(access(f->packed, F_OK), -1);
	thump_image_destroy(image);
}

static void compression_is_parsed(void **state)
{
	static const char *const wrong[] = { "",	"zst",	   "zstd:", "zstd:0", "zstd:23",
					     "zstd:1x", "zstd:-1", "lz4:1", "gzip" };
	struct thump_compression got;

	(void)state;
	assert_int_equal(thump_compression_parse("zstd:19", &got), 0);
	assert_true(got.method == THUMP_COMPRESS_ZSTD && got.level == 19);
	assert_int_equal(thump_compression_parse("zstd", &got), 0);
	assert_true(got.method == THUMP_COMPRESS_ZSTD && got.level == 3);
	assert_int_equal(thump_compression_parse("lz4", &got), 0);
	assert_int_equal(got.method, THUMP_COMPRESS_LZ4);
	assert_int_equal(thump_compression_parse("none", &got), 0);
	assert_int_equal(got.method, THUMP_COMPRESS_NONE);
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(wrong); i++)
		assert_int_equal(thump_compression_parse(wrong[i], &got), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_bytes_come_out),
		cmocka_unit_test(packing_is_deterministic),
		cmocka_unit_test(compressing_makes_it_smaller),
		cmocka_unit_test(chunks_keep_to_one_mapping),
		cmocka_unit_test(meta_alone_opens),
		cmocka_unit_test(unpacked_memory_is_sealed),
		cmocka_unit_test(a_supply_has_all_content),
		cmocka_unit_test(content_in_memory_is_checked),
		cmocka_unit_test(damage_is_not_packed),
		cmocka_unit_test(compression_is_parsed),
	};

	return cmocka_run_group_tests(tests, pack_fixture_rich, pack_fixture_tear_down);
}
