/* SPDX-License-Identifier: Apache-2.0 */
/* capabilities(7) of the restored process; the rules are in spawn.h. Raw capget/capset: libcap
 * would be one more library to load at every restore. */
#include "rebuild/spawn.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LAST_CAP_BIT 63

struct thump_capset thump_caps_encode(const struct thump_caps *caps)
{
	return (struct thump_capset){
		.header = { .version = _LINUX_CAPABILITY_VERSION_3 },
		.data = { { .effective = (uint32_t)caps->effective,
			    .permitted = (uint32_t)caps->permitted,
			    .inheritable = (uint32_t)caps->inheritable },
			  { .effective = (uint32_t)(caps->effective >> 32),
			    .permitted = (uint32_t)(caps->permitted >> 32),
			    .inheritable = (uint32_t)(caps->inheritable >> 32) } },
	};
}

int thump_caps_get(struct thump_caps *caps)
{
	struct thump_capset set = { .header = { .version = _LINUX_CAPABILITY_VERSION_3 } };

	if (syscall(SYS_capget, &set.header, set.data) < 0)
		return -1;
	*caps = (struct thump_caps){
		.effective = set.data[0].effective | (uint64_t)set.data[1].effective << 32,
		.permitted = set.data[0].permitted | (uint64_t)set.data[1].permitted << 32,
		.inheritable = set.data[0].inheritable | (uint64_t)set.data[1].inheritable << 32,
	};
	return 0;
}

int thump_caps_set(const struct thump_caps *caps)
{
	struct thump_capset set = thump_caps_encode(caps);

	return (int)syscall(SYS_capset, &set.header, set.data);
}

struct thump_caps thump_caps_sets(void)
{
	struct thump_caps caps = { 0 };

	return thump_caps_get(&caps) < 0 ? (struct thump_caps){ 0 } : caps;
}

uint64_t thump_caps_bounding(uint64_t set)
{
	uint64_t found = 0;

	for (unsigned cap = 0; cap <= LAST_CAP_BIT; cap++) {
		int in_set = set & THUMP_CAP_BIT(cap) ? prctl(PR_CAPBSET_READ, cap, 0, 0, 0) : 0;

		/* EINVAL: behind the kernel's last capability. */
		if (in_set < 0)
			break;
		if (in_set > 0)
			found |= THUMP_CAP_BIT(cap);
	}
	return found;
}

struct thump_caps thump_caps_own(void)
{
	struct thump_caps caps = { 0 };

	if (thump_caps_get(&caps) < 0)
		return (struct thump_caps){ 0 };
	caps.bounding = thump_caps_bounding(UINT64_MAX);
	/* Only what is permitted and inheritable can be ambient. */
	for (unsigned cap = 0; cap <= LAST_CAP_BIT; cap++)
		if ((caps.permitted & caps.inheritable & THUMP_CAP_BIT(cap)) &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) > 0)
			caps.ambient |= THUMP_CAP_BIT(cap);
	return caps;
}

struct thump_caps thump_caps_final(const struct thump_model *model,
				   const struct thump_rebuild_report *report)
{
	const struct thump_creds *creds = &model->process.creds;
	struct thump_caps own = thump_caps_sets();
	struct thump_caps caps = { .bounding = report->bounding };

	if (report->user_namespace)
		return caps;
	caps.permitted = creds->cap_permitted & own.permitted;
	caps.effective = creds->cap_effective & caps.permitted;
	caps.inheritable = creds->cap_inheritable & (own.permitted | own.inheritable);
	/* The kernel's invariant: ambient is a subset of permitted and inheritable. */
	caps.ambient = creds->cap_ambient & caps.permitted & caps.inheritable;
	return caps;
}

static int drop_bounding(uint64_t wanted, struct thump_err *err)
{
	for (unsigned cap = 0; cap <= LAST_CAP_BIT; cap++) {
		if ((wanted & THUMP_CAP_BIT(cap)) || prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		/* Without CAP_SETPCAP the set cannot be reduced; then it is the caller's own.
		 * EINVAL: behind the kernel's last capability. */
		if (errno == EPERM || errno == EINVAL)
			return 0;
		return thump_fail_errno(err, "drop capability %u from the bounding set", cap);
	}
	return 0;
}

/* Makes all of `set` inheritable and then ambient; both only take what is permitted. */
static int raise_ambient(struct thump_caps *caps, uint64_t set, struct thump_err *err)
{
	if (set & ~caps->inheritable) {
		caps->inheritable |= set;
		if (thump_caps_set(caps) < 0)
			return thump_fail_errno(err, "make capabilities inheritable");
	}
	for (unsigned cap = 0; cap <= LAST_CAP_BIT; cap++)
		if ((set & THUMP_CAP_BIT(cap)) &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return thump_fail_errno(err, "make capability %u ambient", cap);
	return 0;
}

int thump_caps_before_exec(const struct thump_caps *final, enum thump_pid_way tid_way,
			   struct thump_err *err)
{
	struct thump_caps caps;
	uint64_t needed = final->permitted;

	if (thump_caps_get(&caps) < 0)
		return thump_fail_errno(err, "capget");
	/* A change of uid under PR_SET_KEEPCAPS leaves them permitted but not effective. */
	if (caps.effective != caps.permitted) {
		caps.effective = caps.permitted;
		if (thump_caps_set(&caps) < 0)
			return thump_fail_errno(err, "make capabilities effective");
	}
	/* Where it is another capability that lets us set tids (CAP_SYS_ADMIN), that one. */
	if (tid_way == THUMP_WAY_SET_TID)
		needed |= caps.permitted & THUMP_CAP_BIT(CAP_CHECKPOINT_RESTORE)
				  ? THUMP_CAP_BIT(CAP_CHECKPOINT_RESTORE)
				  : THUMP_CAP_BIT(CAP_SYS_ADMIN);
	/* uid 0 gets its bounding set by execve, and the inheritable one besides (capabilities(7)).
	 */
	if (geteuid() == 0)
		needed &= ~final->bounding;
	/* In this order: what is outside the bounding set cannot become inheritable. */
	if (raise_ambient(&caps, needed & caps.permitted, err) < 0)
		return -1;
	return drop_bounding(final->bounding, err);
}
