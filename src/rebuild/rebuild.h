/* SPDX-License-Identifier: Apache-2.0 */
/* STAGE 3: model -> a new process. */
#ifndef THUMP_REBUILD_REBUILD_H
#define THUMP_REBUILD_REBUILD_H

#include <signal.h>

#include "base/problems.h"
#include "image/image.h"
#include "kinds/kind.h"

/* How pids and tids are kept; docs/ARCHITECTURE.md, "Who is the restored process". */
enum thump_pid_way {
	THUMP_WAY_NONE = 0,
	THUMP_WAY_SET_TID = 1,	 /* clone3(set_tid) in our own pid namespace */
	THUMP_WAY_NAMESPACE = 2, /* a fresh user + pid + mount + time namespace */
	THUMP_WAY_SPIN = 3,	 /* start and reap cheap tasks until the wanted pid comes up */
	THUMP_WAY_OTHER = 4,	 /* other pids and tids; the runtime vouches for it */
};

enum thump_memory_mode {
	THUMP_MEMORY_AUTO = 0, /* LAZY where somebody vouches and the image can be mapped */
	THUMP_MEMORY_EAGER = 1,
	THUMP_MEMORY_LAZY = 2,	      /* vouched ranges lazily, the rest eagerly; never asked for */
	THUMP_MEMORY_LAZY_UNSAFE = 3, /* everything that the kernel can map lazily */
};

/* What of a process is made: docs/ARCHITECTURE.md, "Templates". */
enum thump_part {
	THUMP_PART_ALL = 0,
	THUMP_PART_TEMPLATE, /* the memory that clones inherit; it never runs */
	THUMP_PART_CLONE,    /* all else, in a clone of a template */
};

struct thump_cgroup_move;
struct thump_head_start;
struct thump_spare_owner;

struct thump_rebuild_options {
	enum thump_part part;
	int keeper_fd; /* THUMP_PART_CLONE: the connection to the template's keeper */
	/* THUMP_PART_CLONE: the control groups that are not its template's; or NULL. */
	const struct thump_cgroup_move *groups;
	/* THUMP_PART_CLONE: it waits until it is taken (spare.h); or NULL. */
	const struct thump_spare_owner *spare;
	bool with_spares; /* THUMP_PART_TEMPLATE: its clones may be spares */
	enum thump_memory_mode memory;
	bool keep_stdio;
	bool allow_clock_jump;
	bool real_clock; /* CLOCK_MONOTONIC is the machine's: nothing lets it go on where it was */
	/* For the runtime in the program (coord/abi.h), which must have room for them. */
	const char *const *parameters;
	size_t nr_parameters;
	/* Check lazily mapped content before the first instruction even when this user's restores
	 * have found it good before. */
	bool verify;
	/* To see what the program touches: as if nobody had ever trained the image, and each page
	 * of it comes into memory, and into the process, only when it is touched. Slow. */
	bool train;
	int cpu_level;	       /* check as if the machine had no more than that; 0: what it has */
	uint32_t spin_limit;   /* default 2000 */
	uint32_t allowed_ways; /* bit (1 << way); 0 = all that fit */
	/* Do not try out whether namespaces can be made before a start that makes them anyway; when
	 * it cannot, the start looks for another way. Not for a dry run. */
	bool assume_namespaces;
	const struct thump_prefetch *prefetch; /* or NULL; outlives the plan */
	/* Or NULL: the plan's as soon as thump_plan_create() is called. */
	struct thump_head_start *head_start;
	const struct thump_port_map *ports;
	size_t nr_ports;
	const struct thump_fd_rules *rules; /* resource policies; or NULL */
	bool trust_any_owner; /* restore an image that somebody else may have written */
	bool new_session;     /* the restored process leads a session of its own */
	bool detach;	      /* it leaves thump's session and group for good */
	/* The first of these that comes before the program runs ends the start, which fails. They
	 * are blocked, and so is THUMP_NOTE_SIGNAL. Empty: none. */
	sigset_t give_up_on;
	/* While content is checked; may be NULL. Called in any thread, and in our init, but always
	 * before the program runs. The last call of a check has done == total, also where it found
	 * damage. */
	thump_progress_fn progress;
	void *progress_ctx;
};

struct thump_rebuild_report {
	enum thump_pid_way way;
	enum thump_memory_mode memory;
	bool entered; /* way 2: the namespaces were made and are as wanted */
	/* Of the image's capability bounding set what thump's own has: a fresh user namespace has
	 * all. */
	uint64_t bounding;
	bool retry; /* this start follows one whose way was not to be had */
	bool time_namespace;
	bool user_namespace; /* way 2: a fresh one, so that no capability means anything outside */
	bool own_proc;	     /* way 2: with a /proc of its own */
	/* Way 2: where our init sends struct thump_init_event (SOCK_SEQPACKET), owned by the
	 * caller; its end of file is the init's end. Else -1. */
	int control_fd;
	bool spare;	 /* times are those since it was taken */
	int given_up_on; /* after a failure: the signal that was its cause, or 0 */
	pid_t pid_host;	 /* of the restored process, as the caller sees it */
	uint64_t spins;
	/* nanoseconds, from the start of thump_rebuild_start */
	uint64_t open_ns, check_ns, fork_ns, fds_ns, exec_ns, setup_ns, threads_ns, memory_ns,
		finish_ns, commit_ns, total_ns;
};

/*
 * What most starts of somebody who may do no more than others need, and no image decides: begun
 * before the image is read, it is ready when the plan is. NULL where these options lead elsewhere;
 * for options.head_start.
 */
struct thump_head_start *thump_head_start_begin(const struct thump_rebuild_options *options);
/* For one that no plan took over. Nothing is left of it; NULL is fine. */
void thump_head_start_destroy(struct thump_head_start *start);

/* What has been asked of a disk, in this order. */
enum thump_prefetched {
	THUMP_PREFETCHED_FIRST = 1, /* what a restore reads, and what is written to first */
	THUMP_PREFETCHED_HOT,	    /* what the program reads until it is of use, too */
};

/* Has what a trained image says is hot, what is read in any case, and then the rest come from a
 * disk while all else goes on. NULL where it is in memory. */
struct thump_prefetch *thump_prefetch_start(const struct thump_image *image);
/* Until whoever touches that waits for no more than it; at once for NULL, too. */
void thump_prefetch_wait(const struct thump_prefetch *prefetch, enum thump_prefetched what);
/* The rest is of use for as long as `pid` runs; 0: there is no such program. */
void thump_prefetch_end(struct thump_prefetch *prefetch, pid_t pid);

/* Everything that can be known before a process exists; opens files; lists all misfits. */
struct thump_plan;
THUMP_MUST_CHECK int thump_plan_create(struct thump_image *image,
				       const struct thump_rebuild_options *options,
				       struct thump_problems *problems,
				       struct thump_plan **plan_ret, struct thump_err *err);
void thump_plan_destroy(struct thump_plan *plan);
enum thump_pid_way thump_plan_way(const struct thump_plan *plan);
/* Those that get other modes when it starts; thump_terminals_put_back() when it has ended. */
struct thump_terminals thump_plan_terminals(const struct thump_plan *plan);
/* What will be done: never AUTO. */
enum thump_memory_mode thump_plan_memory(const struct thump_plan *plan);

/*
 * Makes the process and lets it run. *child_ret is the pid to wait for: the restored process, or
 * our init of its pid namespace, which passes signals on and ends with its status (report->pid_host
 * is always the restored process). On failure nothing is left. May be called again.
 */
THUMP_MUST_CHECK int thump_rebuild_start(struct thump_plan *plan,
					 struct thump_rebuild_report *report, pid_t *child_ret,
					 struct thump_err *err);

/* What our init of a fresh pid namespace tells while its program runs. */
enum thump_init_event_what {
	THUMP_INIT_STOPPED = 1,	     /* the program was stopped by signal `value` (job control) */
	THUMP_INIT_CHECKPOINTED = 2, /* it was checkpointed and is ended; base/note.h */
	THUMP_INIT_FAILED = 3, /* the init ends, and the program with it; `value` is an errno */
};
struct thump_init_event {
	uint32_t what;
	int32_t value;
};

/* What this machine and user allow, for `doctor` and for choosing a way. */
struct thump_abilities {
	bool set_tid;	     /* CAP_CHECKPOINT_RESTORE (or CAP_SYS_ADMIN) in our pid namespace */
	bool user_namespace; /* an unprivileged user + pid namespace can be made */
	bool mount_proc;     /* and its own /proc mounted */
	bool time_namespace;
	bool needs_user_namespace; /* without CAP_SYS_ADMIN here */
	bool pagemap_scan;
	bool pidfd_getfd;
	bool kcmp;
	bool clone3;
	bool ptrace;
	int yama_scope; /* -1: no yama */
	char set_tid_reason[128], user_namespace_reason[128], mount_proc_reason[128],
		time_namespace_reason[128], ptrace_reason[128];
	uint32_t last_pid, pid_max;
	uint32_t namespace_pid_max; /* inside a fresh pid namespace */
};
void thump_probe_abilities(struct thump_abilities *abilities);

#endif
