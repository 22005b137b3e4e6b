/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of src/trace share among themselves. */
#ifndef THUMP_TRACE_INTERNAL_H
#define THUMP_TRACE_INTERNAL_H

#include <sys/ptrace.h>

#include "trace/arch/arch.h"
#include "trace/ptrace.h"
#include "trace/target.h"
#include "trace/wait.h"

/* Of a call that cannot fail, but that who filters system calls may fail, where a failure would
 * leave something behind. */
#define THUMP_TRIES_MAX 3

#define THUMP_SYSCALL_STOP (SIGTRAP | 0x80) /* PTRACE_O_TRACESYSGOOD */

/* ---- check.c: may and can it be traced? ------------------------------------------------- */

THUMP_MUST_CHECK int thump_check_process(pid_t pid, int proc_fd, uint64_t *start_time_ret,
					 struct thump_err *err);
/* PTRACE_SEIZE failed with EPERM, or what asks the same of the kernel with EACCES: says why. */
int thump_explain_eperm(pid_t pid, pid_t tid, int proc_fd, struct thump_err *err);
/* A thread did not stop in time: says what it is doing. */
int thump_explain_laggard(pid_t pid, pid_t tid, int proc_fd, unsigned patience_ms,
			  struct thump_err *err);
/* It runs, would run if it had a processor, or has just stopped. */
bool thump_is_getting_on(int proc_fd, pid_t tid);
/* A thread that the kernel made inside the process and that never runs its code: io_uring(7). */
bool thump_is_kernel_worker(int proc_fd, pid_t tid);
/* Before anything is stopped: stopping those would wake them up and show in what they count. */
THUMP_MUST_CHECK int thump_find_kernel_workers(struct thump_target *target, struct thump_err *err);
int thump_refuse_kernel_worker(pid_t pid, pid_t tid, struct thump_err *err);
/* TracerPid of a thread, 0 when there is none or the thread is gone. */
pid_t thump_tracer_of(int proc_fd, pid_t tid);

/* ---- tasks.c: /proc/PID/task ------------------------------------------------------------ */

/* Thread ids, the leader first; heap array that the caller frees. */
THUMP_MUST_CHECK int thump_list_tasks(int proc_fd, pid_t pid, pid_t **tids_ret, size_t *count_ret,
				      struct thump_err *err);
bool thump_task_exists(int proc_fd, pid_t tid);

/* ---- seize.c ----------------------------------------------------------------------------- */

/* Seizes and stops all threads; each is settled as soon as it has stopped. */
THUMP_MUST_CHECK int thump_seize_all(struct thump_target *target, unsigned patience_ms,
				     struct thump_err *err);

/*
 * Lets a thread go on until it is in a PTRACE_EVENT_STOP; signals that come in between are passed
 * on. 1 stopped (stop signal in *signo_ret), 0 the deadline passed, -1 it ended or executed another
 * program (errno ESRCH, EXDEV).
 */
THUMP_MUST_CHECK int thump_run_to_event_stop(struct thump_target *target, pid_t tid,
					     uint64_t deadline_ns, int *signo_ret);

/* ---- sleep.c: how long have threads been asleep? ----------------------------------------- */

struct thump_sleeper {
	pid_t tid;
	uint64_t slept_ns; /* when it was looked at; 0 = unknown */
	uint64_t nr_switches;
	uint64_t looked_at_ns; /* CLOCK_MONOTONIC */
	char wchan[64];	       /* kernel function it slept in, or "" */
};

struct thump_sleepers {
	struct thump_sleeper *list;
	size_t count;
};

/* Best effort, before the stop: only threads in calls whose registers do not tell enough. */
void thump_sleepers_look(int proc_fd, pid_t pid, struct thump_sleepers *sleepers);
/* NULL when the thread was not looked at. */
const struct thump_sleeper *thump_sleeper_of(const struct thump_sleepers *sleepers, pid_t tid);
/* Of a stopped thread, until until_ns (CLOCK_MONOTONIC); 0 when nothing is known. sleeper may be
 * NULL. */
uint64_t thump_slept_ns(int proc_fd, const struct thump_sleeper *sleeper, uint64_t until_ns);
void thump_sleepers_deinit(struct thump_sleepers *sleepers);

/* ---- settle.c ---------------------------------------------------------------------------- */

/* Called at once after a thread's first stop: registers as if nothing had interrupted it. */
THUMP_MUST_CHECK int thump_settle(struct thump_target *target, struct thump_target_thread *thread,
				  struct thump_err *err);
/* The rest: xstate, signal mask, the registers for the image. */
THUMP_MUST_CHECK int thump_read_thread(struct thump_target *target,
				       struct thump_target_thread *thread,
				       const struct thump_sleeper *sleeper, struct thump_err *err);

/* Takes time slept, or held, off the relative timeout that a stopped thread will wait with. */
void thump_shorten_timeout(struct thump_target_thread *thread, uint64_t ns);

/* ---- vdso.c ------------------------------------------------------------------------------ */

/* Whether a stopped thread is in the middle of a function of the vdso. */
THUMP_MUST_CHECK int thump_in_vdso(struct thump_target *target,
				   const struct thump_target_thread *thread, bool *inside_ret,
				   struct thump_err *err);

/* ---- gadget.c ---------------------------------------------------------------------------- */

struct thump_maps;

/* Searches executable mappings, small ones first, until the gadgets are complete. */
THUMP_MUST_CHECK int thump_find_gadgets(int mem_fd, const struct thump_maps *maps, bool chain,
					struct thump_gadgets *gadgets_ret, struct thump_err *err);
THUMP_MUST_CHECK int thump_read_maps(int proc_fd, struct thump_maps *maps, struct thump_err *err);

/* ---- allowed.c --------------------------------------------------------------------------- */

/* Refuses, by name, when a system call that is none of its own could be the end of the process.
 * *filtered_ret: it has seccomp filters, which are thump's, too. */
THUMP_MUST_CHECK int thump_check_calls_allowed(struct thump_target *target, bool *filtered_ret,
					       struct thump_err *err);

/* ---- rehearse.c -------------------------------------------------------------------------- */

struct thump_rehearsal;

/* A child of ours, under our seccomp filters, in which calls are tried. */
THUMP_MUST_CHECK int thump_rehearsal_create(struct thump_rehearsal **rehearsal_ret,
					    struct thump_err *err);
void thump_rehearsal_destroy(struct thump_rehearsal *rehearsal);
/* Refuses a call that ends whoever makes it. Addresses from area on (0: none) are replaced. */
THUMP_MUST_CHECK int thump_rehearse(struct thump_rehearsal *rehearsal, long nr,
				    const uint64_t args[6], uint64_t area, struct thump_err *err);

/* ---- inject.c ---------------------------------------------------------------------------- */

void thump_inject_destroy(struct thump_inject *inject);

/*
 * clone(2) of a process that has memory of its own. Let go, it ends at once: its stack pointer
 * rests on a chain of its own, in the area. *pid_ret: it, as the tracer sees it, a tracee on its
 * way to its first stop; *result_ret: what clone(2) returned.
 */
THUMP_MUST_CHECK int thump_remote_clone(struct thump_target *target, uint64_t flags, pid_t *pid_ret,
					long *result_ret, struct thump_err *err);

/* Of such a process, in its first stop: it is ready for calls, on that chain. Finished, it has the
 * bytes that were under chains and area in the memory that it is a copy of. */
THUMP_MUST_CHECK int thump_inject_inherit(const struct thump_target *target,
					  struct thump_target *copy, struct thump_err *err);

/* Address of a `syscall` instruction in a stopped process, by its /proc/PID and its memory. */
THUMP_MUST_CHECK int thump_find_syscall_insn(int proc_fd, int mem_fd, struct remote_addr *insn_ret,
					     struct thump_err *err);

#endif
