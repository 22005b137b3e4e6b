/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several system calls of one thread without a stop in between: a stop costs more than most calls.
 * They follow each other through code of the target, by words that lie below the chain of inject.c
 * (arch.h: a train), and so lead to where every chain leads, whatever becomes of us.
 *
 * What must be sure is that the thread comes to a stop before it is back in its program. A trap
 * would be the end of it if we were killed (target.h, rule 3). So the last call sends the thread a
 * signal that means nothing to the program: one that nobody handles or waits for, and that is
 * ignored by default. As long as the thread is traced it stops when that is delivered, and when it
 * is not, nothing happens. It is the only signal that is not blocked; should somebody else send it,
 * it is dropped, as it would be without us.
 *
 * Calls must neither wait nor be restarted: nobody would notice.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "trace/inject.h"

/* As in inject.c: none of the calls waits for anything. */
#define TRAIN_PATIENCE_NS (10 * THUMP_NS_PER_S)

static uint64_t mask_without(int signo)
{
	return ~(UINT64_C(1) << (signo - 1));
}

static size_t nr_stations(const struct thump_remote_calls *calls)
{
	return calls->count + 1; /* the signal */
}

/* ---- may they? ----------------------------------------------------------------------------- */

/*
 * A filter, or a security module, might not let a thread signal itself; then it would not stop. The
 * first has been asked for, of the second one thread finds out, whose calls stop. It has the signal
 * delivered to it before its next call.
 */
int thump_trains_run(struct thump_target *target, bool *run_ret, struct thump_err *err)
{
	const uint64_t no_args[6] = { 0 };
	uint64_t args[6] = { 0 };
	const struct thump_target_thread *best;
	long sent, ignored;

	*run_ret = false;
	if (thump_inject_need(target, err) != 0)
		return -1;
	best = &target->threads[thump_inject_best(target)];
	if (target->nr_threads < 2 || best->quiet_signal == 0 ||
	    !thump_inject_is_unfiltered(target) ||
	    !thump_arch_gadgets_run_trains(thump_inject_gadgets(target)))
		return 0;
	args[0] = (uint64_t)best->tid_inside;
	args[1] = (uint64_t)best->quiet_signal;
	if (thump_remote_syscall(target, SYS_tkill, args, &sent, err) != 0)
		return -1;
	if (thump_ptrace_set_sigmask(best->tid, mask_without(best->quiet_signal)) != 0 ||
	    thump_remote_syscall(target, SYS_gettid, no_args, &ignored, err) != 0 ||
	    thump_ptrace_set_sigmask(best->tid, UINT64_MAX) != 0)
		return thump_fail(err, "thread %d of process %d cannot signal itself", best->tid,
				  target->pid);
	*run_ret = sent == 0;
	return 0;
}

static bool has_two_arguments(const struct thump_remote_call *call)
{
	for (size_t i = THUMP_ARRAY_SIZE(((struct thump_arch_call *)0)->args);
	     i < THUMP_ARRAY_SIZE(call->args); i++)
		if (call->args[i] != 0)
			return false;
	return true;
}

bool thump_train_fits(const struct thump_target *target, size_t index,
		      const struct thump_remote_calls *calls)
{
	for (size_t i = 0; i < calls->count; i++)
		if (!has_two_arguments(&calls->list[i]))
			return false;
	return target->threads[index].quiet_signal != 0 && calls->count > 0 &&
	       thump_inject_has_own_room(
		       target, index,
		       thump_arch_train_size(thump_inject_gadgets(target), nr_stations(calls)));
}

/* ---- on their way -------------------------------------------------------------------------- */

/* Calls with their arguments in place, and the signal. */
static void list_stations(const struct thump_target_thread *thread,
			  const struct thump_remote_calls *calls, uint64_t area,
			  struct thump_arch_call *list)
{
	for (size_t i = 0; i < calls->count; i++) {
		list[i].nr = calls->list[i].nr;
		for (size_t k = 0; k < THUMP_ARRAY_SIZE(list[i].args); k++)
			list[i].args[k] = thump_remote_arg(calls->list[i].args[k], area);
	}
	list[calls->count] = (struct thump_arch_call){
		.nr = SYS_tkill,
		.args = { (uint64_t)thread->tid_inside, (uint64_t)thread->quiet_signal },
	};
}

/* The chain with the train and the area below it, all of which is written, and put back, as one. */
static int extend(struct thump_target *target, struct thump_slot *slot,
		  const struct thump_remote_calls *calls, struct thump_train *train,
		  struct user_regs_struct *regs, struct thump_err *err)
{
	const struct thump_gadgets *gadgets = thump_inject_gadgets(target);
	const struct thump_target_thread *thread = &target->threads[slot->index];
	struct thump_chain *chain = &slot->chain;
	const size_t count = nr_stations(calls), train_size = thump_arch_train_size(gadgets, count);
	const uint64_t results = chain->start - train_size;
	const uint64_t area = (results - calls->answer_bytes) & ~(uint64_t)15;
	const size_t front = results - area, added = front + train_size;
	auto_free struct thump_arch_call *list = calloc(count, sizeof(*list));
	auto_free uint64_t *words = malloc(train_size);
	unsigned char *bytes = realloc(chain->bytes, added + chain->size_bytes);

	if (bytes)
		chain->bytes = bytes;
	if (!list || !words || !bytes)
		return thump_fail_errno(err, "build a train of system calls");
	list_stations(thread, calls, area, list);
	thump_arch_fill_train(gadgets, list, count, chain, words, regs);
	memmove(bytes + added, bytes, chain->size_bytes);
	memset(bytes, 0, front);
	memcpy(bytes + front, words, train_size);
	chain->start = area;
	chain->size_bytes += added;
	*train = (struct thump_train){ .area = area, .results = results };
	return 0;
}

int thump_train_depart(struct thump_target *target, struct thump_slot *slot, size_t index,
		       const struct thump_remote_calls *calls, struct thump_train *train_ret,
		       struct thump_err *err)
{
	struct thump_target_thread *thread = &target->threads[index];
	struct user_regs_struct regs = thread->regs;

	if (thump_slot_build(target, slot, index, thump_arch_sp(&thread->regs) - THUMP_RED_ZONE,
			     err) != 0 ||
	    extend(target, slot, calls, train_ret, &regs, err) != 0 ||
	    thump_slot_occupy(target, slot, &regs, mask_without(thread->quiet_signal), err) != 0)
		return -1;
	if (thump_ptrace(PTRACE_CONT, thread->tid, 0, 0) == 0)
		return 0;
	thread->gone = true;
	return thump_fail_errno(err, "let thread %d of process %d go on", thread->tid, target->pid);
}

/* All calls were made, but for the signal at the most. */
static bool is_at_the_end(pid_t tid, const struct thump_slot *slot)
{
	struct user_regs_struct regs;

	return thump_ptrace_get_regs(tid, &regs) == 0 &&
	       thump_arch_sp(&regs) == slot->chain.call_sp;
}

/* One that does not come is left to its chain: nobody knows where it is by now. */
static int await_arrival(struct thump_target *target, const struct thump_slot *slot,
			 struct thump_err *err)
{
	struct thump_target_thread *thread = &target->threads[slot->index];
	const uint64_t deadline_ns = thump_now_ns() + TRAIN_PATIENCE_NS;

	for (;;) {
		int status, got, signo;

		got = thump_wait_tid(target->waiter, thread->tid, deadline_ns, &status);
		if (got <= 0 || !WIFSTOPPED(status) ||
		    thump_stop_event(status) == PTRACE_EVENT_EXEC)
			break;
		signo = thump_stop_event(status) == 0 ? WSTOPSIG(status) : 0;
		if (signo == thread->quiet_signal) {
			if (is_at_the_end(thread->tid, slot))
				return 0;
			signo = 0;
		}
		/* SIGSTOP gets through, and makes a group-stop, as in inject.c. */
		if (thump_ptrace(PTRACE_CONT, thread->tid, 0, (uintptr_t)signo) != 0)
			break;
	}
	thread->gone = true;
	return thump_fail(err, "thread %d of process %d ended, or hangs, in a system call",
			  thread->tid, target->pid);
}

int thump_train_arrive(struct thump_target *target, const struct thump_slot *slot,
		       const struct thump_remote_calls *calls, const struct thump_train *train,
		       struct thump_err *err)
{
	const size_t front = train->results - train->area;
	const size_t results_size = calls->count * sizeof(calls->results[0]);
	auto_free unsigned char *bytes = malloc(front + results_size);

	if (!bytes)
		return thump_fail_errno(err, "read what system calls said");
	if (await_arrival(target, slot, err) != 0 ||
	    thump_target_read(target, REMOTE(train->area), bytes, front + results_size, err) != 0)
		return -1;
	memcpy(thump_remote_answers_of(calls, slot->index), bytes, calls->answer_bytes);
	memcpy(&calls->results[slot->index * calls->count], bytes + front, results_size);
	return 0;
}
