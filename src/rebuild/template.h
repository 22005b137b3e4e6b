/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates: a process that is rebuilt as far as all clones are alike, and waits. Its *keeper* is
 * its parent and that of its clones; who wants a clone is its *maker*: thump spawn, or our init in
 * the clone's pid namespace. Keeper and maker speak over a unix socket that keeps messages apart:
 *
 *   keeper -> maker   struct thump_template_hello, when the maker has connected
 *   maker -> keeper   struct thump_template_ask
 *   keeper -> maker   struct thump_clone_reply (resume/abi.h)
 *   keeper -> maker   struct thump_clone_end, when the clone has ended
 *
 * Each side believes the other only if it has its own uid (SO_PEERCRED).
 */
#ifndef THUMP_REBUILD_TEMPLATE_H
#define THUMP_REBUILD_TEMPLATE_H

#include <limits.h>
#include <sched.h>
#include <sys/resource.h>

#include "rebuild/rebuild.h"
#include "rebuild/verified.h"
#include "resume/abi.h"

#define THUMP_TEMPLATE_NAME_MAX 64

/* What a clone inherits from its template, and would from its caller if it were restored: where it
 * is not the same, there is no clone; but it is moved into other control groups. */
struct thump_kin {
	uint64_t build; /* of thump: keeper and maker must be one and the same program */
	uint64_t namespaces[8];
	uint64_t cgroup, root, label; /* of their names */
	struct rlimit limits[RLIM_NLIMITS];
	uint32_t uid, gid, groups;
	uint32_t securebits, no_new_privs, seccomp, nr_filters, personality;
	uint64_t effective, permitted, inheritable, ambient, bounding;
	int32_t oom_score_adj, nice, ioprio, policy;
	uint64_t timer_slack_ns;
	uint64_t affinity[CPU_SETSIZE / 64];
};

THUMP_MUST_CHECK int thump_kin_of_us(struct thump_kin *kin, struct thump_err *err);
/* What is not the same ("a resource limit"), control groups aside; NULL when all is. */
const char *thump_kin_difference(const struct thump_kin *a, const struct thump_kin *b);

#define THUMP_MAX_SPARES 128

struct thump_template_hello {
	uint64_t size_bytes; /* of this: another thump may have another one */
	struct thump_kin kin;
	struct thump_file_state image;
	uint64_t started_ns; /* CLOCK_REALTIME */
	uint64_t nr_clones;  /* so far */
	int32_t template_pid, keeper_pid;
	char name[THUMP_TEMPLATE_NAME_MAX + 1];
	uint32_t nr_spares, wanted_spares; /* that can be taken, that there should be */
	int32_t spares[THUMP_MAX_SPARES];  /* pids of the former */
	char spare_trouble[256];	   /* why there are fewer, if something is in the way */
	char group[THUMP_TEMPLATE_NAME_MAX +
		   1]; /* the name of its first one, see cli/templates.h */
	uint32_t group_size;
	char path[PATH_MAX];
};

enum thump_template_what {
	THUMP_TEMPLATE_CLONE = 1, /* with the descriptors of enum thump_clone_fd */
	THUMP_TEMPLATE_STOP = 2,
	THUMP_TEMPLATE_SPARE = 3, /* with descriptors: cli/spare.h */
};

struct thump_template_ask {
	uint32_t what;
	uint32_t pad;
	struct thump_clone_request request;
};

struct thump_clone_end {
	int32_t status; /* as of a shell: 128 + N for signal N */
};

/* For the keeper: makes the template as a child of ours. *control_fd_ret is the socket to it, whose
 * end is its end. The plan's options.part is THUMP_PART_TEMPLATE. */
THUMP_MUST_CHECK int thump_template_start(struct thump_plan *plan, int *control_fd_ret,
					  pid_t *pid_ret, struct thump_err *err);
/* Passes a request on to the template. -1: it has ended. */
THUMP_MUST_CHECK int thump_template_clone(int control_fd, const struct thump_clone_request *request,
					  const int *fds, size_t nr_fds,
					  struct thump_clone_reply *reply_ret,
					  struct thump_err *err);

#endif
