/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that wait in the kernel for a moment of CLOCK_MONOTONIC or CLOCK_BOOTTIME, which without
 * a time namespace is another moment here. The time lies in the program's memory, and the system
 * call is made anew: so the time is moved there by as much as the clock differs, which is also
 * right for a caller that makes the call once more with it.
 */
#include <stdlib.h>

#include "base/fd.h"
#include "rebuild/arch/arch.h"
#include "rebuild/commit.h"

#define NS_PER_S INT64_C(1000000000)

struct kernel_timespec {
	int64_t s, ns;
};

static int compare(const void *a, const void *b)
{
	const struct thump_deadline *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* What cannot be read or is no time is the program's own mistake: the call tells it. */
static int shift(const struct thump_newborn *newborn, uint64_t addr, int64_t shift_ns,
		 struct thump_err *err)
{
	struct kernel_timespec time;
	struct thump_err ignored = THUMP_ERR_INIT;
	int64_t ns;

	if (thump_newborn_read(newborn, REMOTE(addr), &time, sizeof(time), &ignored) < 0 ||
	    time.s < 0 || time.ns < 0 || time.ns >= NS_PER_S)
		return 0;
	ns = time.ns + shift_ns % NS_PER_S;
	/* "For ever" stays that. */
	if (__builtin_add_overflow(time.s, shift_ns / NS_PER_S, &time.s))
		return 0;
	if (ns < 0 || ns >= NS_PER_S) {
		time.s += ns < 0 ? -1 : 1;
		ns += ns < 0 ? NS_PER_S : -NS_PER_S;
	}
	time.ns = ns;
	/* Before the clock began: that moment has passed, as the clock's beginning has. */
	if (time.s < 0)
		time = (struct kernel_timespec){ 0 };
	return thump_newborn_write(newborn, REMOTE(addr), &time, sizeof(time), err);
}

int thump_shift_deadlines(const struct thump_plan *plan, const struct thump_newborn *newborn,
			  struct thump_err *err)
{
	const struct thump_model *model = plan->model;
	auto_free struct thump_deadline *list = NULL;
	size_t count = 0;

	if (plan->rb.monotonic_shift_ns == 0 && plan->rb.boottime_shift_ns == 0)
		return 0;
	list = calloc(model->nr_tasks, sizeof(*list));
	if (!list)
		return thump_fail_errno(err, "memory for %u threads", model->nr_tasks);
	for (uint32_t i = 0; i < model->nr_tasks; i++)
		count += thump_deadline_of(&model->tasks[i], &list[count]);
	/* Threads may share one: it is moved once. */
	qsort(list, count, sizeof(*list), compare);
	for (size_t i = 0; i < count; i++) {
		int64_t shift_ns =
			list[i].boottime ? plan->rb.boottime_shift_ns : plan->rb.monotonic_shift_ns;

		if (i > 0 && list[i].addr == list[i - 1].addr)
			continue;
		if (shift(newborn, list[i].addr, shift_ns, err) < 0)
			return thump_add_context(err, "move a deadline");
	}
	return 0;
}
