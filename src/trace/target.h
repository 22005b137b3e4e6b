/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that is held stopped by ptrace(2), thread by thread, so that it never notices.
 *
 * RULES FOR THIS FOLDER
 *  1. Only src/trace calls ptrace(2).
 *  2. The tracer may be killed after any system call; the target must then go on as if nothing
 *     had happened. So: never write code into it; while a thread runs a remote call, its stack
 *     pointer rests on a chain (gadget addresses) that ends in rt_sigreturn on a signal frame
 *     with the thread's whole original state.
 *  3. Every stop used is one whose loss is harmless: PTRACE_EVENT_STOP and syscall-stops with
 *     TRACESYSGOOD. A SIGTRAP from single stepping is not: it would be delivered.
 *  4. Final registers are written only in a PTRACE_EVENT_STOP, because there the kernel still
 *     does the system call restart logic (arch_do_signal_or_restart).
 */
#ifndef THUMP_TRACE_TARGET_H
#define THUMP_TRACE_TARGET_H

#include <signal.h>
#include <sys/user.h>

#include "base/err.h"

struct thump_target_thread {
	pid_t tid;		      /* as the tracer sees it */
	bool group_stopped;	      /* was in a group-stop (SIGSTOP) when seized */
	struct user_regs_struct regs; /* to be resumed with; restarts its system call by itself */
	struct user_regs_struct image_regs; /* the same for the image: no kernel restart state */
	unsigned char *xstate;		    /* NT_X86_XSTATE */
	uint32_t xstate_size;
	uint32_t xstate_used; /* what of it an image needs */
	uint64_t sigmask;
	uint32_t blocked_syscall; /* nr of the system call it was blocked in, or UINT32_MAX */
	bool gone;		  /* it ended while the target was held */
	/* Known once calls were allowed (allowed.c): in its own pid namespace; what it can signal
	 * to itself without noticing, or 0. */
	pid_t tid_inside;
	int quiet_signal;
};

struct thump_waiter;
struct thump_inject;

/* Something that stands against system calls that are none of a thread's own. */
struct thump_obstacle {
	pid_t tid;
	const char *word; /* short and stable */
	const char *text; /* "has seccomp filters of its own" */
};

struct thump_target {
	pid_t pid;	     /* as the tracer sees it */
	uint64_t start_time; /* field 22 of /proc/PID/stat: pids are reused, (pid, start) is not */
	int proc_fd;	     /* O_PATH of /proc/PID, CLOEXEC */
	int mem_fd;	     /* /proc/PID/mem, read-write, CLOEXEC */
	int pidfd;	     /* pidfd_open(2), or -1 where the kernel refuses it */
	struct thump_waiter *waiter; /* SIGCHLD is blocked and ours as long as this is set */
	struct thump_target_thread *threads; /* [0] is the thread group leader */
	size_t nr_threads;
	pid_t *kernel_workers; /* threads that the kernel made and that run no code: io_uring(7) */
	size_t nr_kernel_workers;
	struct thump_inject *inject;   /* remote call machinery, made on first use */
	bool calls_refused;	       /* a remote call could be its end: none is made any more */
	bool filters_known, filtered;  /* allowed.c: some thread has seccomp filters */
	uint64_t vdso_start, vdso_end; /* both 0: there is none, or nobody had to look for it */
	bool vdso_looked_for;
	/* CLOCK_MONOTONIC: when the first thread was told to stop, and when all had stopped. */
	uint64_t seized_at_ns, stopped_at_ns;
	/* true until the target was resumed, killed or lost */
	bool stopped;
	bool is_copy; /* made by thump_target_fork(): it never runs */
};

/*
 * Seizes and stops every thread of `pid` and reads registers, xstate and masks. Refuses by name:
 * no such process, a kernel thread, a zombie, our own ancestor, already traced, 32-bit code, a
 * thread in vfork or uninterruptible sleep for more than `patience_ms`. On failure everything that
 * was seized is resumed; only a thread that never came to a stop stays seized until the calling
 * process ends (ptrace(2) detaches from stopped threads only), so a caller that gets REFUSED should
 * end. EINTR that no signal caused is turned back into the blocked call.
 *
 * The calling thread is the tracer: only it may call what is declared here, but for
 * thump_target_read, thump_target_write and thump_target_dup_fd. SIGCHLD is blocked in it from here
 * to thump_target_resume; threads that the caller started before must block it, too.
 */
THUMP_MUST_CHECK int thump_target_stop(pid_t pid, unsigned patience_ms,
				       struct thump_target **target_ret, struct thump_err *err);

/* Puts everything back and detaches from every thread. The target runs on (or stays in its
 * group-stop). Never fails halfway: a thread that is gone is skipped. */
void thump_target_resume(struct thump_target *target);

/* SIGKILL; waits until it is gone from our point of view. */
THUMP_MUST_CHECK int thump_target_kill(struct thump_target *target, struct thump_err *err);

/* Resumes if still stopped, then frees. NULL is fine. */
void thump_target_destroy(struct thump_target *target);

/*
 * What stands against remote calls, in every thread: heap array that the caller frees. When there
 * is any, every later remote call is refused.
 */
THUMP_MUST_CHECK int thump_target_obstacles(struct thump_target *target,
					    struct thump_obstacle **list_ret, size_t *count_ret,
					    struct thump_err *err);

/*
 * Runs one system call in the target, on the thread that is best suited. Where the target has the
 * seccomp filters of its container or service, a child of ours makes the same call first: what
 * would end that child is REFUSED. Returns 0 and the raw
 * result (-errno on failure) in *result_ret; -1 when the target could not be used at all (it died,
 * there is no syscall instruction in it).
 */
THUMP_MUST_CHECK int thump_remote_syscall(struct thump_target *target, long nr,
					  const uint64_t args[6], long *result_ret,
					  struct thump_err *err);

/* The same, in a given thread (index into threads). */
THUMP_MUST_CHECK int thump_remote_syscall_in(struct thump_target *target, size_t thread_index,
					     long nr, const uint64_t args[6], long *result_ret,
					     struct thump_err *err);

/*
 * A small area in the target for arguments and results of remote calls: dead stack below the
 * fake frame, at least THUMP_REMOTE_AREA_SIZE bytes; its former content is put back on resume.
 */
#define THUMP_REMOTE_AREA_SIZE ((size_t)2048)
/* Of a copy only the first bytes: the chain that it ends by lies in the rest. */
#define THUMP_COPY_AREA_SIZE ((size_t)512)
THUMP_MUST_CHECK int thump_remote_area(struct thump_target *target, struct remote_addr *area_ret,
				       struct thump_err *err);

/*
 * Calls that every thread is to make. An argument that is an address in the area is THUMP_AREA and
 * an offset below answer_bytes; each thread gets an area of its own.
 */
#define THUMP_AREA UINT64_C(0xa4ea0000a4ea0000)
struct thump_remote_call {
	long nr;
	uint64_t args[6];
};
struct thump_remote_calls {
	const struct thump_remote_call *list;
	size_t count;
	size_t answer_bytes; /* at most THUMP_REMOTE_AREA_SIZE */
	long *results;	     /* [nr_threads][count], raw */
	void *answers;	     /* [nr_threads][answer_bytes]: the area after the last call */
};
/* Of the thread with this index. */
static inline void *thump_remote_answers_of(const struct thump_remote_calls *calls, size_t index)
{
	return (unsigned char *)calls->answers + index * calls->answer_bytes;
}
/* An argument, where the area is at this address. */
uint64_t thump_remote_arg(uint64_t arg, uint64_t area);
/* Many threads at once make them, which takes a third of the time. */
THUMP_MUST_CHECK int thump_remote_calls_in_all(struct thump_target *target,
					       const struct thump_remote_calls *calls,
					       struct thump_err *err);

/* Puts registers back where remote calls used a thread (also done by resume). */
void thump_remote_finish(struct thump_target *target);

/* In proc_pid_comm(5) of a copy. */
#define THUMP_COPY_NAME "thump-copy"

/*
 * A copy of the process as it stands: another one with its memory, copied on write, and without its
 * descriptors. It stands still and never runs the program: when its tracer ends, it ends. Reads and
 * writes of memory and remote calls work on it as on any target; thump_target_destroy() ends it.
 * SIGCHLD must be blocked in the calling thread as long as it lives.
 *
 * `orphan`: it is nobody's child. That does not help where orphans become the target's children (a
 * subreaper, or pid 1): else it is a child of the target's that only a wait(2) for "clone children"
 * sees, and when it has ended, a zombie until thump_target_reap().
 *
 * REFUSED when the system does not let the process have one more (EAGAIN, ENOMEM).
 */
THUMP_MUST_CHECK int thump_target_fork(struct thump_target *target, bool orphan,
				       struct thump_target **copy_ret, struct thump_err *err);

/* The parent may run again: gives the copy a session of its own, and puts back what lies under the
 * chains of remote calls, of which there are no more. */
void thump_copy_settle(struct thump_target *copy);

/* Ends a copy and gives its memory back, which takes its time; its parent may be running. */
void thump_copy_end(struct thump_target *copy);

/* Takes an ended copy, be it of another tracer that was killed, off the children of a stopped
 * target, if it is one of them. `pid` is the copy as the tracer sees it. */
THUMP_MUST_CHECK int thump_target_reap(struct thump_target *target, pid_t pid,
				       struct thump_err *err);

/* Whole reads and writes of the target's memory: process_vm_readv, then /proc/PID/mem, which also
 * reads PROT_NONE pages. */
THUMP_MUST_CHECK int thump_target_read(const struct thump_target *target, struct remote_addr addr,
				       void *buf, size_t size_bytes, struct thump_err *err);
THUMP_MUST_CHECK int thump_target_write(const struct thump_target *target, struct remote_addr addr,
					const void *buf, size_t size_bytes, struct thump_err *err);

/* Address of a `syscall` instruction in executable memory of the target. */
THUMP_MUST_CHECK int thump_target_syscall_insn(struct thump_target *target,
					       struct remote_addr *insn_ret, struct thump_err *err);

/* Reads from outside, without running anything in the target. */
THUMP_MUST_CHECK int thump_target_rseq(const struct thump_target *target, size_t thread_index,
				       uint64_t *addr_ret, uint32_t *len_ret, uint32_t *sig_ret,
				       struct thump_err *err);
/* Pending signals, thread-directed or process-directed, in order; bytes are siginfo_t (128 each),
 * heap array that the caller frees. */
THUMP_MUST_CHECK int thump_target_pending(const struct thump_target *target, size_t thread_index,
					  bool process_wide, siginfo_t **infos_ret,
					  size_t *count_ret, struct thump_err *err);

/*
 * A duplicate in this process of descriptor `fd` of the target, sharing its open file description
 * (pidfd_getfd(2)); CLOEXEC. errno ENOSYS/EPERM under Docker's default seccomp: then kinds must use
 * /proc/PID/fd/N or remote system calls.
 */
THUMP_MUST_CHECK int thump_target_dup_fd(const struct thump_target *target, int fd);

#endif
