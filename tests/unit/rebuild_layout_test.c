/* SPDX-License-Identifier: Apache-2.0 */
/* From exec's layout to an empty one, played through on a list of ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "rebuild/plan.h"

#define PAGE	  THUMP_PAGE_SIZE
#define GAP_START UINT64_C(0x100000000000)
#define MAX_LIVE  16

struct range {
	uint64_t start, end;
};

struct rig {
	struct thump_model model;
	struct thump_vma vmas[8];
	struct range old[MAX_LIVE]; /* what exec mapped */
	size_t nr_old;
	struct thump_kernel_mappings kernel; /* those of the kernel among it */
	uint64_t vdso_start;
	struct thump_region region;
	struct thump_err err;
};

static int rig_setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct thump_region_needs needs = { .nr_steps = 64, .pool_bytes = PAGE };

	assert_non_null(rig);
	rig->model.vmas = rig->vmas;
	assert_int_equal(
		thump_region_create(&rig->region, thump_place_blob(&rig->model), &needs, &rig->err),
		0);
	rig->region.blob->first_setup_step = rig->region.nr_steps;
	*state = rig;
	return 0;
}

static int rig_teardown(void **state)
{
	struct rig *rig = *state;

	thump_region_destroy(&rig->region);
	free(rig);
	return 0;
}

static void add_vma(struct rig *rig, uint32_t kind, uint64_t start, uint64_t pages)
{
	rig->vmas[rig->model.nr_vmas++] =
		(struct thump_vma){ .kind = kind, .start = start, .end = start + pages * PAGE };
}

static void add_map(struct rig *rig, uint64_t start, uint64_t pages)
{
	rig->old[rig->nr_old++] = (struct range){ start, start + pages * PAGE };
}

/* ---- a little address space ---------------------------------------------------------------- */

struct live {
	uint64_t start, end;
	size_t map; /* which of the old mappings */
};

struct space {
	struct live list[MAX_LIVE];
	size_t count;
};

static void play_munmap(struct space *space, uint64_t start, uint64_t end)
{
	size_t kept = 0;

	for (size_t i = 0; i < space->count; i++) {
		const struct live live = space->list[i];

		/* None of these lists cuts a mapping in two. */
		assert_true(live.end <= start || live.start >= end ||
			    (live.start >= start && live.end <= end));
		if (live.end <= start || live.start >= end)
			space->list[kept++] = live;
	}
	space->count = kept;
}

static void play_mremap(struct space *space, const struct thump_step *step)
{
	uint64_t from = step->args[0], size = step->args[1], to = step->args[4];
	struct live moved = { 0 };

	/* mremap(2): EINVAL when they overlap. */
	assert_true(from + size <= to || to + size <= from);
	for (size_t i = 0; i < space->count; i++) {
		if (space->list[i].start == from && space->list[i].end == from + size)
			moved = space->list[i];
	}
	assert_int_equal(moved.start, from);
	play_munmap(space, from, from + size);
	play_munmap(space, to, to + size);
	moved.start = to;
	moved.end = to + size;
	space->list[space->count++] = moved;
}

static void play(const struct rig *rig, struct space *space)
{
	const struct thump_blob_data *blob = rig->region.blob;

	for (size_t i = 0; i < rig->nr_old; i++)
		space->list[space->count++] =
			(struct live){ rig->old[i].start, rig->old[i].end, i };
	for (uint32_t i = 0; i < blob->nr_setup_steps; i++) {
		const struct thump_step *step = &rig->region.steps[blob->first_setup_step + i];

		if (step->nr == SYS_munmap)
			play_munmap(space, step->args[0], step->args[0] + step->args[1]);
		else if (step->nr == SYS_mremap)
			play_mremap(space, step);
		else
			fail_msg("system call %u", step->nr);
	}
}

static bool lives_at(const struct space *space, size_t map, uint64_t start)
{
	for (size_t i = 0; i < space->count; i++) {
		if (space->list[i].map == map)
			return space->list[i].start == start;
	}
	return false;
}

/* [vvar], [vvar_vclock], [vdso] */
static void add_kernel_maps(struct rig *rig, uint64_t start)
{
	const uint64_t pages[] = { 4, 2, 2 };

	rig->vdso_start = start + 6 * PAGE;
	for (size_t i = 0; i < 3; i++) {
		add_map(rig, start, pages[i]);
		rig->kernel.list[rig->kernel.count++] =
			(struct thump_kernel_mapping){ .from_vdso = start - rig->vdso_start,
						       .size = pages[i] * PAGE };
		start += pages[i] * PAGE;
	}
}

static void add_kernel_vmas(struct rig *rig, uint64_t start)
{
	add_vma(rig, THUMP_VMA_VVAR, start, 4);
	add_vma(rig, THUMP_VMA_VVAR, start + 4 * PAGE, 2);
	add_vma(rig, THUMP_VMA_VDSO, start + 6 * PAGE, 2);
}

static void assert_moved(struct rig *rig, size_t first_map, uint64_t start)
{
	struct space space = { 0 };

	assert_int_equal(thump_layout_steps(&rig->region, &rig->model, &rig->kernel,
					    rig->vdso_start, &rig->err),
			 0);
	play(rig, &space);
	assert_int_equal(space.count, 3);
	assert_true(lives_at(&space, first_map, start));
	assert_true(lives_at(&space, first_map + 1, start + 4 * PAGE));
	assert_true(lives_at(&space, first_map + 2, start + 6 * PAGE));
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_vdso_moves_far_away(void **state)
{
	struct rig *rig = *state;

	add_map(rig, 0x555500000000, 8);
	add_kernel_maps(rig, 0x7f0000000000);
	add_map(rig, 0x7ffff0000000, 8);
	add_kernel_vmas(rig, 0x7f1234560000);
	assert_moved(rig, 1, 0x7f1234560000);
}

static void test_vdso_moves_a_little_up(void **state)
{
	struct rig *rig = *state;

	add_kernel_maps(rig, 0x7f0000000000);
	add_kernel_vmas(rig, 0x7f0000000000 + PAGE);
	assert_moved(rig, 0, 0x7f0000000000 + PAGE);
}

static void test_vdso_moves_a_little_down(void **state)
{
	struct rig *rig = *state;

	add_kernel_maps(rig, 0x7f0000000000);
	add_kernel_vmas(rig, 0x7f0000000000 - 3 * PAGE);
	assert_moved(rig, 0, 0x7f0000000000 - 3 * PAGE);
}

static void test_vdso_stays(void **state)
{
	struct rig *rig = *state;

	add_kernel_maps(rig, 0x7f0000000000);
	add_kernel_vmas(rig, 0x7f0000000000);
	assert_moved(rig, 0, 0x7f0000000000);
}

static void test_vdso_of_the_image_lay_in_our_gap(void **state)
{
	struct rig *rig = *state;

	/* The image was taken first; the blob's place is chosen around it. */
	add_kernel_vmas(rig, GAP_START);
	rig->region.code_addr = thump_place_blob(&rig->model);
	rig->region.addr = rig->region.code_addr + rig->region.code_size;
	add_kernel_maps(rig, 0x7f0000000000);
	assert_moved(rig, 0, GAP_START);
}

static void test_everything_goes_without_a_vdso(void **state)
{
	struct rig *rig = *state;
	struct space space = { 0 };

	add_map(rig, 0x400000, 8);
	add_kernel_maps(rig, 0x7f0000000000);
	assert_int_equal(thump_layout_steps(&rig->region, &rig->model, &rig->kernel,
					    rig->vdso_start, &rig->err),
			 0);
	play(rig, &space);
	assert_int_equal(space.count, 0);
}

static void test_blob_and_data_stay(void **state)
{
	struct rig *rig = *state;
	struct space space = { 0 };

	add_map(rig, rig->region.code_addr, rig->region.code_size / PAGE);
	add_map(rig, rig->region.addr, thump_page_up(rig->region.used) / PAGE);
	add_map(rig, rig->region.addr + thump_page_up(rig->region.used), 1);
	assert_int_equal(thump_layout_steps(&rig->region, &rig->model, &rig->kernel,
					    rig->vdso_start, &rig->err),
			 0);
	play(rig, &space);
	assert_int_equal(space.count, 2);
	assert_true(lives_at(&space, 0, rig->region.code_addr));
	assert_true(lives_at(&space, 1, rig->region.addr));
}

static void test_other_shape_is_refused(void **state)
{
	struct rig *rig = *state;

	add_kernel_maps(rig, 0x7f0000000000);
	add_vma(rig, THUMP_VMA_VVAR, 0x7f1000000000, 4);
	add_vma(rig, THUMP_VMA_VDSO, 0x7f1000004000, 2);
	assert_int_equal(thump_layout_steps(&rig->region, &rig->model, &rig->kernel,
					    rig->vdso_start, &rig->err),
			 -1);
	assert_int_equal(rig->err.code, THUMP_REFUSED);
}

static void test_gap_goes_around_mappings(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(thump_find_gap(&rig->model, GAP_START, PAGE), GAP_START);
	add_vma(rig, THUMP_VMA_ANON, 0x1000, 1);
	add_vma(rig, THUMP_VMA_ANON, GAP_START - PAGE, 2);
	add_vma(rig, THUMP_VMA_ANON, GAP_START + 3 * PAGE, 1);
	assert_int_equal(thump_find_gap(&rig->model, GAP_START, 2 * PAGE), GAP_START + PAGE);
	assert_int_equal(thump_find_gap(&rig->model, GAP_START, 3 * PAGE), GAP_START + 4 * PAGE);
}

static void test_no_gap_is_said(void **state)
{
	struct rig *rig = *state;

	add_vma(rig, THUMP_VMA_ANON, 0x10000, UINT64_C(0x7ffffffe0000) / PAGE);
	assert_int_equal(thump_find_gap(&rig->model, GAP_START, PAGE), 0);
	assert_int_equal(thump_place_blob(&rig->model), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_vdso_moves_far_away),
		TEST(test_vdso_moves_a_little_up),
		TEST(test_vdso_moves_a_little_down),
		TEST(test_vdso_stays),
		TEST(test_vdso_of_the_image_lay_in_our_gap),
		TEST(test_everything_goes_without_a_vdso),
		TEST(test_blob_and_data_stay),
		TEST(test_other_shape_is_refused),
		TEST(test_gap_goes_around_mappings),
		TEST(test_no_gap_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
