/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "capture/mappings.h"

static enum thump_map_class classify(struct thump_map map, const char **reason_ret)
{
	static const char *unused;

	map.start = 0x1000;
	map.end = 0x2000;
	return thump_map_classify(&map, reason_ret ? reason_ret : &unused);
}

static void names_of_the_kernel(void **state)
{
	(void)state;
	assert_int_equal(classify((struct thump_map){ .path = "" }, NULL), THUMP_MAP_ANON);
	assert_int_equal(classify((struct thump_map){ .path = "[heap]" }, NULL), THUMP_MAP_ANON);
	assert_int_equal(classify((struct thump_map){ .path = "[stack]" }, NULL), THUMP_MAP_ANON);
	assert_int_equal(classify((struct thump_map){ .path = "[anon:x]" }, NULL), THUMP_MAP_ANON);
	assert_int_equal(classify((struct thump_map){ .path = "[vsyscall]" }, NULL),
			 THUMP_MAP_VSYSCALL);
}

static void kernel_mappings_may_have_refused_flags(void **state)
{
	uint32_t traits = THUMP_VMA_IO | THUMP_VMA_SEALED;

	(void)state;
	assert_int_equal(classify((struct thump_map){ .path = "[vdso]", .traits = traits }, NULL),
			 THUMP_MAP_VDSO);
	assert_int_equal(
		classify((struct thump_map){ .path = "[vvar_vclock]", .traits = traits }, NULL),
		THUMP_MAP_VVAR);
}

static void files_that_only_look_like_kernel_names(void **state)
{
	(void)state;
	assert_int_equal(classify((struct thump_map){ .path = "/memfd:x", .ino = 7 }, NULL),
			 THUMP_MAP_FILE);
	assert_int_equal(classify((struct thump_map){ .path = "/SYSV00000000", .ino = 7 }, NULL),
			 THUMP_MAP_FILE);
	assert_int_equal(classify((struct thump_map){ .path = "/dev/zero", .ino = 7 }, NULL),
			 THUMP_MAP_FILE);
}

static void shared_memory(void **state)
{
	(void)state;
	assert_int_equal(classify((struct thump_map){ .path = "/memfd:x",
						      .ino = 7,
						      .deleted = true,
						      .shared = true },
				  NULL),
			 THUMP_MAP_MEMFD);
	assert_int_equal(classify((struct thump_map){ .path = "/dev/zero",
						      .ino = 7,
						      .deleted = true,
						      .shared = true },
				  NULL),
			 THUMP_MAP_SHMEM);
	assert_int_equal(
		classify((struct thump_map){ .path = "[anon_shmem:n]", .ino = 7, .shared = true },
			 NULL),
		THUMP_MAP_SHMEM);
}

static void what_cannot_be_saved_has_a_reason(void **state)
{
	static const struct {
		struct thump_map map;
		const char *word; /* of the reason */
	} cases[] = {
		{ { .path = "/SYSV00000001", .ino = 7, .deleted = true, .shared = true },
		  "System V" },
		{ { .path = "/[aio]", .ino = 7, .deleted = true }, "asynchronous" },
		{ { .path = "anon_inode:[io_uring]", .ino = 7, .shared = true }, "io_uring" },
		{ { .path = "anon_inode:[what]", .ino = 7, .shared = true }, "this kind" },
		{ { .path = "", .traits = THUMP_VMA_HUGETLB }, "huge" },
		{ { .path = "/dev/x", .ino = 7, .traits = THUMP_VMA_IO }, "device" },
		{ { .path = "", .traits = THUMP_VMA_UFFD }, "userfaultfd" },
		{ { .path = "", .traits = THUMP_VMA_SHADOW_STACK }, "shadow stack" },
		{ { .path = "/dev/pmem0", .ino = 7, .traits = THUMP_VMA_SYNC }, "MAP_SYNC" },
		{ { .path = "", .unknown_flag = "zz" }, "not known" },
		{ { .path = "[uprobes]" }, "uprobes" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *reason = NULL;

		assert_int_equal(classify(cases[i].map, &reason), THUMP_MAP_REFUSED);
		assert_non_null(reason);
		if (!strstr(reason, cases[i].word))
			fail_msg("%s: %s", cases[i].map.path, reason);
	}
}

static void what_hooks_may_close_has_a_descriptor(void **state)
{
	const struct thump_map closable[] = {
		{ .path = "anon_inode:[io_uring]", .ino = 4, .shared = true },
		{ .path = "/dev/hugepages/x", .ino = 4, .traits = THUMP_VMA_HUGETLB },
		{ .path = "/memfd:x", .ino = 4, .deleted = true, .traits = THUMP_VMA_HUGETLB },
	};
	const struct thump_map lasting[] = {
		{ .path = "/SYSV00000000", .ino = 4, .deleted = true, .shared = true },
		{ .path = "/anon_hugepage",
		  .ino = 4,
		  .deleted = true,
		  .traits = THUMP_VMA_HUGETLB },
		{ .path = "/[aio]", .ino = 4, .deleted = true },
		{ .path = "[uprobes]" },
	};
	const char *reason;

	(void)state;
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(closable); i++) {
		assert_int_equal(classify(closable[i], &reason), THUMP_MAP_REFUSED);
		assert_true(thump_map_has_descriptor(&closable[i]));
	}
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(lasting); i++) {
		assert_int_equal(classify(lasting[i], &reason), THUMP_MAP_REFUSED);
		assert_false(thump_map_has_descriptor(&lasting[i]));
	}
}

static void names_of_anonymous_memory(void **state)
{
	struct thump_map map = { .path = "[anon:a [b]]" };
	size_t len = 0;
	const char *name = thump_map_anon_name(&map, &len);

	(void)state;
	assert_int_equal(len, 5);
	assert_memory_equal(name, "a [b]", 5);
	map.path = "[anon_shmem:n]";
	name = thump_map_anon_name(&map, &len);
	assert_int_equal(len, 1);
	assert_memory_equal(name, "n", 1);
	map.path = "[heap]";
	assert_null(thump_map_anon_name(&map, &len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_the_kernel),
		cmocka_unit_test(kernel_mappings_may_have_refused_flags),
		cmocka_unit_test(files_that_only_look_like_kernel_names),
		cmocka_unit_test(shared_memory),
		cmocka_unit_test(what_cannot_be_saved_has_a_reason),
		cmocka_unit_test(what_hooks_may_close_has_a_descriptor),
		cmocka_unit_test(names_of_anonymous_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
