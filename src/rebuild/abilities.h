/* SPDX-License-Identifier: Apache-2.0 */
/* The probes one by one, for choosing a way without paying for all of them. Each is tried for
 * real, in a way that leaves nothing: no version and no configuration file decides. */
#ifndef THUMP_REBUILD_ABILITIES_H
#define THUMP_REBUILD_ABILITIES_H

#include "rebuild/rebuild.h"

/* Sets clone3, set_tid and its reason. */
void thump_probe_set_tid(struct thump_abilities *abilities);

/* Sets user_namespace, needs_user_namespace, mount_proc, time_namespace, namespace_pid_max and the
 * reasons. 100-200 us. */
void thump_probe_namespaces(struct thump_abilities *abilities);

/*
 * What a process does to itself right after it was made in fresh namespaces; the probe and the
 * real thing are the same code. No malloc: the probe runs it in our memory (CLONE_VM).
 */
#define THUMP_NAMESPACE_FLAGS (CLONE_NEWPID | CLONE_NEWNS)
struct thump_namespace_setup {
	bool user_namespace;
	uid_t uid; /* the caller's effective ids: the same inside and outside */
	gid_t gid;
	/* What the clocks of the children show from now on; 0: what they show here. */
	uint64_t monotonic_ns, boottime_ns;
	/* errno of each stage, 0 when it went well */
	int map_errno, mount_errno, time_errno;
	uint32_t pid_max; /* of the probe */
};
void thump_namespace_enter(struct thump_namespace_setup *setup);
/* Its parts, in this order; without ids the others do nothing. The ids are one's own, the clocks
 * those of children, and /proc needs the new pid and mount namespaces. */
void thump_namespace_map_ids(struct thump_namespace_setup *setup);
void thump_namespace_set_clocks(struct thump_namespace_setup *setup);
void thump_namespace_mount_proc(struct thump_namespace_setup *setup);

#endif
