/* SPDX-License-Identifier: Apache-2.0 */
/* Which blocked calls wait for an absolute time of a clock that may be another one after a restore.
 */
#include <linux/futex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

#include <cmocka.h>

#include "rebuild/arch/arch.h"

#define TIME UINT64_C(0x7000)

static struct thump_task task_in(uint64_t nr)
{
	return (struct thump_task){ .blocked_syscall = (uint32_t)nr, .regs = { .rax = nr } };
}

static struct thump_task futex(uint64_t op)
{
	struct thump_task task = task_in(SYS_futex);

	task.regs.rsi = op;
	task.regs.r10 = TIME;
	return task;
}

static struct thump_task nap(uint64_t clock_id, uint64_t flags)
{
	struct thump_task task = task_in(SYS_clock_nanosleep);

	task.regs.rdi = clock_id;
	task.regs.rsi = flags;
	task.regs.rdx = TIME;
	return task;
}

static bool found(struct thump_task task, bool boottime)
{
	struct thump_deadline deadline = { 0 };

	return thump_deadline_of(&task, &deadline) && deadline.addr == TIME &&
	       deadline.boottime == boottime;
}

static bool none(struct thump_task task)
{
	struct thump_deadline deadline;

	return !thump_deadline_of(&task, &deadline);
}

static void absolute_waits_are_found(void **state)
{
	(void)state;
	assert_true(found(futex(FUTEX_WAIT_BITSET), false));
	assert_true(found(futex(FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG), false));
	assert_true(found(futex(FUTEX_LOCK_PI2), false));
	assert_true(found(nap(CLOCK_MONOTONIC, TIMER_ABSTIME), false));
	assert_true(found(nap(CLOCK_BOOTTIME, TIMER_ABSTIME), true));
}

static void others_are_left_alone(void **state)
{
	struct thump_task forever = futex(FUTEX_WAIT_BITSET);
	struct thump_task elsewhere = futex(FUTEX_WAIT_BITSET);

	(void)state;
	forever.regs.r10 = 0;
	elsewhere.blocked_syscall = THUMP_NO_ID; /* rax is only a number */
	assert_true(none(forever));
	assert_true(none(elsewhere));
	assert_true(none(futex(FUTEX_WAIT)));
	assert_true(none(futex(FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME)));
	assert_true(none(futex(FUTEX_LOCK_PI)));
	assert_true(none(nap(CLOCK_MONOTONIC, 0)));
	assert_true(none(nap(CLOCK_REALTIME, TIMER_ABSTIME)));
	assert_true(none(task_in(SYS_read)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(absolute_waits_are_found),
		cmocka_unit_test(others_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
