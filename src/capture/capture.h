/* SPDX-License-Identifier: Apache-2.0 */
/* STAGE 1: a running process -> model + page stream. */
#ifndef THUMP_CAPTURE_CAPTURE_H
#define THUMP_CAPTURE_CAPTURE_H

#include "base/problems.h"
#include "image/image.h"
#include "model/model.h"

struct thump_target;
struct thump_fd_rules;

#define THUMP_CAPTURE_PATIENCE_MS 1000U

/* What is to be left out: whole pages, or all mappings of a name. */
struct thump_scrub {
	const char *text; /* as it was said */
	const char *name; /* "[anon:keys]" as in /proc/PID/maps; NULL: it is `range` */
	struct thump_range range;
};

struct thump_capture_options {
	pid_t pid;
	unsigned patience_ms;	    /* for threads that do not stop at once; 0: the above */
	uint64_t carry_limit_bytes; /* open temporary files carried in the image; default 64 MiB */
	const struct thump_fd_rules *rules; /* of descriptors (kinds/rules.h), or NULL */
	/* Only what would be refused is wanted (--dry-run): slow texts are read before the stop. */
	bool only_check;
	/* Only what hooks of the program cannot cure is wanted, before they run: not descriptors,
	 * nor what is made of them. There is no model for an image then. With only_check. */
	bool before_hooks;
	/* The memory is that of a copy of the target (thump_target_fork()), which is made while the
	 * target stands still; so it stands still for no longer. */
	bool live;
	/* thump itself, started by the target: neither is refused as a child of it. 0: nobody. */
	pid_t own_pids[2];
	/* Anonymous memory whose content the program does not need: zeros in the image. Whole
	 * pages, in ascending order, without overlaps; owned by the caller, until the end of
	 * thump_capture_begin, or of thump_capture_look_at_copy. */
	const struct thump_range *needless;
	size_t nr_needless;
	/* The same, as who makes the image says it: refused where it cannot be. Owned by the
	 * caller, as long. */
	const struct thump_scrub *scrubs;
	size_t nr_scrubs;
	/* Memory that the runtime manages itself: becomes model.vouched; by the same rules. */
	const struct thump_range *vouched;
	size_t nr_vouched;
	/* The arenas of glibc's malloc are vouched for, too. */
	bool vouches_arenas;
	/* What the program keeps out of core dumps (MADV_DONTDUMP): zeros in the image. */
	bool leaves_out_dontdump;
	int cpu_level; /* the program keeps within (proc/arch/cpu.h); 0: none that is known */
	struct thump_runtime runtime; /* in the target; owned by the caller, copied */
	int32_t tid_from_self;	      /* as in coord/abi.h; 0: other tids are not for the target */
};

struct thump_capture_times {
	uint64_t before_ns;	/* reads before the stop */
	uint64_t stopped_at_ns; /* CLOCK_MONOTONIC */
	/* From here on the target stands still. */
	uint64_t stop_ns;   /* seize and interrupt */
	uint64_t state_ns;  /* what /proc and system calls of our own tell */
	uint64_t remote_ns; /* system calls that the target made for us */
	uint64_t fds_ns;    /* descriptors */
	uint64_t maps_ns;   /* smaps, files and shared memory */
	uint64_t copy_ns;   /* live: until the copy is there, with what it would lack */
	uint64_t fork_ns;   /* live: the part of it that clone(2) took */
	/* Live: of the copy, while the target runs on. */
	uint64_t scan_ns; /* PAGEMAP_SCAN */
};

struct thump_capture;

/*
 * Stops the target, collects everything into a model and lists what cannot be saved. The target is
 * stopped on return when 0 is returned, and running as before when -1 is. Live, its memory has been
 * copied by then (unless something cannot be saved, or only_check), and not been looked at.
 * Phases are a table with undo (capture/phases.c).
 */
THUMP_MUST_CHECK int thump_capture_begin(const struct thump_capture_options *options,
					 struct thump_problems *problems,
					 struct thump_capture **capture_ret, struct thump_err *err);

const struct thump_model *thump_capture_model(const struct thump_capture *capture);
struct thump_page_source thump_capture_source(struct thump_capture *capture);
const struct thump_capture_times *thump_capture_times(const struct thump_capture *capture);

/* What of the model is found while its memory is copied is there. To be called before the model's
 * records are written; the copy may go on. */
THUMP_MUST_CHECK int thump_capture_settle(struct thump_capture *capture, struct thump_err *err);

/* Live, after thump_capture_resume(): finds what of the copy's memory is to be stored. */
THUMP_MUST_CHECK int thump_capture_look_at_copy(struct thump_capture *capture,
						struct thump_err *err);

/* Live: the memory is not needed any more. Stops the target once more, for the moment that it takes
 * it to wait for its copy; *held_ns_ret: how long. 0 also when there is no copy, or no target any
 * more. */
THUMP_MUST_CHECK int thump_capture_end_copy(struct thump_capture *capture, uint64_t *held_ns_ret,
					    struct thump_err *err);

/*
 * After the process that had captured `pid` live was killed: waits for the end of the copy that it
 * has left, if any, and has the target reap it. The copy is a child of the target's without an exit
 * signal that began at `since_ticks` (field 22 of proc_pid_stat(5)) or later.
 */
void thump_capture_clean_up(pid_t pid, uint64_t since_ticks);

/* How the target goes on. */
void thump_capture_resume(struct thump_capture *capture);
THUMP_MUST_CHECK int thump_capture_kill(struct thump_capture *capture, struct thump_err *err);

/* Resumes the target if it is still stopped, ends its copy, then frees. NULL is fine. */
void thump_capture_destroy(struct thump_capture *capture);

/*
 * The pages that process `pid`, made from an image of this model with its memory mapped lazily, has
 * touched so far; no privilege but that of a tracer is needed, and it need not stand still. The
 * lists are in `arena`.
 */
THUMP_MUST_CHECK int thump_capture_touched(pid_t pid, const struct thump_model *model,
					   struct thump_arena *arena, struct thump_hot *hot_ret,
					   struct thump_err *err);

#endif
