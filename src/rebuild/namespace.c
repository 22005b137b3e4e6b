/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Way 2 of keeping pids: fresh namespaces with an init of our own.
 *
 *     thump ---clone(NEWUSER|NEWPID|NEWNS)---> init (pid 1 inside)
 *       |                                        | maps, time namespace, /proc
 *       |                                        | thump_rebuild_here ---clone3(set_tid)--->
 * program | <-------- hello: report or error ------| |                                        |
 * thump_init_serve
 *
 * The init shares thump's memory and finds everything it needs there (head_start.h); what comes
 * back is a flat struct. The program's pid as thump sees it comes as SCM_CREDENTIALS, which the
 * kernel translates.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/note.h"
#include "rebuild/abilities.h"
#include "rebuild/head_start.h"
#include "rebuild/spin.h"
#include "rebuild/ways.h"

/* More threads than we have in the init. */
#define OWN_TASKS 64

struct hello {
	int32_t failed;
	struct thump_rebuild_report report;
	struct thump_err err;
};

/* ---- in the init -------------------------------------------------------------------------- */

/* `program` > 0 travels as credentials: we may name any process of our namespace (unix(7)). */
static void send_hello(int control_fd, struct hello *hello, pid_t program)
{
	union {
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control = { 0 };
	const struct ucred creds = { .pid = program, .uid = geteuid(), .gid = getegid() };
	struct iovec part = { .iov_base = hello, .iov_len = sizeof(*hello) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	struct cmsghdr *header;

	if (program > 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_CREDENTIALS;
		header->cmsg_len = CMSG_LEN(sizeof(creds));
		memcpy(CMSG_DATA(header), &creds, sizeof(creds));
	}
	/* Nobody is there to hear: then the end of our namespace is all that is left to do. */
	if (sendmsg(control_fd, &message, MSG_NOSIGNAL) < 0)
		_exit(THUMP_FAILED);
}

/* Until the program runs: ends with thump. The signal is sent from outside, so pid 1 is not spared.
 */
static int tie_to_thump(int control_fd, struct thump_err *err)
{
	struct pollfd fd = { .fd = control_fd, .events = POLLIN };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return thump_fail_errno(err, "prctl(PR_SET_PDEATHSIG)");
	/* It may have died before that: then its end of the socket is closed. */
	if (poll(&fd, 1, 0) > 0)
		return thump_fail(err, "thump has gone");
	return 0;
}

static int enter(const struct thump_namespace_setup *setup, const struct thump_plan *plan,
		 struct thump_rebuild_report *report, struct thump_err *err)
{
	const struct thump_model *model = thump_plan_model(plan);

	errno = setup->map_errno;
	if (errno)
		return thump_fail_errno(err, "map our ids into the new user namespace");
	report->user_namespace = setup->user_namespace;
	report->time_namespace = setup->time_errno == 0 && !thump_plan_options(plan)->real_clock;
	report->own_proc = setup->mount_errno == 0;
	/* Without a /proc of its own spinning is better, if that is possible (ways.c). */
	if (setup->mount_errno && thump_plan_options(plan)->assume_namespaces && !report->retry) {
		errno = setup->mount_errno;
		return thump_fail_errno(err, "mount /proc");
	}
	if (!report->time_namespace && !thump_stands_clocks(model, thump_plan_options(plan)) &&
	    thump_check_clocks(model, err) < 0)
		return -1;
	report->entered = true;
	return 0;
}

/* The last one below the first ids that are enough for our threads and none of the program's. */
static int find_gap(const struct thump_model *model, int32_t *below_ret, struct thump_err *err)
{
	auto_free int32_t *tids = calloc((size_t)model->nr_tasks + 1, sizeof(*tids));
	int32_t below = 1;

	if (!tids)
		return thump_fail_errno(err, "memory for numbers of threads");
	for (uint32_t i = 0; i < model->nr_tasks; i++)
		tids[i] = model->tasks[i].tid;
	qsort(tids, model->nr_tasks, sizeof(*tids), thump_compare_i32);
	for (uint32_t i = 0; i < model->nr_tasks && tids[i] <= below + OWN_TASKS; i++)
		below = tids[i];
	*below_ret = below;
	return 0;
}

/*
 * Our threads, which check and fill memory meanwhile, are in this namespace, too, and get the next
 * ids: 2, 3 and so on, which are those of threads that a clone made before it was saved again, or
 * of a container's program.
 */
static int leave_ids_alone(const struct thump_model *model, struct thump_err *err)
{
	auto_close int fd = -1;
	int32_t below;
	pid_t last = 1;

	if (find_gap(model, &below, err) < 0)
		return -1;
	if (below == 1)
		return 0;
	fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && dprintf(fd, "%d", below) > 0)
		return 0;
	while (last < below)
		if (thump_spin_task(&last, err) < 0)
			return -1;
	return 0;
}

static int rebuild_inside(struct thump_namespace_setup *setup, struct thump_plan *plan,
			  int control_fd, struct thump_rebuild_report *report, pid_t *program_ret,
			  struct thump_err *err)
{
	bool detach = thump_plan_options(plan)->detach;

	if (enter(setup, plan, report, err) < 0 || tie_to_thump(control_fd, err) < 0 ||
	    leave_ids_alone(thump_plan_model(plan), err) < 0)
		return -1;
	/* A detached program must not get the terminal's signals, and nor must we. */
	if (detach && setsid() < 0)
		return thump_fail_errno(err, "setsid");
	if (thump_rebuild_here(plan, THUMP_WAY_SET_TID, report, program_ret, err) < 0)
		return -1;
	/* The program has our group now, which is thump's; we leave it, for the same reason. */
	if (!detach && setpgid(0, 0) < 0)
		return thump_fail_errno(err, "setpgid");
	if (prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) < 0)
		return thump_fail_errno(err, "prctl(PR_SET_PDEATHSIG)");
	return 0;
}

static void init_main(struct thump_namespace_setup *setup, struct thump_plan *plan,
		      struct thump_rebuild_report *report, int control_fd)
{
	struct hello hello = { .report = *report };
	/* The plan is gone after the hello. */
	const bool is_clone = thump_plan_options(plan)->part == THUMP_PART_CLONE;
	pid_t program = 0;

	if (rebuild_inside(setup, plan, control_fd, &hello.report, &program, &hello.err) < 0) {
		hello.failed = 1;
		send_hello(control_fd, &hello, 0);
		_exit(THUMP_FAILED); /* whatever is left in the namespace ends with us */
	}
	send_hello(control_fd, &hello, program);
	/* The memory is thump's; what is open in us is closed with the rest. */
	thump_init_serve(program, is_clone, control_fd);
}

/* ---- in thump ----------------------------------------------------------------------------- */

/* 0 when there are none, or when the process is not to be seen from here. */
static pid_t creds_pid(struct msghdr *message)
{
	struct ucred creds = { 0 };

	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
	     header = CMSG_NXTHDR(message, header))
		if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS)
			memcpy(&creds, CMSG_DATA(header), sizeof(creds));
	return creds.pid;
}

/*
 * Waits for the hello, or for one of these signals: then asks the init to give up, which removes
 * what it has made so far. The signal stays pending: should the program run already, it is the
 * program's. True when the init was asked.
 */
static bool wait_for_hello(int control_fd, int signal_fd, pid_t init)
{
	const union sigval give_up = { .sival_int = THUMP_NOTE_GIVE_UP };
	struct pollfd fds[] = {
		{ .fd = control_fd, .events = POLLIN },
		{ .fd = signal_fd, .events = POLLIN },
	};

	while (poll(fds, THUMP_ARRAY_SIZE(fds), -1) < 0 && errno == EINTR)
		continue;
	if (fds[0].revents || !fds[1].revents)
		return false;
	/* It is our child, and not reaped: its pid means nobody else. */
	return sigqueue(init, THUMP_NOTE_SIGNAL, give_up) == 0;
}

static int take_signal(int signal_fd)
{
	struct signalfd_siginfo info;

	return read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info) ? (int)info.ssi_signo
									     : 0;
}

static int receive_hello(int control_fd, struct hello *hello, struct thump_err *err)
{
	union {
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec part = { .iov_base = hello, .iov_len = sizeof(*hello) };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	ssize_t got;

	do
		got = recvmsg(control_fd, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return thump_fail_errno(err, "hear from our init of the pid namespace");
	if (got != (ssize_t)sizeof(*hello))
		return thump_fail(err, "our init of the pid namespace ended without a word");
	if (hello->failed) {
		*err = hello->err;
		return -1;
	}
	hello->report.pid_host = creds_pid(&message);
	/* To kill(2), 0 is the group of the caller, and -1 is everybody. */
	if (hello->report.pid_host <= 0)
		return thump_fail(err, "our init of the pid namespace did not say which process "
				       "the program is");
	return 0;
}

/* Reports to *report; after a failure the init has ended. */
static int hear_init(int control_fd, pid_t init, const sigset_t *give_up_on,
		     struct thump_rebuild_report *report, struct thump_err *err)
{
	auto_close int signal_fd = signalfd(-1, give_up_on, SFD_CLOEXEC | SFD_NONBLOCK);
	struct hello hello = { 0 };
	bool gave_up;

	gave_up = wait_for_hello(control_fd, signal_fd, init);
	if (receive_hello(control_fd, &hello, err) == 0) {
		*report = hello.report;
		return 0;
	}
	report->entered = hello.report.entered;
	report->given_up_on = gave_up ? take_signal(signal_fd) : 0;
	return -1;
}

int thump_init_begin(struct thump_head_start **start_ret, struct thump_err *err)
{
	return thump_head_start_create(init_main, start_ret, err);
}

void thump_init_set_clocks(struct thump_head_start *start, const struct thump_model *model,
			   const struct thump_rebuild_options *options)
{
	thump_head_start_set_clocks(start, options->real_clock ? NULL : &model->machine);
}

int thump_rebuild_in_namespace(struct thump_plan *plan, struct thump_rebuild_report *report,
			       pid_t *child_ret, struct thump_err *err)
{
	struct thump_head_start *start = thump_plan_take_head_start(plan);
	auto_close int control_fd = -1, region_fd = -1;
	pid_t pid;

	if (!start) {
		if (thump_init_begin(&start, err) < 0)
			return -1;
		thump_init_set_clocks(start, thump_plan_model(plan), thump_plan_options(plan));
	}
	if (thump_region_prepare(plan, &region_fd, err) < 0 ||
	    thump_head_start_go(start, plan, report, &control_fd, &pid, err) < 0 ||
	    hear_init(control_fd, pid, &thump_plan_options(plan)->give_up_on, report, err) < 0) {
		/* It ends by itself, unless it believes that all went well. */
		thump_head_start_destroy(start);
		thump_region_forget(plan);
		return -1;
	}
	report->control_fd = thump_take_fd(&control_fd);
	*child_ret = pid;
	return 0; /* it stands on *start from now on */
}
