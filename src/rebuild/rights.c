/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose rights open files. Where we may take on the program's ids, its files are looked up with
 * the rights that it will have, not with ours: its user may have put a link into a path since the
 * checkpoint, and the program would get a descriptor of a file that only we may open.
 */
#include <grp.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "rebuild/plan.h"

/* CAP_FS_SET of the kernel: what a file system's permission checks ask for. */
#define FILE_CAPS                                                                                  \
	(THUMP_CAP_BIT(CAP_CHOWN) | THUMP_CAP_BIT(CAP_DAC_OVERRIDE) |                              \
	 THUMP_CAP_BIT(CAP_DAC_READ_SEARCH) | THUMP_CAP_BIT(CAP_FOWNER) |                          \
	 THUMP_CAP_BIT(CAP_FSETID) | THUMP_CAP_BIT(CAP_LINUX_IMMUTABLE) |                          \
	 THUMP_CAP_BIT(CAP_MKNOD) | THUMP_CAP_BIT(CAP_MAC_OVERRIDE))

/* A user namespace may deny setgroups(2) even for what is there already. */
static int set_groups(size_t count, const gid_t *groups)
{
	gid_t own[NGROUPS_MAX];
	int nr_own = getgroups(NGROUPS_MAX, own);

	if (nr_own == (int)count && (count == 0 || memcmp(own, groups, count * sizeof(*own)) == 0))
		return 0;
	return setgroups(count, groups);
}

/* setfsuid(2) and setfsgid(2) tell only the id of before: asking for -1 changes nothing. */
static int set_file_ids(uid_t uid, gid_t gid, struct thump_err *err)
{
	(void)setfsgid(gid);
	(void)setfsuid(uid);
	if ((gid_t)setfsgid((gid_t)-1) != gid || (uid_t)setfsuid((uid_t)-1) != uid)
		return thump_fail(err, "files cannot be opened as uid %u, gid %u", uid, gid);
	return 0;
}

int thump_act_as_program(const struct thump_plan *plan, struct thump_err *err)
{
	const struct thump_creds *creds = &plan->model->process.creds;
	struct thump_caps caps;

	if (plan->ids != THUMP_IDS_SET)
		return 0;
	if (set_groups(creds->nr_groups, creds->groups) < 0)
		return thump_fail_errno(err, "setgroups");
	if (set_file_ids(creds->fsuid, creds->fsgid, err) < 0)
		return -1;
	if (thump_caps_get(&caps) < 0)
		return thump_fail_errno(err, "capget");
	/* setfsuid(2) has only taken them from uid 0, and all of them. */
	caps.effective |= FILE_CAPS & caps.permitted;
	caps.effective &= ~(FILE_CAPS & ~creds->cap_effective);
	return thump_caps_set(&caps) < 0 ? thump_fail_errno(err, "capset") : 0;
}

struct thump_own_rights {
	struct thump_caps caps;
	gid_t *groups;
	int nr_groups;
	int dumpable, pdeathsig;
};

static int remember(struct thump_own_rights *own, struct thump_err *err)
{
	own->nr_groups = getgroups(0, NULL);
	if (own->nr_groups < 0)
		return thump_fail_errno(err, "getgroups");
	own->groups = calloc((size_t)own->nr_groups + 1, sizeof(*own->groups));
	if (!own->groups)
		return thump_fail(err, "out of memory");
	own->nr_groups = getgroups(own->nr_groups, own->groups);
	own->dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	if (own->nr_groups < 0 || prctl(PR_GET_PDEATHSIG, &own->pdeathsig, 0, 0, 0) < 0)
		return thump_fail_errno(err, "getgroups");
	return thump_caps_get(&own->caps) < 0 ? thump_fail_errno(err, "capget") : 0;
}

static int act_as_ourselves(const struct thump_own_rights *own, struct thump_err *err)
{
	if (set_file_ids(geteuid(), getegid(), err) < 0)
		return -1;
	if (set_groups((size_t)own->nr_groups, own->groups) < 0)
		return thump_fail_errno(err, "setgroups");
	if (thump_caps_set(&own->caps) < 0)
		return thump_fail_errno(err, "capset");
	/* commit_creds() in the kernel's cred.c resets both when a filesystem id changes. */
	(void)prctl(PR_SET_DUMPABLE, own->dumpable == 1, 0, 0, 0);
	(void)prctl(PR_SET_PDEATHSIG, own->pdeathsig, 0, 0, 0);
	return 0;
}

int thump_check_fds_as_program(struct thump_plan *plan, struct thump_problems *problems,
			       struct thump_err *err)
{
	struct thump_own_rights own = { 0 };
	struct thump_err later = THUMP_ERR_INIT;
	int result = -1;

	if (plan->ids != THUMP_IDS_SET)
		return thump_check_fds(&plan->rb, problems, err);
	if (remember(&own, err) == 0) {
		if (thump_act_as_program(plan, err) == 0)
			result = thump_check_fds(&plan->rb, problems, err);
		if (act_as_ourselves(&own, result < 0 ? &later : err) < 0)
			result = -1;
	}
	thump_free_ptr(&own.groups);
	return result;
}

void thump_undo_fds_as_program(struct thump_plan *plan)
{
	struct thump_own_rights own = { 0 };
	struct thump_err ignored;

	if (plan->ids != THUMP_IDS_SET) {
		thump_made_undo(&plan->rb);
		return;
	}
	/* Never with more rights: whoever owns the folders could put others in their place. */
	if (remember(&own, &ignored) == 0) {
		if (thump_act_as_program(plan, &ignored) == 0)
			thump_made_undo(&plan->rb);
		(void)!act_as_ourselves(&own, &ignored);
	}
	thump_free_ptr(&own.groups);
}
