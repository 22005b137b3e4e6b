/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that stand other pids, where they cannot have theirs. */
#include "rebuild_rig.h"

#include "rebuild/spin.h"

/* The pid is passed by between the plan and the start, as two restores at the same time do it. */
static void test_lost_spinning_goes_on_with_other_pids(void **state)
{
	const uint32_t distance = 500;
	struct rig *rig = *state;
	uint32_t last_pid, pid_max;
	pid_t child;

	rig->options.allowed_ways = 1u << THUMP_WAY_SPIN | 1u << THUMP_WAY_OTHER;
	rig->model.process.user_vouched = true;
	rig->task.clear_child_tid = TID_WORD;
	assert_int_equal(thump_pid_cursor(&last_pid, &pid_max, &rig->err), 0);
	rig->task.tid = rig->model.process.pid = (pid_t)(last_pid + distance);
	write_image(rig, 0400);
	make_plan(rig);
	for (uint32_t i = 0; i <= distance; i++)
		assert_int_equal(thump_spin_task(&child, &rig->err), 0);
	if (thump_rebuild_start(rig->plan, &rig->report, &child, &rig->err) < 0)
		fail_msg("%s", rig->err.text);
	assert_int_equal(rig->report.way, THUMP_WAY_OTHER);
	assert_int_equal(WEXITSTATUS(wait_for(child)), STATUS);
}

static void test_a_word_that_holds_no_tid_is_damage(void **state)
{
	struct rig *rig = *state;
	uint64_t word = TID_WORD + 8;

	rig->options.allowed_ways = 1u << THUMP_WAY_OTHER;
	rig->model.process.user_vouched = true;
	rig->task.clear_child_tid = TID_WORD;
	rig->model.tid_words = &word;
	rig->model.nr_tid_words = 1;
	assert_fails(rig, "is not the tid of a thread");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lost_spinning_goes_on_with_other_pids),
		TEST(test_a_word_that_holds_no_tid_is_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
