/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/types.h"
#include "model/model.h"

static struct thump_range ranges[] = { { 10, 20 }, { 30, 40 } };
static const struct thump_model model = {
	.vouched = ranges,
	.nr_vouched = THUMP_ARRAY_SIZE(ranges),
};

static void expect_part(uint64_t start, uint64_t end, uint64_t part_start, uint64_t part_end)
{
	struct thump_range part;

	assert_true(thump_model_find_vouched(&model, start, end, &part));
	assert_int_equal(part.start, part_start);
	assert_int_equal(part.end, part_end);
}

static void expect_none(uint64_t start, uint64_t end)
{
	struct thump_range part;

	assert_false(thump_model_find_vouched(&model, start, end, &part));
}

static void the_first_vouched_part_is_found(void **state)
{
	(void)state;
	expect_part(0, 100, 10, 20);
	expect_part(12, 15, 12, 15);
	expect_part(15, 35, 15, 20);
	expect_part(20, 35, 30, 35);
	expect_none(0, 10);
	expect_none(20, 30);
	expect_none(40, 50);
}

/* A caller that goes on at the end of the last part must come to an end. */
static void nothing_of_an_empty_range_is_vouched(void **state)
{
	(void)state;
	expect_none(15, 15);
	expect_none(20, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_vouched_part_is_found),
		cmocka_unit_test(nothing_of_an_empty_range_is_vouched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
