/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt to make a process: what the ways to do it have in common (here.c, template.c,
 * clone.c). */
#ifndef THUMP_REBUILD_ATTEMPT_H
#define THUMP_REBUILD_ATTEMPT_H

#include <pthread.h>
#include <stdatomic.h>

#include "rebuild/fill.h"
#include "rebuild/jobs.h"
#include "trace/newborn.h"

/* ---- verifier.c ------------------------------------------------------------------------------ */

struct thump_verifier {
	struct thump_image *image;
	struct thump_file_range *ranges;
	size_t nr_ranges;
	const struct thump_rebuild_options *options;
	atomic_bool stop, done;
	bool running;
	pthread_t thread;
	pid_t waiter; /* the thread that is told with SIGCHLD that it is done */
	int result;
	struct thump_err err;
};

THUMP_MUST_CHECK int thump_verifier_start(struct thump_verifier *verifier,
					  const struct thump_plan *plan,
					  const struct thump_jobs *jobs, struct thump_err *err);
/* Waits for its judgement, and for signals to give up on. */
THUMP_MUST_CHECK int thump_verifier_wait(struct thump_verifier *verifier,
					 struct thump_newborn *newborn, struct thump_err *err);
void thump_verifier_deinit(struct thump_verifier *verifier);

/* ---- here.c ---------------------------------------------------------------------------------- */

struct thump_attempt {
	struct thump_plan *plan;
	struct thump_rebuild_report *report;
	struct thump_region region;
	struct thump_jobs jobs;
	struct thump_verifier verifier;
	struct thump_filler *filler; /* instead of the verifier; or NULL */
	struct thump_newborn *newborn;
	bool first;   /* it becomes pid 1 of fresh namespaces */
	int clone_fd; /* our socket to a clone, or -1; owned */
	uint64_t start_ns, start_ticks, forked_ticks;
};

/* From the moment that it is traced. */
void thump_attempt_give_up_on(struct thump_attempt *attempt);
/* Writes the steps, and starts checking what they read. */
THUMP_MUST_CHECK int thump_attempt_write_steps(struct thump_attempt *attempt,
					       enum thump_pid_way tid_way,
					       const struct thump_caps *caps,
					       struct thump_err *err);
/* A child of ours that becomes the target's executable and is stopped there; the steps are written
 * meanwhile. */
THUMP_MUST_CHECK int thump_attempt_exec(struct thump_attempt *attempt, enum thump_pid_way tid_way,
					const struct thump_caps *caps, struct thump_err *err);
/* Fills it, until the blob traps. */
THUMP_MUST_CHECK int thump_attempt_run_blob(struct thump_attempt *attempt, struct thump_err *err);
/* What the blob left of a failure; 0 where there was none. */
THUMP_MUST_CHECK int thump_attempt_check_blob(const struct thump_attempt *attempt,
					      struct thump_err *err);
THUMP_MUST_CHECK int thump_attempt_init(struct thump_attempt *attempt, struct thump_plan *plan,
					struct thump_rebuild_report *report, struct thump_err *err);
void thump_attempt_deinit(struct thump_attempt *attempt);

/* ---- clone.c --------------------------------------------------------------------------------- */

/* In place of thump_attempt_exec() and thump_attempt_run_blob(): a template is cloned. */
THUMP_MUST_CHECK int thump_attempt_clone(struct thump_attempt *attempt, enum thump_pid_way tid_way,
					 const struct thump_caps *caps, struct thump_err *err);

#endif
