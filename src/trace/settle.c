/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done to a thread in its first stop, and in which order: registers first, because until
 * an EINTR of the stop's own making is taken back, our death would show it to the program.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc/status.h"
#include "trace/internal.h"

/* AMX included; the kernel's largest so far is 11,008 bytes. */
#define XSTATE_ROOM ((size_t)32 << 10)

/* The kernel's struct rseq and struct rseq_cs, include/uapi/linux/rseq.h. */
struct rseq_cs {
	uint32_t version, flags;
	uint64_t start_ip, post_commit_offset, abort_ip;
};
#define RSEQ_CS_OFFSET 8 /* of rseq_cs in struct rseq */

int thump_target_rseq(const struct thump_target *target, size_t thread_index, uint64_t *addr_ret,
		      uint32_t *len_ret, uint32_t *sig_ret, struct thump_err *err)
{
	const pid_t tid = target->threads[thread_index].tid;
	struct __ptrace_rseq_configuration config = { 0 };

	if (thump_ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof(config), (uintptr_t)&config) <
	    0) {
		/* Before Linux 5.13 the request is unknown. */
		if (errno != EIO && errno != EINVAL)
			return thump_fail_errno(err, "read the rseq area of thread %d", tid);
		return thump_refuse(err, "this kernel does not tell rseq areas (needs Linux 5.13)");
	}
	*addr_ret = config.rseq_abi_pointer;
	*len_ret = config.rseq_abi_size;
	*sig_ret = config.signature;
	return 0;
}

/*
 * A thread inside a restartable sequence was scheduled out, so the kernel will abort the sequence
 * before the next instruction: rseq_ip_fixup() in kernel/rseq.c. Registers read in the stop are
 * from before that. Does the same by hand; should we die before, the kernel does it as ever. Once
 * the program counter is outside, the kernel drops the stale rseq_cs by itself.
 */
static bool abort_rseq(struct thump_target *target, struct thump_target_thread *thread)
{
	const size_t index = (size_t)(thread - target->threads);
	const uint64_t pc = thump_arch_pc(&thread->regs);
	struct thump_err ignored;
	struct rseq_cs cs = { 0 };
	uint64_t addr, cs_addr = 0;
	uint32_t len, sig, found_sig = 0;

	if (thump_target_rseq(target, index, &addr, &len, &sig, &ignored) != 0 || addr == 0 ||
	    thump_target_read(target, REMOTE(addr + RSEQ_CS_OFFSET), &cs_addr, sizeof(cs_addr),
			      &ignored) != 0 ||
	    cs_addr == 0 ||
	    thump_target_read(target, REMOTE(cs_addr), &cs, sizeof(cs), &ignored) != 0 ||
	    pc - cs.start_ip >= cs.post_commit_offset)
		return false;
	/* Wrong signature: the kernel will send SIGSEGV; that is not ours to prevent. */
	if (thump_target_read(target, REMOTE(cs.abort_ip - sizeof(sig)), &found_sig,
			      sizeof(found_sig), &ignored) != 0 ||
	    found_sig != sig)
		return false;
	thump_arch_set_pc(&thread->regs, cs.abort_ip);
	return true;
}

int thump_settle(struct thump_target *target, struct thump_target_thread *thread,
		 struct thump_err *err)
{
	if (thump_ptrace_get_regs(thread->tid, &thread->regs) != 0)
		return thump_fail_errno(err, "read the registers of thread %d", thread->tid);
	/* One made since the check: stopped like others, it would never make a call for us. */
	if (thump_arch_pc(&thread->regs) == 0 &&
	    thump_is_kernel_worker(target->proc_fd, thread->tid))
		return thump_refuse_kernel_worker(target->pid, thread->tid, err);
	if (thump_arch_undo_eintr(&thread->regs) &&
	    thump_ptrace_set_regs(thread->tid, &thread->regs) != 0)
		return thump_fail_errno(err, "write the registers of thread %d", thread->tid);
	if (!thump_arch_is_native(&thread->regs))
		return thump_refuse(err, "thread %d of process %d runs 32-bit code", thread->tid,
				    target->pid);
	if (abort_rseq(target, thread) && thump_ptrace_set_regs(thread->tid, &thread->regs) != 0)
		return thump_fail_errno(err, "write the registers of thread %d", thread->tid);
	return 0;
}

/*
 * Will a handler run as soon as the thread goes on? The blocked mask of /proc is the one that
 * counts now: epoll_pwait(2) and its kin have swapped it, while PTRACE_GETSIGMASK gives the one to
 * return to.
 */
static bool handler_is_due(const struct thump_target *target, pid_t tid)
{
	struct thump_status status = { 0 };
	struct thump_arena arena;
	struct thump_err ignored;
	char path[48];
	bool due = false;

	(void)snprintf(path, sizeof(path), "task/%d/status", tid);
	thump_arena_init(&arena);
	if (thump_status_read(target->proc_fd, path, &arena, &status, &ignored) == 0)
		due = ((status.sigpending | status.shared_pending) & status.sigcaught &
		       ~status.sigblocked) != 0;
	thump_arena_deinit(&arena);
	return due;
}

static int read_xstate(struct thump_target_thread *thread, struct thump_err *err)
{
	unsigned char buf[XSTATE_ROOM];
	size_t size_bytes;

	if (thump_ptrace_get_xstate(thread->tid, buf, sizeof(buf), &size_bytes) != 0)
		return thump_fail_errno(err, "read the extended registers of thread %d",
					thread->tid);
	thread->xstate = malloc(size_bytes);
	if (!thread->xstate)
		return thump_fail_errno(err, "read the extended registers of thread %d",
					thread->tid);
	memcpy(thread->xstate, buf, size_bytes);
	thread->xstate_size = (uint32_t)size_bytes;
	thread->xstate_used = (uint32_t)thump_arch_xstate_used(buf, size_bytes);
	return 0;
}

/* The call that it is blocked in, also if that goes on as restart_syscall(2). */
static uint32_t blocked_in(const struct thump_target *target,
			   const struct thump_target_thread *thread,
			   const struct thump_sleeper *sleeper)
{
	const uint32_t nr = thump_arch_blocked_syscall(&thread->regs);
	const uint64_t pc = thump_arch_pc(&thread->regs);
	unsigned char code[THUMP_CODE_BEFORE] = { 0 };
	struct thump_err ignored; /* then it shall be found without the code */
	uint32_t found;

	if (!thump_arch_is_restart_syscall(nr))
		return nr;
	(void)!thump_target_read(target, REMOTE(pc - sizeof(code)), code, sizeof(code), &ignored);
	found = thump_arch_restarted_syscall(&thread->regs, code, sleeper ? sleeper->wchan : "");
	return found != THUMP_NO_SYSCALL ? found : nr;
}

/*
 * In the original only what restarts by its registers; the rest has the kernel's own deadline.
 * A thread that cannot be written to has ended, and needs no timeout.
 */
void thump_shorten_timeout(struct thump_target_thread *thread, uint64_t ns)
{
	struct user_regs_struct shortened = thread->regs;

	if (thread->gone || thump_arch_interruption(&thread->regs) != THUMP_RESTART_UNLESS_HANDLER)
		return;
	thump_arch_shorten_timeout(&shortened, thread->blocked_syscall, ns);
	if (memcmp(&shortened, &thread->regs, sizeof(shortened)) != 0 &&
	    thump_ptrace_set_regs(thread->tid, &shortened) == 0)
		thread->regs = shortened;
}

int thump_read_thread(struct thump_target *target, struct thump_target_thread *thread,
		      const struct thump_sleeper *sleeper, struct thump_err *err)
{
	const enum thump_interruption how = thump_arch_interruption(&thread->regs);
	/* What comes after stopped_at_ns is taken off when it goes on. */
	const uint64_t slept_ns = thump_slept_ns(target->proc_fd, sleeper, target->stopped_at_ns);
	struct user_regs_struct shortened = thread->regs;
	bool handler_due = false;

	if (read_xstate(thread, err) != 0)
		return -1;
	if (thump_ptrace_get_sigmask(thread->tid, &thread->sigmask) != 0)
		return thump_fail_errno(err, "read the signal mask of thread %d", thread->tid);
	thread->blocked_syscall = blocked_in(target, thread, sleeper);
	thump_arch_shorten_timeout(&shortened, thread->blocked_syscall, slept_ns);
	thump_shorten_timeout(thread, slept_ns);
	if (how == THUMP_RESTART_UNLESS_HANDLER || how == THUMP_RESTART_BLOCK)
		handler_due = handler_is_due(target, thread->tid);
	thread->image_regs =
		thump_arch_image_regs(&shortened, thread->blocked_syscall, handler_due);
	return 0;
}
