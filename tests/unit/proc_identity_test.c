/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "proc/identity.h"

static struct thump_err err;

/* A file of size_bytes whose bytes are all `fill`. */
static int file_of(size_t size_bytes, int fill)
{
	int fd = memfd_create("identity", MFD_CLOEXEC);
	auto_free char *bytes = malloc(size_bytes + 1);

	assert_true(fd >= 0);
	assert_non_null(bytes);
	memset(bytes, fill, size_bytes);
	assert_int_equal(thump_write_full(fd, bytes, size_bytes), 0);
	return fd;
}

static struct thump_file_identity identity_of(int fd)
{
	struct thump_file_identity identity;

	assert_int_equal(thump_identity_read(fd, &identity, &err), 0);
	return identity;
}

static void edges_and_size_tell_files_apart(void **state)
{
	auto_close int a = file_of(300000, 'a'), b = file_of(300000, 'a'), c = file_of(300001, 'a');
	struct thump_file_identity id_a = identity_of(a), id_b = identity_of(b);
	struct thump_file_identity id_c = identity_of(c);

	(void)state;
	assert_true(thump_identity_same(&id_a, &id_b));
	assert_false(thump_identity_same(&id_a, &id_c));
	assert_int_equal(pwrite(b, "b", 1, 299999), 1);
	id_b = identity_of(b);
	assert_false(thump_identity_same(&id_a, &id_b));
}

static void short_files_are_hashed_whole(void **state)
{
	auto_close int a = file_of(100000, 'a'), b = file_of(100000, 'a'), empty = file_of(0, 0);
	struct thump_file_identity id_a = identity_of(a), id_b, id_empty = identity_of(empty);

	(void)state;
	assert_int_equal(pwrite(b, "b", 1, 50000), 1);
	id_b = identity_of(b);
	assert_false(thump_identity_same(&id_a, &id_b));
	assert_true(thump_identity_same(&id_empty, &id_empty));
}

static void an_elf_file_is_known_by_its_build_id(void **state)
{
	auto_close int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct thump_file_identity identity = identity_of(self), other;

	(void)state;
	if (identity.build_id_len == 0)
		fail_msg("the test program has no build-id");
	other = identity;
	other.mtime_ns++;
	other.ino++;
	assert_true(thump_identity_same(&identity, &other));
	other.build_id[0] ^= 1;
	assert_false(thump_identity_same(&identity, &other));
}

static void a_grown_log_is_still_the_file(void **state)
{
	auto_close int log = file_of(200000, 'l');
	struct thump_file_identity recorded = identity_of(log);
	bool grown = false;

	(void)state;
	assert_int_equal(pwrite(log, "more", 4, 200000), 4);
	assert_int_equal(thump_identity_grown(log, &recorded, &grown, &err), 0);
	assert_true(grown);
	assert_int_equal(pwrite(log, "x", 1, 0), 1);
	assert_int_equal(thump_identity_grown(log, &recorded, &grown, &err), 0);
	assert_false(grown);
	assert_int_equal(ftruncate(log, 100), 0);
	assert_int_equal(thump_identity_grown(log, &recorded, &grown, &err), 0);
	assert_false(grown);
}

static void malformed_notes_have_no_build_id(void **state)
{
	static const unsigned char good[] = { 4, 0, 0,	 0,   2,   0, 0,   0,	3, 0,
					      0, 0, 'G', 'N', 'U', 0, 0xa, 0xb, 0, 0 };
	unsigned char notes[sizeof(good)], id[64];

	(void)state;
	assert_int_equal(thump_build_id_of_notes(good, sizeof(good), id), 2);
	assert_int_equal(id[1], 0xb);
	assert_int_equal(thump_build_id_of_notes(good, 17, id), 0);
	for (size_t i = 0; i < 4; i++) {
		memcpy(notes, good, sizeof(good));
		notes[i] = 0xff; /* n_namesz */
		assert_int_equal(thump_build_id_of_notes(notes, sizeof(notes), id), 0);
		memcpy(notes, good, sizeof(good));
		notes[4 + i] = 0xff; /* n_descsz */
		assert_int_equal(thump_build_id_of_notes(notes, sizeof(notes), id), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edges_and_size_tell_files_apart),
		cmocka_unit_test(short_files_are_hashed_whole),
		cmocka_unit_test(an_elf_file_is_known_by_its_build_id),
		cmocka_unit_test(a_grown_log_is_still_the_file),
		cmocka_unit_test(malformed_notes_have_no_build_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
