/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process of our own that is filled with somebody else's memory and threads. Unlike
 * trace/target.h nothing in it is worth saving: it is traced with PTRACE_O_EXITKILL until it is
 * released, so whatever goes wrong, thump's own death included, leaves nothing behind.
 *
 * Order of calls, all from the same thread of the same process (ptrace(2) knows threads):
 *     fork; the child waits on a pipe
 *     thump_newborn_adopt        seizes the child; then let it go on
 *     thump_newborn_wait_exec    it stands before its first instruction; mem_fd is open
 *     thump_newborn_syscall      as often as wanted: map blob and data
 *     thump_newborn_run          the blob runs, makes threads, traps
 *     thump_newborn_gather       all threads are held
 *     thump_newborn_syscall      unmap blob and data
 *     thump_newborn_set_thread   for every thread
 *     thump_newborn_release      it runs on its own
 */
#ifndef THUMP_TRACE_NEWBORN_H
#define THUMP_TRACE_NEWBORN_H

#include <signal.h>
#include <sys/user.h>

#include "base/err.h"

struct thump_waiter;

struct thump_newborn {
	pid_t pid;   /* as the tracer sees it */
	int proc_fd; /* O_PATH of /proc/PID, CLOEXEC */
	int mem_fd;  /* /proc/PID/mem, read-write, CLOEXEC; -1 before the exec */
	pid_t *tids; /* [0] is pid; once gathered, all others follow, as the tracer sees them */
	size_t nr_tids;
	int exit_status; /* of waitpid(2), once `gone` */
	bool in_exec;	 /* it has not returned from its execve(2) yet */
	bool gone;	 /* it ended and was reaped */
	bool released;
	bool stop_wanted; /* somebody sent it SIGSTOP meanwhile: it is released stopped */
	struct thump_waiter *waiter; /* SIGCHLD is blocked and ours until the release */
};

/* Seizes `pid`, a child of the caller that has not called execve(2) yet, or a clone of a template
 * that waits for us. */
THUMP_MUST_CHECK int thump_newborn_adopt(pid_t pid, struct thump_newborn **newborn_ret,
					 struct thump_err *err);

/*
 * When one of these blocked signals comes before the release, it is taken, and whatever waits or
 * will wait for the newborn fails. thump_newborn_given_up_on tells which signal it was, or 0.
 */
void thump_newborn_give_up_on(struct thump_newborn *newborn, const sigset_t *signals);
int thump_newborn_given_up_on(const struct thump_newborn *newborn);

/* Sleeps until the newborn or another child changes, or somebody sends SIGCHLD; fails only to give
 * up. */
THUMP_MUST_CHECK int thump_newborn_wait_event(struct thump_newborn *newborn, struct thump_err *err);

/*
 * Waits until the child's execve(2) is done and holds it before the first instruction. When the
 * child ends instead: -1, newborn->gone and ->exit_status are set. Signals that come before the
 * exec are passed on; after it all but the synchronous ones (SIGTRAP, SIGSEGV, ...) are blocked,
 * and threads inherit that: they reach the restored program. timeout_ms 0 waits for ever (here and
 * below).
 */
THUMP_MUST_CHECK int thump_newborn_wait_exec(struct thump_newborn *newborn, unsigned timeout_ms,
					     struct thump_err *err);

/*
 * For a process that is no child and called no execve(2): adopted while it waits for us, and let go
 * on, it runs what it has until it traps as at the end of thump_newborn_run.
 */
THUMP_MUST_CHECK int thump_newborn_open_memory(struct thump_newborn *newborn,
					       struct thump_err *err);
THUMP_MUST_CHECK int thump_newborn_wait_trap(struct thump_newborn *newborn, unsigned timeout_ms,
					     struct thump_err *err);

/* Where the new program would begin. */
THUMP_MUST_CHECK int thump_newborn_entry(const struct thump_newborn *newborn,
					 struct remote_addr *entry_ret, struct thump_err *err);

/* Address of a `syscall` instruction in executable memory that the new program begins with. */
THUMP_MUST_CHECK int thump_newborn_syscall_insn(struct thump_newborn *newborn,
						struct remote_addr *insn_ret,
						struct thump_err *err);

/* Through mem_fd: writes to read-only and executable mappings, too. */
THUMP_MUST_CHECK int thump_newborn_write(const struct thump_newborn *newborn,
					 struct remote_addr addr, const void *buf,
					 size_t size_bytes, struct thump_err *err);
THUMP_MUST_CHECK int thump_newborn_read(const struct thump_newborn *newborn,
					struct remote_addr addr, void *buf, size_t size_bytes,
					struct thump_err *err);

/*
 * One system call in the leader, through the `syscall` instruction at `insn`. *result_ret is the
 * raw result (-errno on failure). The instruction's page may be gone afterwards only if the call
 * was the one that unmapped it.
 */
THUMP_MUST_CHECK int thump_newborn_syscall(struct thump_newborn *newborn, struct remote_addr insn,
					   long nr, const uint64_t args[6], long *result_ret,
					   struct thump_err *err);

/*
 * Lets the leader run from `entry` with rsp = stack_top and rdi = arg until it traps: int3, or
 * SIGSTOP sent to itself, is the agreed end; the trap signal is taken away. Any other fatal signal
 * is an error that names signal, address and instruction. Note: int3 resets the disposition of
 * SIGTRAP to SIG_DFL where SIGTRAP is blocked or ignored (force_sig_info_to_task() in
 * kernel/signal.c), so SIGTRAP's disposition must be set after it, or SIGSTOP be used.
 */
THUMP_MUST_CHECK int thump_newborn_run(struct thump_newborn *newborn, struct remote_addr entry,
				       struct remote_addr stack_top, uint64_t arg,
				       unsigned timeout_ms, struct thump_err *err);

/* Seizes and stops all other threads; every thread, the leader included, is then in a stop in
 * which registers may be written. Fills tids. Not needed where the blob was to make no thread. */
THUMP_MUST_CHECK int thump_newborn_gather(struct thump_newborn *newborn, unsigned timeout_ms,
					  struct thump_err *err);

/* Whether a thread of a gathered one has ended: somebody kills it. */
bool thump_newborn_lost_thread(const struct thump_newborn *newborn);

/* The state that the thread is released with. xstate is NT_X86_XSTATE (may be NULL: as it is). */
THUMP_MUST_CHECK int thump_newborn_set_thread(struct thump_newborn *newborn, pid_t tid,
					      const struct user_regs_struct *regs,
					      const void *xstate, size_t xstate_size,
					      uint64_t sigmask, struct thump_err *err);

/*
 * Lets all threads go. group_stopped: they stay in a group-stop (as after SIGSTOP) without having
 * run an instruction. After an error here the caller destroys it. A program that ends as soon
 * as its first thread runs was released: its status is for waitpid(2).
 */
THUMP_MUST_CHECK int thump_newborn_release(struct thump_newborn *newborn, bool group_stopped,
					   struct thump_err *err);

/* In place of the release: what has no thread but the leader goes on from `entry` with these, on
 * its own, with the signal mask that it has. */
THUMP_MUST_CHECK int thump_newborn_release_at(struct thump_newborn *newborn,
					      struct remote_addr entry,
					      struct remote_addr stack_top, uint64_t arg,
					      struct thump_err *err);

/* Kills and reaps the process unless it was released, then frees. NULL is fine. */
void thump_newborn_destroy(struct thump_newborn *newborn);

#endif
