/* SPDX-License-Identifier: Apache-2.0 */
/* Chunk stores: how images find them, and what is not taken for one. */
#include <ftw.h>
#include <glob.h>
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
#include "pack/store.h"
#include "pack/store_layout.h"

static char *in_dir(const struct pack_fixture *f, const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", f->dir, name) > 0);
	return path;
}

static void make_dir(const struct pack_fixture *f, const char *name)
{
	char *path = in_dir(f, name);

	assert_int_equal(mkdir(path, 0700), 0);
	free(path);
}

static void remove_dir(const struct pack_fixture *f, const char *name)
{
	char *path = in_dir(f, name);

	assert_int_equal(remove(path), 0);
	free(path);
}

static void remove_store(const struct pack_fixture *f, const char *name)
{
	static const char *const parts[] = { STORE_MARKER, STORE_CHUNKS, STORE_IMAGES };

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(parts); i++) {
		char *part;

		assert_true(asprintf(&part, "%s/%s", name, parts[i]) > 0);
		remove_dir(f, part);
		free(part);
	}
	remove_dir(f, name);
}

/* Where an image is that notes a store, and what it notes. */
static void an_image_finds_its_store(void **state)
{
	static const char *const notes[][3] = {
		{ "store", "image", "store" },
		{ "a/store", "image", "a/store" },
		{ "store", "a/image", "../store" },
		{ "a/store", "ab/image", "../a/store" },
		{ "a/store", "a/image", "store" },
		{ "a", "a/b/image", "../../a" },
		{ "a", "a/image", "." },
	};
	struct pack_fixture *f = *state;
	struct thump_err err = THUMP_ERR_INIT;

	make_dir(f, "a");
	make_dir(f, "ab");
	make_dir(f, "a/b");
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(notes); i++) {
		char *path = in_dir(f, notes[i][0]), *image = in_dir(f, notes[i][1]);
		struct pack_store store = { .path = path, .fd = -1 };
		struct stat one, other;
		char *note, *found;

		(void)mkdir(path, 0700);
		assert_int_equal(pack_store_note(&store, image, &note, &err), 0);
		if (strcmp(notes[i][0], "a") != 0)
			assert_string_equal(note, notes[i][2]);
		assert_int_equal(pack_store_find(note, image, &found, &err), 0);
		assert_int_equal(stat(path, &one), 0);
		assert_int_equal(stat(found, &other), 0);
		assert_true(one.st_ino == other.st_ino);
		if (strcmp(notes[i][0], "a") != 0)
			(void)rmdir(path);
		free(found);
		free(note);
		free(image);
		free(path);
	}
	remove_dir(f, "a/b");
	remove_dir(f, "a");
	remove_dir(f, "ab");
}

/* With nothing but / in common it is absolute. */
static void a_store_far_away_is_absolute(void **state)
{
	const struct pack_store store = { .path = (char *)"/proc", .fd = -1 };
	struct pack_fixture *f = *state;
	struct thump_err err = THUMP_ERR_INIT;
	char *note, *found;

	assert_int_equal(pack_store_note(&store, f->packed, &note, &err), 0);
	assert_string_equal(note, "/proc");
	assert_int_equal(pack_store_find(note, f->packed, &found, &err), 0);
	assert_string_equal(found, "/proc");
	free(found);
	free(note);
}

static void a_note_is_checked(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
	} wrong[] = {
		{ "", 0 },
		{ "\3\0\0\0", 4 },
		{ "\3\0\0\0\0\0\0\0", 8 },     /* empty */
		{ "\2\0\0\0\1\0\0\0a", 9 },    /* another type */
		{ "\3\0\0\0\2\0\0\0a", 9 },    /* too short */
		{ "\3\0\0\0\1\0\0\0ab", 10 },  /* too long */
		{ "\3\0\0\0\2\0\0\0a\0", 10 }, /* a NUL */
		{ "\3\0\0\0\377\377\377\377a", 9 },
	};
	struct thump_err err = THUMP_ERR_INIT;
	char *note;

	(void)state;
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(wrong); i++) {
		assert_int_equal(pack_store_note_decode((const unsigned char *)wrong[i].bytes,
							wrong[i].size, &note, &err),
				 -1);
		assert_int_equal(err.code, THUMP_DAMAGED);
	}
	assert_int_equal(
		pack_store_note_decode((const unsigned char *)"\3\0\0\0\1\0\0\0a", 9, &note, &err),
		0);
	assert_string_equal(note, "a");
	free(note);
}

/* A folder that holds anything else is not made a store, and none is collected in. */
static void other_folders_are_left_alone(void **state)
{
	struct pack_fixture *f = *state;
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_gc_stats stats;
	struct pack_store store;
	const struct thump_gc_options options = { 0 };

	assert_int_equal(pack_store_open(f->dir, PACK_STORE_ADD, &store, &err), -1);
	assert_non_null(strstr(err.text, "neither empty nor a chunk store"));
	assert_int_equal(thump_gc(f->dir, &options, &stats, &err), -1);
	assert_non_null(strstr(err.text, "not a chunk store"));
	assert_int_equal(access(f->path, F_OK), 0);
}

/* Who makes the store at the same time gets the same lock. */
static void a_store_is_made_once(void **state)
{
	struct pack_fixture *f = *state;
	struct thump_err err = THUMP_ERR_INIT;
	struct pack_store first, second;
	char *path = in_dir(f, "store");

	assert_int_equal(pack_store_open(path, PACK_STORE_ADD, &first, &err), 0);
	assert_int_equal(pack_store_open(path, PACK_STORE_ADD, &second, &err), 0);
	assert_true(pack_store_is_same(&first, &second));
	pack_store_close(&first);
	pack_store_close(&second);
	remove_store(f, "store");
	free(path);
}

static void an_encrypted_image_is_not_apart(void **state)
{
	struct pack_head head = { .version = PACK_VERSION,
				  .flags = PACK_ENCRYPTED | PACK_APART,
				  .raw_size = THUMP_PAGE_SIZE,
				  .nr_chunks = 1,
				  .keys_size = 9 };
	struct thump_err err = THUMP_ERR_INIT;

	(void)state;
	assert_int_equal(pack_head_check(&head, &err), -1);
	assert_int_equal(err.code, THUMP_DAMAGED);
	head.flags = PACK_APART;
	assert_int_equal(pack_head_check(&head, &err), 0);
	head.keys_size = 0;
	assert_int_equal(pack_head_check(&head, &err), -1);
}

/* ---- damage -------------------------------------------------------------------------------- */

static int code_of(const char *path)
{
	const struct thump_open_options options = { .extent = THUMP_OPEN_ALL };
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image;

	if (thump_open(path, &options, &image, NULL, &err) == 0) {
		(void)!thump_image_verify(image, NULL, NULL, &err);
		thump_image_destroy(image);
	}
	return err.code;
}

/* `path` holds `good`; `opened` is what is opened. */
static void every_byte_counts(const char *path, const char *opened)
{
	size_t size;
	unsigned char *good = pack_fixture_read(path, &size);

	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(code_of(opened), THUMP_OK);
	for (size_t i = 0; i < size; i++) {
		good[i] ^= (unsigned char)(1u << (i % 8));
		pack_fixture_write(path, good, size);
		good[i] ^= (unsigned char)(1u << (i % 8));
		if (code_of(opened) != THUMP_DAMAGED)
			fail_msg("%s, byte %zu of %zu", path, i, size);
	}
	for (size_t cut = 0; cut < size; cut++) {
		pack_fixture_write(path, good, cut);
		if (code_of(opened) != THUMP_DAMAGED)
			fail_msg("%s, cut to %zu of %zu", path, cut, size);
	}
	pack_fixture_write(path, good, size);
	assert_int_equal(code_of(opened), THUMP_OK);
	free(good);
}

static void break_smallest(const char *image, const char *store)
{
	char *pattern;
	glob_t found;
	size_t smallest = 0;
	off_t least = -1;

	assert_true(asprintf(&pattern, "%s/" STORE_CHUNKS "/*/*", store) > 0);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct stat st;

		assert_int_equal(stat(found.gl_pathv[i], &st), 0);
		if (least >= 0 && st.st_size >= least)
			continue;
		smallest = i;
		least = st.st_size;
	}
	every_byte_counts(found.gl_pathv[smallest], image);
	globfree(&found);
	free(pattern);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void every_byte_of_image_and_chunk_counts(void **state)
{
	struct pack_fixture *f = *state;
	const struct thump_open_options open_options = { .extent = THUMP_OPEN_ALL };
	char *store = in_dir(f, "store");
	const struct thump_pack_options options = {
		.path = f->packed,
		.compression = { THUMP_COMPRESS_ZSTD, 1 },
		.store = store,
	};
	struct thump_pack_stats stats;
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image;

	assert_int_equal(thump_open(f->path, &open_options, &image, NULL, &err), 0);
	assert_int_equal(thump_pack(image, &options, &stats, &err), 0);
	thump_image_destroy(image);
	every_byte_counts(f->packed, f->packed);
	break_smallest(f->packed, store);
	assert_int_equal(nftw(store, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	free(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_finds_its_store),
		cmocka_unit_test(a_store_far_away_is_absolute),
		cmocka_unit_test(a_note_is_checked),
		cmocka_unit_test(other_folders_are_left_alone),
		cmocka_unit_test(a_store_is_made_once),
		cmocka_unit_test(an_encrypted_image_is_not_apart),
		cmocka_unit_test(every_byte_of_image_and_chunk_counts),
	};

	return cmocka_run_group_tests(tests, pack_fixture_small, pack_fixture_tear_down);
}
