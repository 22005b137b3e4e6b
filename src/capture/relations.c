/* SPDX-License-Identifier: Apache-2.0 */
/* What ties the process to others, and modes that no restore can bring back: refused by name. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "capture/context.h"
#include "proc/process.h"

#ifndef PR_SCHED_CORE /* Linux 5.14 */
#define PR_SCHED_CORE	  62
#define PR_SCHED_CORE_GET 0
#endif

/* ---- children --------------------------------------------------------------------------- */

/* What is left of a live capture when all processes of thump were killed. */
static bool reap_copy(struct thump_capture *cap, const struct thump_stat *child)
{
	struct thump_err ignored = THUMP_ERR_INIT;

	return child->state == 'Z' && child->exit_signal == 0 &&
	       strcmp(child->comm, THUMP_COPY_NAME) == 0 &&
	       thump_target_reap(cap->target, child->pid, &ignored) == 0;
}

static void refuse_child(struct thump_capture *cap, int32_t pid)
{
	auto_free char *text = NULL;
	struct thump_err ignored = THUMP_ERR_INIT;
	struct thump_stat stat = { .comm = "?" };
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (pid == cap->options.own_pids[0] || pid == cap->options.own_pids[1])
		return;
	if (thump_slurp(AT_FDCWD, path, &text, NULL) == 0)
		(void)!thump_stat_parse(text, &stat, &ignored);
	if (reap_copy(cap, &stat))
		return;
	thump_capture_refuse(
		cap, "child", "child process %d (%s)%s: only a single process can be saved; %s",
		pid, stat.comm, stat.state == 'Z' ? ", a zombie" : "",
		stat.state == 'Z' ? "the program has not waited for it yet" : "end it first");
}

/* -1 with errno. */
static int refuse_children_of(struct thump_capture *cap, pid_t tid)
{
	auto_free char *text = NULL;
	struct thump_err ignored = THUMP_ERR_INIT;
	char path[64];
	int32_t *pids;
	size_t count;

	(void)snprintf(path, sizeof(path), "task/%d/children", tid);
	if (thump_slurp(cap->proc_fd, path, &text, NULL) < 0)
		return -1;
	if (thump_children_parse(text, &cap->scratch, &pids, &count, &ignored) < 0) {
		errno = EBADMSG;
		return -1;
	}
	for (size_t i = 0; i < count; i++)
		refuse_child(cap, pids[i]);
	return 0;
}

int thump_capture_search_children(pid_t parent,
				  void (*found)(void *ctx, const struct thump_stat *child),
				  void *ctx, struct thump_err *err)
{
	auto_closedir DIR *dir = opendir("/proc");
	const struct dirent *entry;

	if (!dir)
		return thump_fail_errno(err, "open /proc");
	while ((entry = readdir(dir))) {
		auto_free char *text = NULL;
		struct thump_err ignored = THUMP_ERR_INIT;
		struct thump_stat stat;
		char path[sizeof(entry->d_name) + 16];

		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		if (thump_slurp(AT_FDCWD, path, &text, NULL) == 0 &&
		    thump_stat_parse(text, &stat, &ignored) == 0 && stat.ppid == parent)
			found(ctx, &stat);
	}
	return 0;
}

static void refuse_found(void *ctx, const struct thump_stat *child)
{
	refuse_child(ctx, child->pid);
}

static int refuse_children(struct thump_capture *cap, struct thump_err *err)
{
	for (size_t i = 0; i < cap->target->nr_threads; i++) {
		if (refuse_children_of(cap, cap->target->threads[i].tid) == 0)
			continue;
		/* Without CONFIG_PROC_CHILDREN. */
		if (errno == ENOENT && i == 0)
			return thump_capture_search_children(cap->options.pid, refuse_found, cap,
							     err);
		return thump_fail_errno(err, "read the children of thread %d",
					cap->target->threads[i].tid);
	}
	return 0;
}

/* ---- modes ------------------------------------------------------------------------------ */

/* Values of these lines in /proc/PID/status are words of arch/x86/kernel/cpu/bugs.c; only those
 * that prctl(PR_SET_SPECULATION_CTRL) sets for one task say so. */
static void refuse_speculation(struct thump_capture *cap, int32_t tid, const char *what,
			       const char *value)
{
	if (strcmp(value, "thread mitigated") == 0 ||
	    strcmp(value, "thread force mitigated") == 0 ||
	    strcmp(value, "conditional disabled") == 0 ||
	    strcmp(value, "conditional force disabled") == 0)
		thump_capture_refuse(cap, "speculation-control",
				     "thread %d: speculation control: %s is \"%s\" "
				     "(PR_SET_SPECULATION_CTRL), which cannot be saved",
				     tid, what, value);
}

void thump_capture_refuse_speculation(struct thump_capture *cap, const struct thump_status *status)
{
	refuse_speculation(cap, status->pid, "Speculation_Store_Bypass",
			   status->speculation_store_bypass);
	refuse_speculation(cap, status->pid, "SpeculationIndirectBranch",
			   status->speculation_indirect_branch);
}

/* ---- threads that do not share what threads share ---------------------------------------- */

/* unshare(2) in one thread gives it descriptors or directories of its own. Where kcmp(2) is
 * forbidden (seccomp profiles of containers), working directories and numbers of descriptors are
 * compared instead. */
static bool shares(struct thump_capture *cap, pid_t tid, int what)
{
	pid_t pid = cap->options.pid;
	long order = syscall(SYS_kcmp, pid, tid, what, 0, 0);
	const char *name = what == KCMP_FS ? "cwd" : "fd";
	char own[64], other[64];
	struct stat a, b;

	if (order >= 0)
		return order == 0;
	(void)snprintf(own, sizeof(own), "task/%d/%s", pid, name);
	(void)snprintf(other, sizeof(other), "task/%d/%s", tid, name);
	if (fstatat(cap->proc_fd, own, &a, 0) < 0 || fstatat(cap->proc_fd, other, &b, 0) < 0)
		return false;
	/* Since Linux 6.2 the size of /proc/PID/fd is the number of open descriptors. */
	return what == KCMP_FS ? a.st_ino == b.st_ino && a.st_dev == b.st_dev
			       : a.st_size == b.st_size;
}

static void refuse_unshared(struct thump_capture *cap)
{
	for (size_t i = 1; i < cap->target->nr_threads; i++) {
		pid_t tid = cap->target->threads[i].tid;

		if (!shares(cap, tid, KCMP_FILES))
			thump_capture_refuse(cap, "unshared-files",
					     "thread %d: has file descriptors of its own "
					     "(unshare(CLONE_FILES)), which cannot be saved",
					     tid);
		if (!shares(cap, tid, KCMP_FS))
			thump_capture_refuse(cap, "unshared-fs",
					     "thread %d: has a working directory of its own "
					     "(unshare(CLONE_FS)), which cannot be saved",
					     tid);
	}
}

/*
 * clone(2) without CLONE_THREAD can share them between processes, too. Of all that may, the parent
 * is who made this one; its other children would be found only by looking at every process.
 */
static void refuse_shared_with_parent(struct thump_capture *cap)
{
	static const struct {
		int what;
		const char *text;
	} shared[] = {
		{ KCMP_VM, "memory (CLONE_VM)" },
		{ KCMP_FILES, "file descriptors (CLONE_FILES)" },
		{ KCMP_FS, "working directory (CLONE_FS)" },
	};
	const pid_t parent = cap->status.ppid;

	for (size_t i = 0; parent > 0 && i < THUMP_ARRAY_SIZE(shared); i++) {
		/* Where it is forbidden, by a filter or because the parent is another user's, the
		 * two have little in common. */
		if (syscall(SYS_kcmp, cap->options.pid, parent, shared[i].what, 0, 0) == 0)
			thump_capture_refuse(cap, "shared-with-parent",
					     "%s: shared with the parent, process %d, which cannot "
					     "be saved",
					     shared[i].text, parent);
	}
}

/* ---- namespaces ----------------------------------------------------------------------------- */

/* 0: cannot be told, or not known to this kernel. */
static ino_t namespace_of(int dir_fd, const char *folder, const char *name)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return fstatat(dir_fd, path, &st, 0) == 0 ? st.st_ino : 0;
}

/* setns(2) and unshare(2) move one thread alone. CLONE_NEWNS comes with CLONE_FS, see above. */
static const char *const thread_namespaces[] = { "net", "uts", "ipc", "pid_for_children" };

static void refuse_foreign_namespaces(struct thump_capture *cap)
{
	for (size_t k = 0; k < THUMP_ARRAY_SIZE(thread_namespaces); k++) {
		const char *name = thread_namespaces[k];
		const ino_t leaders = namespace_of(cap->proc_fd, "ns", name);

		for (size_t i = 1; leaders && i < cap->target->nr_threads; i++) {
			pid_t tid = cap->target->threads[i].tid;
			char folder[32];
			ino_t own;

			(void)snprintf(folder, sizeof(folder), "task/%d/ns", tid);
			own = namespace_of(cap->proc_fd, folder, name);
			if (own && own != leaders)
				thump_capture_refuse(cap, "thread-namespace",
						     "thread %d: is in a namespace of its own "
						     "(%s), which cannot be saved",
						     tid, name);
		}
	}
}

static void warn_about_namespaces(struct thump_capture *cap)
{
	static const char *const names[] = { "user", "net", "ipc", "uts" };
	char differ[64] = "";
	size_t used = 0;

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(names); i++) {
		const ino_t theirs = namespace_of(cap->proc_fd, "ns", names[i]);
		const ino_t ours = namespace_of(AT_FDCWD, "/proc/self/ns", names[i]);

		if (theirs && ours && theirs != ours)
			used += (size_t)snprintf(differ + used, sizeof(differ) - used, " %s",
						 names[i]);
	}
	if (differ[0])
		thump_capture_warn(cap, "namespace",
				   "namespaces other than thump's own are not saved (%s): the "
				   "restored process is in those of thump restore",
				   differ + 1);
}

/* ---- what others set for it --------------------------------------------------------------- */

/* prctl(2), PR_SCHED_CORE: whom a thread may share a core with; ENODEV, EINVAL: not here. */
static void refuse_core_cookies(struct thump_capture *cap)
{
	unsigned long ours = 0;

	if (prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0, 0, &ours) < 0)
		return;
	for (size_t i = 0; i < cap->target->nr_threads; i++) {
		pid_t tid = cap->target->threads[i].tid;
		unsigned long cookie = ours;

		if (prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, tid, 0, &cookie) == 0 && cookie != ours)
			thump_capture_refuse(cap, "core-scheduling",
					     "thread %d: core scheduling (PR_SCHED_CORE) cannot be "
					     "saved",
					     tid);
	}
}

static void warn_about_coredump_filter(struct thump_capture *cap)
{
	auto_free char *theirs = NULL, *ours = NULL;

	if (thump_slurp(cap->proc_fd, "coredump_filter", &theirs, NULL) < 0 ||
	    thump_slurp(AT_FDCWD, "/proc/self/coredump_filter", &ours, NULL) < 0 ||
	    strcmp(theirs, ours) == 0)
		return;
	thump_capture_warn(cap, "coredump-filter",
			   "coredump_filter %.8s is not saved: the restored process has that of "
			   "thump restore",
			   theirs);
}

int thump_capture_relations(struct thump_capture *cap, struct thump_err *err)
{
	if (refuse_children(cap, err) < 0)
		return -1;
	refuse_unshared(cap);
	refuse_shared_with_parent(cap);
	refuse_foreign_namespaces(cap);
	warn_about_namespaces(cap);
	refuse_core_cookies(cap);
	warn_about_coredump_filter(cap);
	return 0;
}
