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

/* Its stack has room that nobody else uses, for so much more than a chain and an area, and nothing
 * makes it special. */
bool thump_inject_has_own_room(const struct thump_target *target, size_t index, size_t more_bytes);

const struct thump_gadgets *thump_inject_gadgets(const struct thump_target *target);
/* The thread that thump_remote_syscall() uses. */
size_t thump_inject_best(const struct thump_target *target);
/* No filter could object to a call. */
bool thump_inject_is_unfiltered(const struct thump_target *target);

/* Chains and areas below these two could overlap. */
bool thump_inject_are_near(uint64_t sp, uint64_t other_sp);

/* A chain below `top`, and the thread ready to make calls. */
THUMP_MUST_CHECK int thump_slot_enter(struct thump_target *target, struct thump_slot *slot,
				      size_t index, uint64_t top, struct thump_err *err);

/* The two halves of that: builds the chain, which is not written yet; writes it, and has the thread
 * in its stop with these registers and this mask. */
THUMP_MUST_CHECK int thump_slot_build(struct thump_target *target, struct thump_slot *slot,
				      size_t index, uint64_t top, struct thump_err *err);
THUMP_MUST_CHECK int thump_slot_occupy(struct thump_target *target, struct thump_slot *slot,
				       const struct user_regs_struct *regs, uint64_t sigmask,
				       struct thump_err *err);

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

/* ---- train.c ----------------------------------------------------------------------------- */

/* Where the calls of one thread that are under way leave what they say. */
struct thump_train {
	uint64_t area;
	uint64_t results;
};

/* Whether threads of this target may make their calls like that at all. */
THUMP_MUST_CHECK int thump_trains_run(struct thump_target *target, bool *run_ret,
				      struct thump_err *err);
/* Where they do, whether this one may. */
bool thump_train_fits(const struct thump_target *target, size_t index,
		      const struct thump_remote_calls *calls);
THUMP_MUST_CHECK int thump_train_depart(struct thump_target *target, struct thump_slot *slot,
					size_t index, const struct thump_remote_calls *calls,
					struct thump_train *train_ret, struct thump_err *err);
/* Waits for it, and reads what the calls have said. */
THUMP_MUST_CHECK int thump_train_arrive(struct thump_target *target, const struct thump_slot *slot,
					const struct thump_remote_calls *calls,
					const struct thump_train *train, struct thump_err *err);

#endif
