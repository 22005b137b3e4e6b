/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The maker's side of a clone. Order:
 *   a child of ours with the wanted pid makes the descriptors, hands them over and ends; its number
 *   is what is remembered where the kernel keeps one with a descriptor (SO_PEERCRED)
 *   the template makes the clone, with the same pid
 *   the clone waits for us until it is traced: from then on it ends with us
 *   the go; it runs its steps as every restored process does
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/send_fds.h"
#include "proc/cgroup_move.h"
#include "rebuild/arch/arch.h"
#include "rebuild/attempt.h"
#include "rebuild/template.h"

/* It waits for nobody but its template, which does nothing else. */
#define ANSWER_TIMEOUT_S 10

/* ---- descriptors ----------------------------------------------------------------------------- */

static int wait_for_child(const struct thump_attempt *attempt, pid_t pid, struct thump_err *err)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return thump_fail_errno(err, "wait for the maker of descriptors");
	if (status == 0)
		return 0;
	if (attempt->region.child_err->code != THUMP_OK)
		*err = *attempt->region.child_err;
	else
		(void)thump_fail(err, "the maker of descriptors ended with status %#x",
				 (unsigned)status);
	return thump_add_context(err, "new process");
}

/* Its steps are written meanwhile. */
static int make_descriptors(struct thump_attempt *attempt, enum thump_pid_way tid_way,
			    const struct thump_caps *caps, int socket_fd, struct thump_err *err)
{
	struct thump_plan *plan = attempt->plan;
	int result;
	pid_t pid;

	if (thump_spawn_with_pid(tid_way, plan->model->process.pid, plan->options.spin_limit, &pid,
				 &attempt->report->spins, err) < 0)
		return -1;
	if (pid == 0)
		thump_child_hand_over(plan, &attempt->region, socket_fd);
	attempt->forked_ticks = thump_ticks();
	result = thump_attempt_write_steps(attempt, tid_way, caps, err);
	if (result < 0)
		(void)kill(pid, SIGKILL);
	if (wait_for_child(attempt, pid, result < 0 ? &(struct thump_err){ 0 } : err) < 0)
		return -1;
	return result;
}

/* ---- the clone ------------------------------------------------------------------------------- */

/* What the clone enters, where it is to be in namespaces of ours: those of our init, which is us.
 */
static int open_namespaces(const struct thump_rebuild_report *report, int *init_fd_ret,
			   int *time_fd_ret, struct thump_err *err)
{
	auto_close int init_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (init_fd < 0)
		return thump_fail_errno(err, "open a pidfd of our init");
	if (report->time_namespace) {
		*time_fd_ret = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
		if (*time_fd_ret < 0)
			return thump_fail_errno(err, "open /proc/self/ns/time_for_children");
	}
	*init_fd_ret = thump_take_fd(&init_fd);
	return 0;
}

static int receive(int fd, void *bytes, size_t size_bytes, const char *whom, struct thump_err *err)
{
	ssize_t got;

	do
		got = recv(fd, bytes, size_bytes, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return thump_fail_errno(err, "hear from %s", whom);
	if (got != (ssize_t)size_bytes)
		return thump_fail(err, "%s ended without a word", whom);
	return 0;
}

static int call_failed(const char *who, uint32_t nr, int error, struct thump_err *err)
{
	thump_err_set(err, THUMP_FAILED, error, "%s: system call %u", who, nr);
	return -1;
}

static int ask_keeper(const struct thump_attempt *attempt, enum thump_pid_way tid_way,
		      int clone_socket_fd, struct thump_err *err)
{
	const struct thump_rebuild_report *report = attempt->report;
	const struct thump_region *region = &attempt->region;
	const int keeper_fd = attempt->plan->options.keeper_fd;
	auto_close int init_fd = -1, time_fd = -1;
	const struct thump_template_ask ask = {
		.what = THUMP_TEMPLATE_CLONE,
		.request = {
			.abi = THUMP_BLOB_ABI,
			.tid_way = tid_way == THUMP_WAY_SET_TID ? THUMP_TID_SET : THUMP_TID_ANY,
			.wanted_pid = attempt->plan->model->process.pid,
			.ns_flags = report->way != THUMP_WAY_NAMESPACE ? 0
				    : CLONE_NEWPID | CLONE_NEWNS |
					      (report->user_namespace ? CLONE_NEWUSER : 0),
			.has_time = report->time_namespace,
			.data_offset = region->code_size,
			.data_bytes = thump_page_up(region->used),
		},
	};
	struct thump_clone_reply reply;
	int fds[THUMP_NR_CLONE_FDS] = { region->fd, clone_socket_fd, -1, -1 };

	if (ask.request.ns_flags && open_namespaces(report, &init_fd, &time_fd, err) < 0)
		return -1;
	fds[THUMP_CLONE_INIT] = init_fd;
	fds[THUMP_CLONE_TIME] = time_fd;
	thump_prefetch_wait(attempt->plan->options.prefetch, THUMP_PREFETCHED_FIRST);
	region->blob->ticks_exec = thump_ticks();
	if (thump_send_fds(keeper_fd, &ask, sizeof(ask), fds,
			   2 + (size_t)(init_fd >= 0) + (size_t)(time_fd >= 0)) < 0)
		return thump_fail_errno(err, "ask the template's keeper for a clone");
	if (receive(keeper_fd, &reply, sizeof(reply), "the template's keeper", err) < 0)
		return -1;
	return reply.error ? call_failed("the template", reply.nr, reply.error, err) : 0;
}

static int set_timeout(int socket_fd, struct thump_err *err)
{
	const struct timeval timeout = { .tv_sec = ANSWER_TIMEOUT_S };

	if (setsockopt(socket_fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return thump_fail_errno(err, "SO_RCVTIMEO");
	return 0;
}

/* While it has one thread, and before it makes memory of its own. */
static int enter_groups(const struct thump_attempt *attempt, pid_t pid, struct thump_err *err)
{
	const struct thump_cgroup_move *groups = attempt->plan->options.groups;

	return groups ? thump_cgroup_move(groups, pid, err) : 0;
}

/* From its first word to its trap. */
static int lead(struct thump_attempt *attempt, int socket_fd, struct thump_err *err)
{
	struct thump_clone_hello hello;

	if (set_timeout(socket_fd, err) < 0 ||
	    receive(socket_fd, &hello, sizeof(hello), "the clone", err) < 0)
		return -1;
	if (hello.error)
		return call_failed("the clone", hello.nr, hello.error, err);
	/* To kill(2), which its destruction ends in, 0 and less would be others. */
	if (hello.pid <= 1)
		return thump_fail(err, "the clone said that it is process %d", hello.pid);
	if (thump_newborn_adopt(hello.pid, &attempt->newborn, err) < 0)
		return -1;
	thump_attempt_give_up_on(attempt);
	attempt->report->pid_host = hello.pid;
	if (thump_newborn_open_memory(attempt->newborn, err) < 0 ||
	    enter_groups(attempt, hello.pid, err) < 0)
		return -1;
	if (send(socket_fd, "g", 1, MSG_NOSIGNAL) < 0)
		return thump_fail_errno(err, "start the clone");
	if (thump_newborn_wait_trap(attempt->newborn, 0, err) < 0)
		return thump_add_context(err, "fill the clone (phase %u)",
					 attempt->region.blob->phase);
	return thump_attempt_check_blob(attempt, err);
}

int thump_attempt_clone(struct thump_attempt *attempt, enum thump_pid_way tid_way,
			const struct thump_caps *caps, struct thump_err *err)
{
	auto_close int clone_fd = -1;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return thump_fail_errno(err, "make a socket to the clone");
	attempt->clone_fd = ends[0];
	clone_fd = ends[1];
	if (make_descriptors(attempt, tid_way, caps, attempt->clone_fd, err) < 0 ||
	    ask_keeper(attempt, tid_way, clone_fd, err) < 0)
		return -1;
	/* From now on its end is the end of file. */
	thump_close_fd(&clone_fd);
	return lead(attempt, attempt->clone_fd, err);
}
