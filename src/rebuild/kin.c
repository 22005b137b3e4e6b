/* SPDX-License-Identifier: Apache-2.0 */
#include <sched.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/fd.h"
#include "proc/status.h"
#include "rebuild/plan.h"
#include "rebuild/template.h"
#include "resume/blob.h"
#include "version.h"

static const char *const namespaces[] = { "user", "pid", "mnt",	   "net",
					  "ipc",  "uts", "cgroup", "time" };

static uint64_t hash(const void *bytes, size_t size_bytes)
{
	return XXH3_64bits(bytes, size_bytes);
}

/* 0 for a file that is not there. */
static uint64_t hash_file(const char *path)
{
	auto_free char *text = NULL;
	size_t size_bytes;

	return thump_slurp(AT_FDCWD, path, &text, &size_bytes) == 0 ? hash(text, size_bytes) : 0;
}

static uint64_t inode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_ino ^ st.st_dev << 40 : 0;
}

/* Version, and the code that a template has of us. */
static uint64_t build(void)
{
	return hash(thump_blob_start, (size_t)(thump_blob_end - thump_blob_start)) ^
	       hash(THUMP_VERSION, sizeof(THUMP_VERSION)) ^ sizeof(struct thump_template_hello);
}

static int read_status(struct thump_kin *kin, struct thump_arena *arena, struct thump_err *err)
{
	struct thump_status status;

	if (thump_status_read(AT_FDCWD, "/proc/self/status", arena, &status, err) < 0)
		return -1;
	kin->uid = status.uid[1];
	kin->gid = status.gid[1];
	kin->groups = (uint32_t)hash(status.groups, status.nr_groups * sizeof(*status.groups));
	kin->no_new_privs = status.no_new_privs;
	kin->seccomp = status.seccomp;
	kin->nr_filters = status.seccomp_filters;
	kin->effective = status.cap_effective;
	kin->permitted = status.cap_permitted;
	kin->inheritable = status.cap_inheritable;
	kin->ambient = status.cap_ambient;
	kin->bounding = status.cap_bounding;
	return 0;
}

static int read_oom_score(struct thump_kin *kin, struct thump_err *err)
{
	auto_free char *text = NULL;

	if (thump_slurp(AT_FDCWD, "/proc/self/oom_score_adj", &text, NULL) < 0)
		return thump_fail_errno(err, "read /proc/self/oom_score_adj");
	kin->oom_score_adj = (int32_t)strtol(text, NULL, 10);
	return 0;
}

static void take_inherited(struct thump_kin *kin)
{
	const struct thump_inherited own = thump_inherited_of_us();

	kin->policy = (int32_t)own.sched_policy;
	kin->nice = own.nice;
	kin->ioprio = own.ioprio;
	kin->timer_slack_ns = own.timer_slack_ns;
	memcpy(kin->affinity, own.affinity, sizeof(kin->affinity));
}

int thump_kin_of_us(struct thump_kin *kin, struct thump_err *err)
{
	struct thump_arena arena;
	int result;

	memset(kin, 0, sizeof(*kin));
	kin->build = build();
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(namespaces); i++) {
		char path[40];

		(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", namespaces[i]);
		kin->namespaces[i] = inode_of(path);
	}
	kin->cgroup = hash_file("/proc/self/cgroup");
	kin->root = inode_of("/");
	kin->label = hash_file("/proc/self/attr/current");
	for (int i = 0; i < (int)RLIM_NLIMITS; i++)
		if (getrlimit((__rlimit_resource_t)i, &kin->limits[i]) < 0)
			return thump_fail_errno(err, "getrlimit");
	kin->securebits = (uint32_t)prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
	kin->personality = (uint32_t)personality(0xffffffff);
	take_inherited(kin);
	if (read_oom_score(kin, err) < 0)
		return -1;
	thump_arena_init(&arena);
	result = read_status(kin, &arena, err);
	thump_arena_deinit(&arena);
	return result;
}

const char *thump_kin_difference(const struct thump_kin *a, const struct thump_kin *b)
{
	static const struct {
		size_t offset, size_bytes;
		const char *name;
	} parts[] = {
#define PART(member, text) { offsetof(struct thump_kin, member), sizeof(a->member), text }
		PART(build, "the version of thump"),
		PART(namespaces, "a namespace"),
		PART(root, "the root directory"),
		PART(label, "the label of a security module"),
		PART(limits, "a resource limit"),
		PART(uid, "the user"),
		PART(gid, "the group"),
		PART(groups, "the supplementary groups"),
		PART(securebits, "securebits"),
		PART(no_new_privs, "no_new_privs"),
		PART(seccomp, "the seccomp mode"),
		PART(nr_filters, "the number of seccomp filters"),
		PART(personality, "the personality"),
		PART(effective, "a capability"),
		PART(permitted, "a capability"),
		PART(inheritable, "a capability"),
		PART(ambient, "a capability"),
		PART(bounding, "the capability bounding set"),
		PART(oom_score_adj, "oom_score_adj"),
		PART(nice, "the nice value"),
		PART(ioprio, "the I/O priority"),
		PART(policy, "the scheduling policy"),
		PART(timer_slack_ns, "the timer slack"),
		PART(affinity, "the CPU affinity"),
#undef PART
	};

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(parts); i++) {
		if (memcmp((const char *)a + parts[i].offset, (const char *)b + parts[i].offset,
			   parts[i].size_bytes) != 0)
			return parts[i].name;
	}
	return NULL;
}
