/* SPDX-License-Identifier: Apache-2.0 */
/* What group.c needs of inject.c: the steps of a call in one thread. */
#ifndef THUMP_TRACE_INJECT_H
#define THUMP_TRACE_INJECT_H

#include "trace/internal.h"

/* A thread that is in use for calls. */
struct thump_slot {
	bool active;
	size_t index;
	struct thump_chain chain; /* bytes freed once written */
	unsigned char *saved;	  /* what the chain overwrote */
	uint32_t saved_tail;
};

/* Makes the machinery on first use. */
THUMP_MUST_CHECK int thump_inject_need(struct thump_target *target, struct thump_err *err);

/* Out of the thread, other than the best one, that made the last call. */
void thump_inject_leave_others(struct thump_target *target);

/* Its stack has room that nobody else uses, and nothing makes it special. */
bool thump_inject_has_own_room(const struct thump_target *target, size_t index);

/* Chains and areas below these two could overlap. */
bool thump_inject_are_near(uint64_t sp, uint64_t other_sp);

/* A chain below `top`, and the thread ready to make calls. */
THUMP_MUST_CHECK int thump_slot_enter(struct thump_target *target, struct thump_slot *slot,
				      size_t index, uint64_t top, struct thump_err *err);

/* Back to what it was, wherever it is in a call: in two halves. */
void thump_slot_tell_to_leave(const struct thump_target *target, const struct thump_slot *slot);
void thump_slot_leave_when_told(struct thump_target *target, struct thump_slot *slot);

/* A call: sends it to the entry, waits for that and sends it on to the exit, waits for that. */
THUMP_MUST_CHECK int thump_slot_begin_call(struct thump_target *target,
					   const struct thump_slot *slot, long nr,
					   const uint64_t args[6], struct thump_err *err);
THUMP_MUST_CHECK int thump_slot_pass_entry(struct thump_target *target,
					   const struct thump_slot *slot, struct thump_err *err);
THUMP_MUST_CHECK int thump_slot_end_call(struct thump_target *target, const struct thump_slot *slot,
					 long *result_ret, struct thump_err *err);

#endif
