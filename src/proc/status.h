/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/status and /proc/PID/stat, see proc(5). */
#ifndef THUMP_PROC_STATUS_H
#define THUMP_PROC_STATUS_H

#include "base/arena.h"
#include "base/err.h"

struct thump_status {
	char state;	/* R S D T t Z X ... */
	uint32_t umask; /* UINT32_MAX where the line is missing (before Linux 4.7, or no fs) */
	int32_t tgid, pid, ppid, tracer_pid; /* as the reader of /proc sees them */
	/* In the process' own (innermost) pid namespace: last number of NSpid and its kin. */
	int32_t ns_tgid, ns_pid, ns_pgid, ns_sid;
	uint32_t nspid_levels;	 /* 1: same pid namespace as the reader's /proc */
	uint32_t uid[4], gid[4]; /* real, effective, saved, file system */
	uint32_t *groups;
	uint32_t nr_groups;
	uint64_t cap_inheritable, cap_permitted, cap_effective, cap_bounding, cap_ambient;
	uint64_t sigpending, shared_pending, sigblocked, sigignored, sigcaught;
	uint32_t threads;
	bool no_new_privs;
	uint32_t seccomp; /* 0 off, 1 strict, 2 filter */
	uint32_t seccomp_filters;
	bool kernel_thread;
	bool thp_enabled;     /* false: PR_SET_THP_DISABLE */
	uint64_t locked_kib;  /* VmLck */
	uint64_t hugetlb_kib; /* HugetlbPages */
	uint64_t rss_shmem_kib;
	bool shadow_stack; /* x86_Thread_features has shstk */
	const char *speculation_store_bypass, *speculation_indirect_branch; /* "" if missing */
};

/* Lines that this kernel does not have stay zero; Uid, Gid, Pid and State are required. */
THUMP_MUST_CHECK int thump_status_parse(const char *text, struct thump_arena *arena,
					struct thump_status *status_ret, struct thump_err *err);
/* The same of a file of /proc like PID/status: `path` relative to dir_fd, or absolute. */
THUMP_MUST_CHECK int thump_status_read(int dir_fd, const char *path, struct thump_arena *arena,
				       struct thump_status *status_ret, struct thump_err *err);

/* Fields of /proc/PID/stat by their numbers in proc(5). Addresses are 0 without ptrace access. */
struct thump_stat {
	int32_t pid;
	char comm[64];				    /* (2) without parentheses */
	char state;				    /* (3) */
	int32_t ppid, pgrp, session, tty_nr;	    /* (4)-(7); as the reader of /proc sees them */
	uint64_t flags;				    /* (9) PF_* */
	int64_t priority, nice;			    /* (18) (19) */
	int64_t num_threads;			    /* (20) */
	uint64_t start_time_ticks;		    /* (22) since boot */
	uint64_t start_code, end_code, start_stack; /* (26) (27) (28) */
	int64_t exit_signal;			    /* (38) */
	uint64_t rt_priority, policy;		    /* (40) (41) */
	uint64_t start_data, end_data, start_brk;   /* (45) (46) (47) */
	uint64_t arg_start, arg_end, env_start, env_end; /* (48)-(51) */
};

/* comm may hold anything, parentheses and newlines included: it ends at the last ')'. */
THUMP_MUST_CHECK int thump_stat_parse(const char *text, struct thump_stat *stat_ret,
				      struct thump_err *err);

#endif
