/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside src/rebuild: the seam between "which process with which pid" (ways.c, namespace.c,
 * spin.c) and "what becomes of it" (plan.c, steps.c, inject.c, commit.c).
 */
#ifndef THUMP_REBUILD_SPAWN_H
#define THUMP_REBUILD_SPAWN_H

#include <linux/capability.h>

#include "rebuild/rebuild.h"

/*
 * fork(2) with a wanted pid. way is SET_TID (clone3 with set_tid), SPIN (bounded) or OTHER (any
 * pid). Returns like fork through *pid_ret: 0 in the child. *spins_ret counts tasks started in
 * vain. REFUSED when the pid is taken (EEXIST) or spinning would take more than spin_limit, naming
 * pid, last pid, pid_max and the estimated seconds.
 */
THUMP_MUST_CHECK int thump_spawn_with_pid(enum thump_pid_way way, pid_t wanted, uint32_t spin_limit,
					  pid_t *pid_ret, uint64_t *spins_ret,
					  struct thump_err *err);

/*
 * Makes the restored process as a child of the calling process and lets it run. `tid_way` is how
 * to get pids and tids in the pid namespace of the caller: SET_TID, SPIN or OTHER; NAMESPACE makes
 * a fresh one of which the process is pid 1. Called in thump
 * itself (ways 1, 3, 4) or in our init of a fresh namespace (way 2). On failure nothing is left.
 * Sets the report's times, spins and pid_host (the pid as the calling process sees it).
 */
THUMP_MUST_CHECK int thump_rebuild_here(struct thump_plan *plan, enum thump_pid_way tid_way,
					struct thump_rebuild_report *report, pid_t *pid_ret,
					struct thump_err *err);

/*
 * Makes what thump_rebuild_here() in our init begins with, while the init is not ready yet: the
 * init, which shares our memory, takes it over with a descriptor of its own. *fd_ret is ours, to be
 * closed whatever comes. thump_region_forget() after a failure: if nobody took it over, it goes.
 */
THUMP_MUST_CHECK int thump_region_prepare(struct thump_plan *plan, int *fd_ret,
					  struct thump_err *err);
void thump_region_forget(struct thump_plan *plan);

/* Adds what keeps the pids from being kept, and the clock rule, to problems; picks the first way
 * that works, in the order of docs/ARCHITECTURE.md. */
THUMP_MUST_CHECK int thump_choose_way(const struct thump_model *model,
				      const struct thump_rebuild_options *options,
				      struct thump_problems *problems, enum thump_pid_way *way_ret,
				      struct thump_err *err);

/*
 * Way 2: a fresh pid + mount + time namespace (and a user namespace where we lack CAP_SYS_ADMIN),
 * whose pid 1 calls thump_rebuild_here(plan, SET_TID) inside, reports
 * through a socket and stays as reaper. *child_ret is that init. thump_rebuild_start (ways.c)
 * calls this or thump_rebuild_here.
 */
THUMP_MUST_CHECK int thump_rebuild_in_namespace(struct thump_plan *plan,
						struct thump_rebuild_report *report,
						pid_t *child_ret, struct thump_err *err);

/*
 * Way 2 for a program that was pid 1: like fork(2), but the child is pid 1 of fresh namespaces, and
 * nobody is between it and the caller. report->user_namespace says which; sets time_namespace,
 * own_proc and entered, time_namespace also in the child.
 */
THUMP_MUST_CHECK int thump_spawn_first(const struct thump_plan *plan,
				       struct thump_rebuild_report *report, pid_t *pid_ret,
				       struct thump_err *err);

/* The first part of way 2 with an init of ours, which needs no image yet; and what it needs to go
 * on until there is a plan. */
THUMP_MUST_CHECK int thump_init_begin(struct thump_head_start **start_ret, struct thump_err *err);
void thump_init_set_clocks(struct thump_head_start *start, const struct thump_model *model,
			   const struct thump_rebuild_options *options);

/* The rest of the init's life: forwards signals, reaps, tells thump; ends with the program, which
 * is a child of ours, or a clone of a template. */
_Noreturn void thump_init_serve(pid_t program, bool is_clone, int control_fd);

/*
 * Capabilities. What the restored process ends up with is never more than the image had and never
 * more than the caller has; in a fresh user namespace it is nothing.
 *
 * The parent computes thump_caps_final(). The child calls thump_caps_before_exec() last before it
 * execs the target's executable (after everything that needs capabilities; a change of uid before
 * it must be preceded by prctl(PR_SET_KEEPCAPS, 1)): it drops what the final bounding set lacks,
 * and makes ambient what the process still needs, because execve(2) takes every other capability
 * from a uid that is not 0: CAP_CHECKPOINT_RESTORE for the blob's clone3(set_tid), and what is
 * permitted in the end. The blob's last steps then are prctl(PR_CAP_AMBIENT,
 * PR_CAP_AMBIENT_CLEAR_ALL), capset with the final sets, and one PR_CAP_AMBIENT_RAISE for every bit
 * of the final ambient set. No step may need a capability after that.
 */
struct thump_caps {
	uint64_t inheritable, permitted, effective, bounding, ambient;
};

/* The first three sets as capset(2) takes them. */
struct thump_capset {
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
};
struct thump_capset thump_caps_encode(const struct thump_caps *caps);

struct thump_caps thump_caps_final(const struct thump_model *model,
				   const struct thump_rebuild_report *report);
THUMP_MUST_CHECK int thump_caps_before_exec(const struct thump_caps *final,
					    enum thump_pid_way tid_way, struct thump_err *err);
/* Effective, permitted and inheritable of the calling process; -1 with errno. */
THUMP_MUST_CHECK int thump_caps_get(struct thump_caps *caps);
THUMP_MUST_CHECK int thump_caps_set(const struct thump_caps *caps);
/* Of the calling process, from capget(2) and prctl(2). */
struct thump_caps thump_caps_own(void);
/* Which of these are in the bounding set of the calling process; a system call for each. */
uint64_t thump_caps_bounding(uint64_t set);
/* The same without bounding and ambient, which take a system call for each capability. */
struct thump_caps thump_caps_sets(void);
#define THUMP_CAP_BIT(cap) (UINT64_C(1) << (cap))

/* An init that knows its clocks, begun before the plan was made, or NULL; the caller's from now on.
 */
struct thump_head_start *thump_plan_take_head_start(struct thump_plan *plan);
const struct thump_model *thump_plan_model(const struct thump_plan *plan);
const struct thump_rebuild_options *thump_plan_options(const struct thump_plan *plan);

#endif
