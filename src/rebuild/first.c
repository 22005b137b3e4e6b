/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Way 2 for a program that was pid 1, as in a container: it becomes pid 1 of the fresh namespaces
 * itself. No init of ours is between: thump is the parent, sees it end, and traces it from outside.
 *
 *     thump ---clone(NEWUSER)---> helper: ids, clocks ---clone(NEWPID|NEWNS|PARENT)---> program
 *       | <------------------------ its pid, and ends     |
 *       | <--------------------------------------------------------------- its own /proc is mounted
 *
 * The helper is there because unshare(CLONE_NEWTIME) moves only children (time_namespaces(7)).
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "rebuild/abilities.h"
#include "rebuild/spawn.h"
#include "rebuild/ways.h"

/* One from the helper, one from the program's process, in any order; small enough for a pipe to
 * keep them whole (pipe(7)). */
struct message {
	bool of_helper;
	pid_t pid; /* of the program; 0: not made */
	int map_errno, clone_errno, time_errno, mount_errno;
};

/* fork(2) into fresh namespaces. Raw: no wrapper of glibc forks with these flags. */
static pid_t raw_fork(unsigned long namespaces)
{
	return (pid_t)syscall(SYS_clone, namespaces | SIGCHLD, NULL, NULL, NULL, NULL);
}

static void send(int fd, const struct message *message)
{
	if (thump_write_full(fd, message, sizeof(*message)) < 0)
		_exit(THUMP_FAILED); /* nobody is there any more */
}

/* Returns only in the process of the program. */
static void help(struct thump_namespace_setup *setup, int fd)
{
	struct message message = { .of_helper = true };

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	thump_namespace_map_ids(setup);
	thump_namespace_set_clocks(setup);
	message.map_errno = setup->map_errno;
	message.time_errno = setup->time_errno;
	if (!setup->map_errno) {
		message.pid = raw_fork(THUMP_NAMESPACE_FLAGS | CLONE_PARENT);
		if (message.pid == 0)
			return;
		message.clone_errno = message.pid < 0 ? errno : 0;
	}
	send(fd, &message);
	_exit(0);
}

static void become_first(struct thump_namespace_setup *setup, int fd)
{
	struct message message = { 0 };

	thump_namespace_mount_proc(setup);
	message.mount_errno = setup->mount_errno;
	send(fd, &message);
}

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

/* What both have to say, as one; end of file when one of them failed. */
static struct message hear_both(int fd)
{
	struct message whole = { 0 }, message;

	while (thump_read_full(fd, &message, sizeof(message)) == 0) {
		if (!message.of_helper) {
			whole.mount_errno = message.mount_errno;
			continue;
		}
		message.mount_errno = whole.mount_errno;
		whole = message;
	}
	return whole;
}

/* Clocks that go on where they were. */
static bool has_clocks(const struct thump_plan *plan, int time_errno)
{
	return time_errno == 0 && !thump_plan_options(plan)->real_clock;
}

static int judge(const struct thump_plan *plan, const struct message *message,
		 struct thump_rebuild_report *report, struct thump_err *err)
{
	errno = message->map_errno;
	if (errno)
		return thump_fail_errno(err, "map our ids into the new user namespace");
	errno = message->clone_errno;
	if (message->pid <= 0)
		return thump_fail_errno(err, "make a pid namespace");
	report->time_namespace = has_clocks(plan, message->time_errno);
	report->own_proc = message->mount_errno == 0;
	if (report->time_namespace ||
	    thump_stands_clocks(thump_plan_model(plan), thump_plan_options(plan)))
		return 0;
	return thump_check_clocks(thump_plan_model(plan), err);
}

int thump_spawn_first(const struct thump_plan *plan, struct thump_rebuild_report *report,
		      pid_t *pid_ret, struct thump_err *err)
{
	const struct thump_machine *machine = &thump_plan_model(plan)->machine;
	const bool shift = !thump_plan_options(plan)->real_clock;
	struct thump_namespace_setup setup = {
		.user_namespace = report->user_namespace,
		.uid = geteuid(),
		.gid = getegid(),
		.monotonic_ns = shift ? machine->monotonic_ns : 0,
		.boottime_ns = shift ? machine->boottime_ns : 0,
	};
	auto_close int read_fd = -1, write_fd = -1;
	struct message message;
	int ends[2];
	pid_t helper;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return thump_fail_errno(err, "pipe");
	read_fd = ends[0];
	write_fd = ends[1];
	helper = raw_fork(setup.user_namespace ? CLONE_NEWUSER : 0);
	if (helper < 0)
		return thump_fail_errno(err, "make a user namespace");
	if (helper == 0) {
		help(&setup, write_fd);
		become_first(&setup, write_fd);
		report->time_namespace = has_clocks(plan, setup.time_errno);
		*pid_ret = 0;
		return 0;
	}
	thump_close_fd(&write_fd);
	message = hear_both(read_fd);
	reap(helper);
	if (judge(plan, &message, report, err) < 0) {
		if (message.pid > 0) {
			(void)kill(message.pid, SIGKILL);
			reap(message.pid);
		}
		return -1;
	}
	report->entered = true;
	*pid_ret = message.pid;
	return 0;
}
