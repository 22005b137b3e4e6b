/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside src/rebuild: the seam between "which process with which pid" (ways.c, namespace.c,
 * spin.c) and "what becomes of it" (plan.c, steps.c, inject.c, commit.c).
 */
#ifndef THUMP_REBUILD_SPAWN_H
#define THUMP_REBUILD_SPAWN_H

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
 * to get pids and tids in the pid namespace of the caller: SET_TID, SPIN or OTHER. Called in thump
 * itself (ways 1, 3, 4) or in our init of a fresh namespace (way 2). On failure nothing is left.
 * Sets the report's times, spins and pid_host (the pid as the calling process sees it).
 */
THUMP_MUST_CHECK int thump_rebuild_here(struct thump_plan *plan, enum thump_pid_way tid_way,
					struct thump_rebuild_report *report, pid_t *pid_ret,
					struct thump_err *err);

/* Adds what keeps the pids from being kept, and the clock rule, to problems; picks the first way
 * that works, in the order of docs/ARCHITECTURE.md. */
THUMP_MUST_CHECK int thump_choose_way(const struct thump_model *model,
				      const struct thump_rebuild_options *options,
				      struct thump_problems *problems, enum thump_pid_way *way_ret,
				      struct thump_err *err);

const struct thump_model *thump_plan_model(const struct thump_plan *plan);
const struct thump_rebuild_options *thump_plan_options(const struct thump_plan *plan);

#endif
