/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls made by a thread of the target.
 *
 * While a thread is ours, its registers at every moment are such that, let go, it returns through
 * rt_sigreturn(2) to its whole original state. The order of writes follows from that:
 *     enter: chain into dead stack; registers that return at once; only then the blocked mask
 *     call:  registers; entry stop; exit stop - from each of them the chain leads back
 *     leave: back to a PTRACE_EVENT_STOP; original mask; only then original registers, so that no
 *            moment has original registers and a blocked mask; then the stack's former bytes
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "proc/maps.h"
#include "trace/inject.h"

/* A call that does not end in this time is given up; none that thump makes waits for anything. */
#define CALL_PATIENCE_NS ((uint64_t)10 * 1000 * 1000 * 1000)

/* A main stack this large has dead pages at its low end. */
#define ROOMY_STACK_BYTES ((uint64_t)64 << 10)
#define STACK_DISTANCE	  ((uint64_t)16 << 10)

struct thump_inject {
	struct thump_arena arena;
	struct thump_maps maps;
	struct thump_gadgets gadgets;
	struct thump_rehearsal *rehearsal; /* NULL: no filter could object to a call */
	size_t room;			   /* for one chain and the area below it */
	uint64_t spare_top[2]; /* dead room at the low end of the main stack, one per slot; or 0 */
	size_t best;
	uint64_t best_top;
	struct thump_slot slots[2]; /* [0] the best thread, [1] any other */
	uint64_t area;		    /* 0 = not handed out */
	unsigned char area_saved[THUMP_REMOTE_AREA_SIZE];
	pid_t born; /* the process that a call has made, as the tracer sees it; 0: none */
};

/* ---- where a chain can lie ---------------------------------------------------------------- */

/* How safe the stack of a thread is: nothing but dead bytes below the red zone? */
enum stack_rank {
	RANK_NONE = 0,	  /* no room */
	RANK_UNKNOWN = 1, /* memory that may be alive: a stack inside a larger heap */
	RANK_GUARDED = 2, /* a mapping of its own above a guard page */
	RANK_MAIN = 3,	  /* [stack] */
};

static enum stack_rank rank_stack(const struct thump_inject *inject, uint64_t sp, size_t room)
{
	for (size_t i = 0; i < inject->maps.count; i++) {
		const struct thump_map *map = &inject->maps.list[i];

		/* sp == end is an empty stack. */
		if (sp <= map->start || sp > map->end)
			continue;
		if (!(map->prot & PROT_WRITE) || map->shared ||
		    sp - map->start < THUMP_RED_ZONE + room)
			return RANK_NONE;
		if (strcmp(map->path, "[stack]") == 0)
			return RANK_MAIN;
		if (i > 0 && map[-1].end == map->start && map[-1].prot == PROT_NONE)
			return RANK_GUARDED;
		return RANK_UNKNOWN;
	}
	return RANK_NONE;
}

/* Threads in a group-stop cost extra stops; one with a restart block would lose its deadline if
 * we died. */
static unsigned score_thread(const struct thump_inject *inject,
			     const struct thump_target_thread *thread)
{
	const unsigned rank = rank_stack(inject, thump_arch_sp(&thread->regs), inject->room);
	unsigned score = rank * 4;

	/* Nobody but the kernel can restart what it does not tell us: it would see EINTR. */
	if (rank == RANK_NONE || thread->gone ||
	    thump_arch_is_restart_syscall(thread->blocked_syscall))
		return 0;
	if (thread->group_stopped)
		score -= 1;
	if (thump_arch_interruption(&thread->regs) == THUMP_RESTART_BLOCK)
		score -= 2;
	return score;
}

/*
 * The lowest pages of [stack] for threads without room of their own: the main stack grows down to
 * them only after dozens of kilobytes.
 */
static void find_spare_room(const struct thump_target *target, struct thump_inject *inject)
{
	const struct thump_map *stack = NULL;
	uint64_t top;

	for (size_t i = 0; i < inject->maps.count && !stack; i++) {
		if (strcmp(inject->maps.list[i].path, "[stack]") == 0)
			stack = &inject->maps.list[i];
	}
	if (!stack || stack->end - stack->start < ROOMY_STACK_BYTES)
		return;
	top = stack->start + 2 * inject->room;
	for (size_t i = 0; i < target->nr_threads; i++) {
		const uint64_t sp = thump_arch_sp(&target->threads[i].regs);

		if (sp >= stack->start && sp < stack->end && sp < top + STACK_DISTANCE)
			return;
	}
	inject->spare_top[0] = top - inject->room;
	inject->spare_top[1] = top;
}

/* Below which address a chain for this thread may be built; 0 when there is nowhere. */
static uint64_t top_for(const struct thump_target *target, const struct thump_inject *inject,
			size_t index, size_t slot)
{
	const uint64_t sp = thump_arch_sp(&target->threads[index].regs);
	const enum stack_rank rank = rank_stack(inject, sp, inject->room);

	if (rank < RANK_GUARDED && inject->spare_top[slot] != 0)
		return inject->spare_top[slot];
	return rank == RANK_NONE ? 0 : sp - THUMP_RED_ZONE;
}

static void choose_best(const struct thump_target *target, struct thump_inject *inject)
{
	unsigned best_score = 0;

	for (size_t i = 0; i < target->nr_threads; i++) {
		const unsigned score = score_thread(inject, &target->threads[i]);

		if (score > best_score) {
			best_score = score;
			inject->best = i;
		}
	}
	inject->best_top = top_for(target, inject, inject->best, 0);
}

static int lost(struct thump_target *target, size_t index, struct thump_err *err)
{
	target->threads[index].gone = true;
	return thump_fail(err, "thread %d of process %d ended while it was held",
			  target->threads[index].tid, target->pid);
}

/* ---- making the machinery ------------------------------------------------------------------ */

/* All that is looked at here: code, stacks, and guard pages below them. */
static bool is_wanted(void *ctx, const struct thump_map *map)
{
	const struct thump_target *target = ctx;

	if ((map->prot & PROT_EXEC) || map->prot == PROT_NONE || strcmp(map->path, "[stack]") == 0)
		return true;
	for (size_t i = 0; i < target->nr_threads; i++) {
		const uint64_t sp = thump_arch_sp(&target->threads[i].regs);

		if (sp > map->start && sp <= map->end)
			return true;
	}
	return false;
}

static int init_inject(struct thump_target *target, struct thump_inject *inject,
		       struct thump_err *err)
{
	bool filtered;

	inject->maps.wanted = is_wanted;
	inject->maps.wanted_ctx = target;
	if (thump_check_calls_allowed(target, &filtered, err) != 0 ||
	    (filtered && thump_rehearsal_create(&inject->rehearsal, err) != 0) ||
	    thump_read_maps(target->proc_fd, &inject->maps, err) != 0 ||
	    thump_find_gadgets(target->mem_fd, &inject->maps, true, &inject->gadgets, err) != 0)
		return -1;
	inject->room =
		thump_arch_chain_room(target->threads[0].xstate_size) + THUMP_REMOTE_AREA_SIZE + 64;
	find_spare_room(target, inject);
	choose_best(target, inject);
	return 0;
}

int thump_inject_need(struct thump_target *target, struct thump_err *err)
{
	struct thump_inject *inject;

	uint64_t mask;

	if (!target->stopped)
		return thump_fail(err, "process %d is not stopped", target->pid);
	if (target->calls_refused)
		return thump_refuse(err, "process %d must not make system calls for thump",
				    target->pid);
	if (target->inject)
		return 0;
	/* Killed in its stop: then /proc gives half answers. */
	if (thump_ptrace_get_sigmask(target->pid, &mask) != 0)
		return lost(target, 0, err);
	inject = calloc(1, sizeof(*inject));
	if (!inject)
		return thump_fail_errno(err, "prepare system calls in process %d", target->pid);
	thump_arena_init(&inject->arena);
	thump_maps_init(&inject->maps, &inject->arena);
	if (init_inject(target, inject, err) != 0) {
		thump_inject_destroy(inject);
		return thump_ptrace_get_sigmask(target->pid, &mask) == 0 ? -1
									 : lost(target, 0, err);
	}
	target->inject = inject;
	return 0;
}

void thump_inject_destroy(struct thump_inject *inject)
{
	if (!inject)
		return;
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(inject->slots); i++) {
		free(inject->slots[i].chain.bytes);
		free(inject->slots[i].saved);
	}
	thump_rehearsal_destroy(inject->rehearsal);
	thump_arena_deinit(&inject->arena);
	free(inject);
}

/* ---- entering and leaving a thread ----------------------------------------------------------- */

/* Saves what is there, then writes the chain: dead bytes, so far. */
static int write_chain(struct thump_target *target, struct thump_slot *slot, struct thump_err *err)
{
	const struct thump_chain *chain = &slot->chain;
	auto_free unsigned char *saved = malloc(chain->size_bytes);

	if (!saved)
		return thump_fail_errno(err, "save dead stack of process %d", target->pid);
	if (thump_target_read(target, REMOTE(chain->start), saved, chain->size_bytes, err) != 0 ||
	    (chain->tail_addr != 0 &&
	     thump_target_read(target, REMOTE(chain->tail_addr), &slot->saved_tail,
			       sizeof(slot->saved_tail), err) != 0))
		return -1;
	slot->saved = saved; /* whole: from here on it is written back */
	saved = NULL;
	if (chain->tail_addr != 0 &&
	    thump_target_write(target, REMOTE(chain->tail_addr), &chain->tail_word,
			       sizeof(chain->tail_word), err) != 0)
		return -1;
	return thump_target_write(target, REMOTE(chain->start), chain->bytes, chain->size_bytes,
				  err);
}

static void forget_chain(struct thump_slot *slot)
{
	free(slot->saved);
	free(slot->chain.bytes);
	*slot = (struct thump_slot){ 0 };
}

static void unwrite_chain(struct thump_target *target, struct thump_slot *slot)
{
	const struct thump_chain *chain = &slot->chain;
	struct thump_err ignored; /* the process is gone, then nobody needs the bytes */

	if (slot->saved)
		(void)!thump_target_write(target, REMOTE(chain->start), slot->saved,
					  chain->size_bytes, &ignored);
	if (slot->saved && chain->tail_addr != 0)
		(void)!thump_target_write(target, REMOTE(chain->tail_addr), &slot->saved_tail,
					  sizeof(slot->saved_tail), &ignored);
	forget_chain(slot);
}

int thump_slot_build(struct thump_target *target, struct thump_slot *slot, size_t index,
		     uint64_t top, struct thump_err *err)
{
	const struct thump_target_thread *thread = &target->threads[index];

	slot->index = index;
	if (top == 0)
		return thump_refuse(err,
				    "no room for a signal frame on the stack of thread %d of "
				    "process %d",
				    thread->tid, target->pid);
	return thump_arch_build_chain(&target->inject->gadgets, top, &thread->image_regs,
				      thread->xstate, thread->xstate_size, thread->sigmask,
				      &slot->chain, err);
}

int thump_slot_occupy(struct thump_target *target, struct thump_slot *slot,
		      const struct user_regs_struct *regs, uint64_t sigmask, struct thump_err *err)
{
	const pid_t tid = target->threads[slot->index].tid;

	if (write_chain(target, slot, err) != 0) {
		unwrite_chain(target, slot);
		return -1;
	}
	slot->active = true;
	if (thump_ptrace_set_regs(tid, regs) != 0 || thump_ptrace_set_sigmask(tid, sigmask) != 0)
		return lost(target, slot->index, err);
	return 0;
}

int thump_slot_enter(struct thump_target *target, struct thump_slot *slot, size_t index,
		     uint64_t top, struct thump_err *err)
{
	const uint64_t no_args[6] = { 0 };
	struct user_regs_struct regs = target->threads[index].regs;

	if (thump_slot_build(target, slot, index, top, err) != 0)
		return -1;
	thump_arch_set_syscall(&regs, slot->chain.return_pc, slot->chain.return_sp, 0, no_args);
	return thump_slot_occupy(target, slot, &regs, UINT64_MAX, err);
}

/* The first half of leaving. The trap comes on the way out of the kernel, before any instruction.
 */
void thump_slot_tell_to_leave(const struct thump_target *target, const struct thump_slot *slot)
{
	const struct thump_target_thread *thread = &target->threads[slot->index];

	if (!slot->active || thread->gone)
		return;
	(void)thump_ptrace(PTRACE_INTERRUPT, thread->tid, 0, 0);
	(void)thump_ptrace(PTRACE_CONT, thread->tid, 0, 0);
}

void thump_slot_leave_when_told(struct thump_target *target, struct thump_slot *slot)
{
	struct thump_target_thread *thread = &target->threads[slot->index];
	int signo;

	if (!slot->active)
		return;
	if (!thread->gone &&
	    thump_run_to_event_stop(target, thread->tid, thump_now_ns() + CALL_PATIENCE_NS,
				    &signo) != 1)
		thread->gone = true;
	if (!thread->gone && (thump_ptrace_set_sigmask(thread->tid, thread->sigmask) != 0 ||
			      thump_ptrace_set_regs(thread->tid, &thread->regs) != 0))
		thread->gone = true;
	/* One that hangs in its call still needs the chain to come back. */
	if (thread->gone)
		forget_chain(slot);
	else
		unwrite_chain(target, slot);
}

static void leave(struct thump_target *target, struct thump_slot *slot)
{
	thump_slot_tell_to_leave(target, slot);
	thump_slot_leave_when_told(target, slot);
}

void thump_remote_finish(struct thump_target *target)
{
	struct thump_inject *inject = target->inject;
	struct thump_err ignored;

	if (!inject)
		return;
	leave(target, &inject->slots[1]);
	leave(target, &inject->slots[0]);
	if (inject->area != 0)
		(void)!thump_target_write(target, REMOTE(inject->area), inject->area_saved,
					  sizeof(inject->area_saved), &ignored);
	inject->area = 0;
}

void thump_inject_leave_others(struct thump_target *target)
{
	leave(target, &target->inject->slots[1]);
}

bool thump_inject_are_near(uint64_t sp, uint64_t other_sp)
{
	return (sp > other_sp ? sp - other_sp : other_sp - sp) < ROOMY_STACK_BYTES;
}

bool thump_inject_has_own_room(const struct thump_target *target, size_t index, size_t more_bytes)
{
	const struct thump_inject *inject = target->inject;
	const struct thump_target_thread *thread = &target->threads[index];
	const uint64_t sp = thump_arch_sp(&thread->regs);

	return index != inject->best && !thread->gone && !thread->group_stopped &&
	       rank_stack(inject, sp, inject->room + more_bytes) >= RANK_GUARDED &&
	       !thump_inject_are_near(sp, inject->best_top);
}

const struct thump_gadgets *thump_inject_gadgets(const struct thump_target *target)
{
	return &target->inject->gadgets;
}

size_t thump_inject_best(const struct thump_target *target)
{
	return target->inject->best;
}

bool thump_inject_is_unfiltered(const struct thump_target *target)
{
	return !target->inject->rehearsal;
}

/* The slot in which this thread is ready for calls. */
static int slot_for(struct thump_target *target, size_t index, struct thump_slot **slot_ret,
		    struct thump_err *err)
{
	struct thump_inject *inject = target->inject;
	const size_t which = index == inject->best ? 0 : 1;
	struct thump_slot *slot = &inject->slots[which];
	const uint64_t top = which == 0 ? inject->best_top : top_for(target, inject, index, which);

	if (target->threads[index].gone)
		return lost(target, index, err);
	if (slot->active && slot->index != index)
		leave(target, slot);
	if (!slot->active && thump_slot_enter(target, slot, index, top, err) != 0)
		return -1;
	*slot_ret = slot;
	return 0;
}

/* ---- calls --------------------------------------------------------------------------------- */

/* PTRACE_O_TRACECLONE: it is a tracee of ours already, and on its way to its first stop. */
static void note_born(struct thump_target *target, pid_t tid)
{
	unsigned long message = 0;

	for (int i = 0; i < THUMP_TRIES_MAX && message == 0; i++)
		(void)thump_ptrace(PTRACE_GETEVENTMSG, tid, 0, (uintptr_t)&message);
	target->inject->born = (pid_t)message;
}

static int go_on(struct thump_target *target, size_t index, int signo, struct thump_err *err)
{
	if (thump_ptrace(PTRACE_SYSCALL, target->threads[index].tid, 0, (uintptr_t)signo) != 0)
		return lost(target, index, err);
	return 0;
}

/* Of a thread that goes on: the next stop at the entry or exit of a system call. */
static int await_syscall_stop(struct thump_target *target, size_t index, struct thump_err *err)
{
	const pid_t tid = target->threads[index].tid;
	const uint64_t deadline_ns = thump_now_ns() + CALL_PATIENCE_NS;

	for (;;) {
		int status, got = thump_wait_tid(target->waiter, tid, deadline_ns, &status);

		if (got == 0)
			return thump_fail(err, "a system call in thread %d of process %d hangs",
					  tid, target->pid);
		if (got < 0 || !WIFSTOPPED(status) || thump_stop_event(status) == PTRACE_EVENT_EXEC)
			return lost(target, index, err);
		if (thump_stop_event(status) == 0 && WSTOPSIG(status) == THUMP_SYSCALL_STOP)
			return 0;
		if (thump_stop_event(status) == PTRACE_EVENT_CLONE)
			note_born(target, tid);
		/* With everything blocked only SIGSTOP gets through. Passed on, it makes a
		 * group-stop, which is an event stop, and which comes back when we detach. */
		if (go_on(target, index, thump_stop_event(status) == 0 ? WSTOPSIG(status) : 0,
			  err) != 0)
			return -1;
	}
}

/* On its way to the entry of a call. */
int thump_slot_begin_call(struct thump_target *target, const struct thump_slot *slot, long nr,
			  const uint64_t args[6], struct thump_err *err)
{
	struct user_regs_struct regs = target->threads[slot->index].regs;

	thump_arch_set_syscall(&regs, target->inject->gadgets.syscall_ret, slot->chain.call_sp, nr,
			       args);
	if (thump_ptrace_set_regs(target->threads[slot->index].tid, &regs) != 0)
		return lost(target, slot->index, err);
	return go_on(target, slot->index, 0, err);
}

/* From there to its exit. */
int thump_slot_pass_entry(struct thump_target *target, const struct thump_slot *slot,
			  struct thump_err *err)
{
	if (await_syscall_stop(target, slot->index, err) != 0)
		return -1;
	return go_on(target, slot->index, 0, err);
}

/* Entry, then exit; a call that a group-stop cut short is restarted by the kernel and passes both
 * once more. */
int thump_slot_end_call(struct thump_target *target, const struct thump_slot *slot,
			long *result_ret, struct thump_err *err)
{
	struct user_regs_struct regs;

	for (;;) {
		if (await_syscall_stop(target, slot->index, err) != 0)
			return -1;
		if (thump_ptrace_get_regs(target->threads[slot->index].tid, &regs) != 0)
			return lost(target, slot->index, err);
		*result_ret = thump_arch_result(&regs);
		if (!thump_arch_is_restart_code(*result_ret))
			return 0;
		if (go_on(target, slot->index, 0, err) != 0 ||
		    thump_slot_pass_entry(target, slot, err) != 0)
			return -1;
	}
}

static int call(struct thump_target *target, const struct thump_slot *slot, long nr,
		const uint64_t args[6], long *result_ret, struct thump_err *err)
{
	if (thump_slot_begin_call(target, slot, nr, args, err) != 0 ||
	    thump_slot_pass_entry(target, slot, err) != 0)
		return -1;
	return thump_slot_end_call(target, slot, result_ret, err);
}

static int rehearse(struct thump_target *target, long nr, const uint64_t args[6],
		    struct thump_err *err)
{
	struct thump_inject *inject = target->inject;

	if (!inject->rehearsal ||
	    thump_rehearse(inject->rehearsal, nr, args, inject->area, err) == 0)
		return 0;
	target->calls_refused |= err->code == THUMP_REFUSED;
	return thump_add_context(err, "process %d", target->pid);
}

int thump_remote_syscall_in(struct thump_target *target, size_t thread_index, long nr,
			    const uint64_t args[6], long *result_ret, struct thump_err *err)
{
	struct thump_slot *slot;

	if (thump_inject_need(target, err) != 0 || rehearse(target, nr, args, err) != 0 ||
	    slot_for(target, thread_index, &slot, err) != 0)
		return -1;
	return call(target, slot, nr, args, result_ret, err);
}

int thump_remote_syscall(struct thump_target *target, long nr, const uint64_t args[6],
			 long *result_ret, struct thump_err *err)
{
	if (thump_inject_need(target, err) != 0)
		return -1;
	return thump_remote_syscall_in(target, target->inject->best, nr, args, result_ret, err);
}

/* ---- copies ---------------------------------------------------------------------------------- */

int thump_remote_clone(struct thump_target *target, uint64_t flags, pid_t *pid_ret,
		       long *result_ret, struct thump_err *err)
{
	/* EINVAL, but filters see the call: clone(2), CLONE_SIGHAND. */
	const uint64_t rehearsed[6] = { flags | CLONE_SIGHAND };
	uint64_t args[6] = { flags };
	struct thump_chain exit_chain;
	struct remote_addr area;
	struct thump_slot *slot;
	int result;

	if (thump_inject_need(target, err) != 0 || rehearse(target, SYS_clone, rehearsed, err) != 0)
		return -1;
	/* Its chain and registers would be in the copy, and only one thread's are put right. */
	thump_inject_leave_others(target);
	if (thump_remote_area(target, &area, err) != 0 ||
	    slot_for(target, target->inject->best, &slot, err) != 0 ||
	    thump_arch_build_exit_chain(&target->inject->gadgets,
					area.addr + THUMP_REMOTE_AREA_SIZE,
					&target->threads[0].regs, &exit_chain, err) != 0)
		return -1;
	_Static_assert(THUMP_EXIT_CHAIN_ROOM <= THUMP_REMOTE_AREA_SIZE - THUMP_COPY_AREA_SIZE,
		       "it lies in the area");
	result = thump_target_write(target, REMOTE(exit_chain.start), exit_chain.bytes,
				    exit_chain.size_bytes, err);
	free(exit_chain.bytes);
	if (result != 0)
		return -1;
	args[1] = exit_chain.call_sp;
	target->inject->born = 0;
	if (call(target, slot, SYS_clone, args, result_ret, err) != 0)
		return -1;
	*pid_ret = target->inject->born;
	return 0;
}

int thump_inject_inherit(const struct thump_target *target, struct thump_target *copy,
			 struct thump_err *err)
{
	const struct thump_inject *from = target->inject;
	const struct thump_slot *slot = &from->slots[0];
	struct thump_inject *inject = calloc(1, sizeof(*inject));

	if (!inject)
		return thump_fail_errno(err, "prepare system calls in a copy of process %d",
					target->pid);
	thump_arena_init(&inject->arena);
	copy->inject = inject;
	inject->gadgets = from->gadgets;
	inject->area = from->area;
	memcpy(inject->area_saved, from->area_saved, sizeof(inject->area_saved));
	inject->slots[0] = (struct thump_slot){
		.active = true,
		.chain = { .start = slot->chain.start,
			   .size_bytes = slot->chain.size_bytes,
			   .tail_addr = slot->chain.tail_addr,
			   .call_sp = thump_arch_sp(&copy->threads[0].regs) },
		.saved = malloc(slot->chain.size_bytes),
		.saved_tail = slot->saved_tail,
	};
	if (!inject->slots[0].saved)
		return thump_fail_errno(err, "prepare system calls in a copy of process %d",
					target->pid);
	memcpy(inject->slots[0].saved, slot->saved, slot->chain.size_bytes);
	return 0;
}

int thump_remote_area(struct thump_target *target, struct remote_addr *area_ret,
		      struct thump_err *err)
{
	struct thump_inject *inject;
	struct thump_slot *slot;
	uint64_t area;

	if (thump_inject_need(target, err) != 0)
		return -1;
	inject = target->inject;
	if (slot_for(target, inject->best, &slot, err) != 0)
		return -1;
	area = (slot->chain.start - THUMP_REMOTE_AREA_SIZE) & ~(uint64_t)15;
	if (inject->area == 0) {
		if (thump_target_read(target, REMOTE(area), inject->area_saved,
				      sizeof(inject->area_saved), err) != 0)
			return -1;
		inject->area = area;
	}
	area_ret->addr = inject->area;
	return 0;
}

int thump_target_syscall_insn(struct thump_target *target, struct remote_addr *insn_ret,
			      struct thump_err *err)
{
	if (target->inject && target->inject->gadgets.syscall) { /* found on the way to others */
		insn_ret->addr = target->inject->gadgets.syscall;
		return 0;
	}
	return thump_find_syscall_insn(target->proc_fd, target->mem_fd, insn_ret, err);
}
