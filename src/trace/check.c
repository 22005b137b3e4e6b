/* SPDX-License-Identifier: Apache-2.0 */
/* Who may be traced and who cannot, said by name before anything is done to it. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "proc/status.h"
#include "trace/internal.h"

#define PF_USER_WORKER 0x4000 /* include/linux/sched.h of the kernel, since Linux 6.4 */
#define MAX_ANCESTORS  4096   /* a bound for the walk; pid namespaces nest 32 deep at most */

static int read_stat(int proc_fd, const char *path, struct thump_stat *stat_ret,
		     struct thump_err *err)
{
	auto_free char *text = NULL;

	if (thump_slurp(proc_fd, path, &text, NULL) != 0)
		return thump_fail_errno(err, "read %s", path);
	return thump_stat_parse(text, stat_ret, err);
}

/* Is /proc ours? In a pid namespace with the outer /proc every number means somebody else. */
static int check_proc(struct thump_err *err)
{
	char self[32] = { 0 };

	if (readlink("/proc/self", self, sizeof(self) - 1) < 0)
		return thump_fail_errno(err, "read /proc/self: is /proc mounted?");
	if (strtol(self, NULL, 10) != getpid())
		return thump_refuse(err,
				    "/proc belongs to another pid namespace than this process");
	return 0;
}

/*
 * Stopping what waits for us would be a deadlock, or the shell we were started from. The walk ends
 * at an ancestor that has ended, or that a /proc with hidepid=2 does not show: the target is shown.
 */
static int check_no_ancestor(pid_t pid, struct thump_err *err)
{
	struct thump_err ignored;
	struct thump_stat stat;
	char path[32];
	pid_t at = getpid();

	if (pid == at)
		return thump_refuse(err, "process %d is thump itself", pid);
	for (int i = 0; at > 0 && i < MAX_ANCESTORS; i++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/stat", at);
		if (read_stat(AT_FDCWD, path, &stat, &ignored) != 0)
			return 0;
		at = stat.ppid;
		if (at == pid)
			return thump_refuse(err,
					    "process %d is an ancestor of thump (%s), which cannot "
					    "be stopped by what it started: run thump from another "
					    "terminal or service",
					    pid,
					    i == 0 ? "its parent" : "it was started from there");
	}
	return 0;
}

static int check_status(pid_t pid, const struct thump_status *status, struct thump_err *err)
{
	if (status->tgid != pid)
		return thump_refuse(err, "%d is a thread of process %d", pid, status->tgid);
	if (status->kernel_thread)
		return thump_refuse(err, "process %d is a kernel thread", pid);
	if (status->state == 'Z' || status->state == 'X')
		return thump_refuse(err,
				    status->threads > 1
					    ? "the main thread of process %d has ended while other "
					      "threads go on"
					    : "process %d has ended (zombie)",
				    pid);
	if (status->tracer_pid != 0)
		return thump_refuse(err, "process %d is already traced by process %d", pid,
				    status->tracer_pid);
	return 0;
}

int thump_refuse_kernel_worker(pid_t pid, pid_t tid, struct thump_err *err)
{
	return thump_refuse(err,
			    "thread %d of process %d is a worker of the kernel for io_uring, which "
			    "cannot be saved",
			    tid, pid);
}

int thump_find_kernel_workers(struct thump_target *target, struct thump_err *err)
{
	auto_free pid_t *tids = NULL;
	size_t count, nr_workers = 0;

	if (thump_list_tasks(target->proc_fd, target->pid, &tids, &count, err) != 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (thump_is_kernel_worker(target->proc_fd, tids[i]))
			tids[nr_workers++] = tids[i];
	target->kernel_workers = tids;
	target->nr_kernel_workers = nr_workers;
	tids = NULL;
	return 0;
}

int thump_check_process(pid_t pid, int proc_fd, uint64_t *start_time_ret, struct thump_err *err)
{
	struct thump_status status;
	struct thump_stat stat;
	struct thump_arena arena;
	int result;

	if (check_proc(err) != 0)
		return -1;
	thump_arena_init(&arena);
	result = thump_status_read(proc_fd, "status", &arena, &status, err);
	if (result == 0)
		result = check_status(pid, &status, err);
	thump_arena_deinit(&arena);
	if (result == 0)
		result = check_no_ancestor(pid, err);
	if (result == 0)
		result = read_stat(proc_fd, "stat", &stat, err);
	/* What is refused names the process; what cannot be read is but a name of a file. */
	if (result != 0)
		return err->code == THUMP_REFUSED ? -1 : thump_add_context(err, "process %d", pid);
	*start_time_ret = stat.start_time_ticks;
	return 0;
}

pid_t thump_tracer_of(int proc_fd, pid_t tid)
{
	struct thump_status status = { 0 };
	struct thump_arena arena;
	struct thump_err ignored;
	char path[48];
	pid_t tracer = 0;

	thump_arena_init(&arena);
	(void)snprintf(path, sizeof(path), "task/%d/status", tid);
	if (thump_status_read(proc_fd, path, &arena, &status, &ignored) == 0)
		tracer = status.tracer_pid;
	thump_arena_deinit(&arena);
	return tracer;
}

bool thump_is_kernel_worker(int proc_fd, pid_t tid)
{
	struct thump_stat stat = { .flags = 0 };
	struct thump_err ignored;
	char path[48];

	(void)snprintf(path, sizeof(path), "task/%d/stat", tid);
	return read_stat(proc_fd, path, &stat, &ignored) == 0 && (stat.flags & PF_USER_WORKER);
}

static bool all_same(const uint32_t ids[4])
{
	return ids[0] == ids[1] && ids[0] == ids[2] && ids[0] == ids[3];
}

/* Is it because of who the process is? 1: *err says so; 0: no, or it cannot be read. */
static int explain_ids(pid_t pid, int proc_fd, struct thump_err *err)
{
	struct thump_status status = { 0 };
	struct thump_arena arena;
	struct thump_err ignored;
	const uint32_t *uid = status.uid, *gid = status.gid;
	int known;

	thump_arena_init(&arena);
	known = thump_status_read(proc_fd, "status", &arena, &status, &ignored) == 0;
	thump_arena_deinit(&arena); /* the ids are not in it */
	if (known && (!all_same(uid) || !all_same(gid)))
		(void)thump_refuse(err,
				   "process %d runs a set-uid or set-gid program, which cannot be "
				   "saved: its real, effective, saved and file system ids are "
				   "%u %u %u %u (user), %u %u %u %u (group)",
				   pid, uid[0], uid[1], uid[2], uid[3], gid[0], gid[1], gid[2],
				   gid[3]);
	else if (known && uid[0] != geteuid())
		(void)thump_refuse(err,
				   "process %d belongs to user id %u, and thump runs as %u: "
				   "checkpoint it as that user, or as root",
				   pid, uid[0], geteuid());
	else
		return 0;
	return 1;
}

int thump_explain_eperm(pid_t pid, pid_t tid, int proc_fd, struct thump_err *err)
{
	auto_free char *scope = NULL;
	const pid_t tracer = thump_tracer_of(proc_fd, tid);

	if (tracer != 0)
		return thump_refuse(err, "thread %d of process %d is already traced by process %d",
				    tid, pid, tracer);
	if (explain_ids(pid, proc_fd, err))
		return -1;
	if (thump_slurp(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", &scope, NULL) == 0 &&
	    scope[0] != '0')
		return thump_refuse(err,
				    "not permitted to trace process %d: yama's ptrace_scope is %c; "
				    "start the program with `thump run`, or checkpoint it as root",
				    pid, scope[0]);
	return thump_refuse(err,
			    "not permitted to trace thread %d of process %d: it has more "
			    "privileges than thump, or is not dumpable (PR_SET_DUMPABLE)",
			    tid, pid);
}

bool thump_is_getting_on(int proc_fd, pid_t tid)
{
	struct thump_stat stat;
	struct thump_err ignored;
	char path[48];

	(void)snprintf(path, sizeof(path), "task/%d/stat", tid);
	return read_stat(proc_fd, path, &stat, &ignored) == 0 && strchr("RTt", stat.state);
}

int thump_explain_laggard(pid_t pid, pid_t tid, int proc_fd, unsigned patience_ms,
			  struct thump_err *err)
{
	auto_free char *wchan = NULL;
	struct thump_stat stat = { .state = '?' };
	struct thump_err ignored;
	char path[48];

	(void)snprintf(path, sizeof(path), "task/%d/stat", tid);
	(void)read_stat(proc_fd, path, &stat, &ignored);
	(void)snprintf(path, sizeof(path), "task/%d/wchan", tid);
	if (thump_slurp(proc_fd, path, &wchan, NULL) != 0 || wchan[0] == '0' || wchan[0] == '\0') {
		free(wchan);
		wchan = strdup("the kernel");
	}
	return thump_refuse(
		err,
		"thread %d (%s) of process %d did not stop within %u ms: it is in state "
		"%c (%s) in %s",
		tid, stat.comm, pid, patience_ms, stat.state,
		stat.state == 'D'   ? "vfork or uninterruptible sleep"
		: stat.state == 'R' ? "waiting for a processor"
				    : "not stoppable",
		wchan ? wchan : "the kernel");
}
