/* SPDX-License-Identifier: Apache-2.0 */
/* Who the process is: ids, groups, capabilities; and what of it cannot be given back. */
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "capture/context.h"

static bool all_same(const uint32_t ids[4])
{
	return ids[0] == ids[1] && ids[0] == ids[2] && ids[0] == ids[3];
}

static void refuse_foreign_ids(struct thump_capture *cap, const struct thump_status *status)
{
	if (!all_same(status->uid))
		thump_capture_refuse(cap, "credentials",
				     "user ids %u (real), %u (effective), %u (saved), %u (file "
				     "system): a process with several identities cannot be saved",
				     status->uid[0], status->uid[1], status->uid[2],
				     status->uid[3]);
	if (!all_same(status->gid))
		thump_capture_refuse(cap, "credentials",
				     "group ids %u (real), %u (effective), %u (saved), %u (file "
				     "system): a process with several identities cannot be saved",
				     status->gid[0], status->gid[1], status->gid[2],
				     status->gid[3]);
}

/* security.* of the LSM: "docker-default (enforce)". A restored process gets the label of the
 * restoring thump, so one that differs from ours would be lost. */
static void refuse_foreign_label(struct thump_capture *cap)
{
	auto_free char *theirs = NULL, *ours = NULL;
	size_t their_size = 0, our_size = 0;

	if (thump_slurp(cap->proc_fd, "attr/current", &theirs, &their_size) < 0 ||
	    thump_slurp(AT_FDCWD, "/proc/self/attr/current", &ours, &our_size) < 0)
		return; /* no LSM with labels: EINVAL */
	if (their_size == our_size && memcmp(theirs, ours, our_size) == 0)
		return;
	thump_capture_refuse(cap, "security-label",
			     "security label %.*s: differs from thump's own (%.*s) and cannot be "
			     "saved",
			     (int)strcspn(theirs, "\n"), theirs, (int)strcspn(ours, "\n"), ours);
}

int thump_capture_creds(struct thump_capture *cap, struct thump_err *err)
{
	const struct thump_status *status = &cap->status;
	struct thump_creds *creds = &cap->model.process.creds;

	(void)err;
	*creds = (struct thump_creds){
		.uid = status->uid[0],
		.euid = status->uid[1],
		.suid = status->uid[2],
		.fsuid = status->uid[3],
		.gid = status->gid[0],
		.egid = status->gid[1],
		.sgid = status->gid[2],
		.fsgid = status->gid[3],
		.groups = status->groups,
		.nr_groups = status->nr_groups,
		.cap_inheritable = status->cap_inheritable,
		.cap_permitted = status->cap_permitted,
		.cap_effective = status->cap_effective,
		.cap_bounding = status->cap_bounding,
		.cap_ambient = status->cap_ambient,
		.no_new_privs = status->no_new_privs,
		.seccomp_filters_known = true,
		.seccomp_filters = status->seccomp_filters,
	};
	refuse_foreign_ids(cap, status);
	refuse_foreign_label(cap);
	return 0;
}
