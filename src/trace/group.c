/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same system calls in many threads of the target. Most of the time of a call is that of waking
 * up, the thread and its tracer; so several threads are on their way at once, and where that is
 * possible each makes all of its calls on the way (train.c). For each of them alone the rules of
 * inject.c hold: its chain lies on its own stack.
 */
#include <stdlib.h>

#include "base/fd.h"
#include "trace/inject.h"

/* So many make a call while the first of them is waited for. */
#define GROUP_MAX 16U

struct member {
	struct thump_slot slot;
	struct thump_train train; /* its calls, if they are of a group with trains */
	uint64_t area;		  /* else: of its own, below its chain; 0: not yet */
	unsigned char saved[THUMP_REMOTE_AREA_SIZE];
};

struct group {
	struct member members[GROUP_MAX];
	size_t count;
	bool with_trains;
};

uint64_t thump_remote_arg(uint64_t arg, uint64_t area)
{
	const uint64_t offset = arg - THUMP_AREA;

	return offset < THUMP_REMOTE_AREA_SIZE ? area + offset : arg;
}

static void place(const struct thump_remote_call *call, uint64_t area, uint64_t args_ret[6])
{
	for (size_t i = 0; i < 6; i++)
		args_ret[i] = thump_remote_arg(call->args[i], area);
}

static int join(struct thump_target *target, struct group *group, size_t index,
		const struct thump_remote_calls *calls, struct thump_err *err)
{
	struct member *member = &group->members[group->count];
	uint64_t area;

	*member = (struct member){ 0 };
	group->count++;
	if (group->with_trains)
		return thump_train_depart(target, &member->slot, index, calls, &member->train, err);
	if (thump_slot_enter(target, &member->slot, index,
			     thump_arch_sp(&target->threads[index].regs) - THUMP_RED_ZONE,
			     err) != 0)
		return -1;
	area = (member->slot.chain.start - THUMP_REMOTE_AREA_SIZE) & ~(uint64_t)15;
	if (thump_target_read(target, REMOTE(area), member->saved, calls->answer_bytes, err) != 0)
		return -1;
	member->area = area;
	return 0;
}

/* Threads may share one mapping as their stacks, where what lies below one is another's. */
static bool is_apart(const struct thump_target *target, const struct group *group, size_t index)
{
	const uint64_t sp = thump_arch_sp(&target->threads[index].regs);

	for (size_t i = 0; i < group->count; i++) {
		const size_t other = group->members[i].slot.index;

		if (thump_inject_are_near(sp, thump_arch_sp(&target->threads[other].regs)))
			return false;
	}
	return true;
}

static int call_in_group(struct thump_target *target, const struct group *group,
			 const struct thump_remote_calls *calls, size_t which,
			 struct thump_err *err)
{
	const struct thump_remote_call *call = &calls->list[which];

	for (size_t i = 0; i < group->count; i++) {
		uint64_t args[6];

		place(call, group->members[i].area, args);
		if (thump_slot_begin_call(target, &group->members[i].slot, call->nr, args, err) !=
		    0)
			return -1;
	}
	for (size_t i = 0; i < group->count; i++) {
		if (thump_slot_pass_entry(target, &group->members[i].slot, err) != 0)
			return -1;
	}
	for (size_t i = 0; i < group->count; i++) {
		const struct thump_slot *slot = &group->members[i].slot;

		if (thump_slot_end_call(target, slot,
					&calls->results[slot->index * calls->count + which],
					err) != 0)
			return -1;
	}
	return 0;
}

static int run_trains(struct thump_target *target, const struct group *group,
		      const struct thump_remote_calls *calls, struct thump_err *err)
{
	for (size_t i = 0; i < group->count; i++) {
		const struct member *member = &group->members[i];

		if (thump_train_arrive(target, &member->slot, calls, &member->train, err) != 0)
			return -1;
	}
	return 0;
}

static int run_group(struct thump_target *target, const struct group *group,
		     const struct thump_remote_calls *calls, struct thump_err *err)
{
	if (group->with_trains)
		return run_trains(target, group, calls, err);
	for (size_t which = 0; which < calls->count; which++) {
		if (call_in_group(target, group, calls, which, err) != 0)
			return -1;
	}
	for (size_t i = 0; i < group->count; i++) {
		const struct member *member = &group->members[i];

		if (thump_target_read(target, REMOTE(member->area),
				      thump_remote_answers_of(calls, member->slot.index),
				      calls->answer_bytes, err) != 0)
			return -1;
	}
	return 0;
}

static void leave_group(struct thump_target *target, struct group *group,
			const struct thump_remote_calls *calls)
{
	struct thump_err ignored;

	for (size_t i = 0; i < group->count; i++)
		thump_slot_tell_to_leave(target, &group->members[i].slot);
	for (size_t i = 0; i < group->count; i++) {
		struct member *member = &group->members[i];

		thump_slot_leave_when_told(target, &member->slot);
		if (member->area != 0)
			(void)!thump_target_write(target, REMOTE(member->area), member->saved,
						  calls->answer_bytes, &ignored);
	}
	group->count = 0;
}

/* Those from *next on that may be in one group. */
static int call_in_next_group(struct thump_target *target, struct group *group, size_t *next,
			      bool trains_run, const struct thump_remote_calls *calls,
			      struct thump_err *err)
{
	int result = 0;

	for (; result == 0 && *next < target->nr_threads && group->count < GROUP_MAX; (*next)++) {
		const bool by_train = trains_run && thump_train_fits(target, *next, calls);

		if (!thump_inject_has_own_room(target, *next, 0))
			continue;
		if (group->count == 0)
			group->with_trains = by_train;
		if (group->with_trains != by_train || !is_apart(target, group, *next))
			break;
		result = join(target, group, *next, calls, err);
	}
	if (result == 0)
		result = run_group(target, group, calls, err);
	leave_group(target, group, calls);
	return result;
}

/* One after the other, in the area that all share. */
static int call_in_one(struct thump_target *target, size_t index,
		       const struct thump_remote_calls *calls, struct thump_err *err)
{
	struct remote_addr area;

	for (size_t i = 0; i < calls->count; i++) {
		uint64_t args[6];

		if (thump_remote_area(target, &area, err) != 0)
			return -1;
		place(&calls->list[i], area.addr, args);
		if (thump_remote_syscall_in(target, index, calls->list[i].nr, args,
					    &calls->results[index * calls->count + i], err) != 0)
			return -1;
	}
	return thump_target_read(target, area, thump_remote_answers_of(calls, index),
				 calls->answer_bytes, err);
}

int thump_remote_calls_in_all(struct thump_target *target, const struct thump_remote_calls *calls,
			      struct thump_err *err)
{
	auto_free struct group *group = calloc(1, sizeof(*group));
	bool trains_run;
	size_t next = 0;

	if (!group)
		return thump_fail_errno(err, "prepare system calls in process %d", target->pid);
	if (thump_trains_run(target, &trains_run, err) != 0)
		return -1;
	/* One of them at least, and so what filters say of these calls comes first. */
	for (size_t i = 0; i < target->nr_threads; i++) {
		if (!thump_inject_has_own_room(target, i, 0) &&
		    call_in_one(target, i, calls, err) != 0)
			return -1;
	}
	thump_inject_leave_others(target);
	while (next < target->nr_threads) {
		if (call_in_next_group(target, group, &next, trains_run, calls, err) != 0)
			return -1;
	}
	return 0;
}
