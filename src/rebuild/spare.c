/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wait of a spare between "all is made" and "it runs". Order when it is taken:
 *   files are still those that were opened -> clocks -> the blob's late steps: descriptors of
 * whoever takes it, names of sockets -> the rest of every commit (commit.c) An error leaves
 * nothing, as everywhere before the release; who asked gets a clone of the template instead.
 */
#include "rebuild/spare.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/send_fds.h"
#include "rebuild/plan.h"
#include "rebuild/what.h"
#include "trace/newborn.h"

/* ---- what cannot wait -------------------------------------------------------------------------
 */

static bool has_running_timer(const struct thump_model *model)
{
	for (int which = 0; which < THUMP_NR_ITIMERS; which++)
		if (model->process.itimers[which].value_us)
			return true;
	for (uint32_t i = 0; i < model->nr_timers; i++)
		if (model->timers[i].value_ns)
			return true;
	return false;
}

void thump_check_spare(const struct thump_plan *plan, struct thump_problems *problems)
{
	const struct thump_model *model = plan->model;

	thump_check_waiting(&plan->rb, problems);
	if (has_running_timer(model))
		thump_problem_add(
			problems, false, -1, "spare",
			"a timer of the program runs, and would while a spare waits: there "
			"can be no spares");
	for (uint32_t i = 0; i < model->nr_tasks; i++)
		if (model->tasks[i].pdeathsig)
			thump_problem_add(problems, false, -1, "spare",
					  "thread %d gets a signal when its parent ends, which is "
					  "another one for a spare: there can be no spares",
					  model->tasks[i].tid);
}

int thump_spare_fd(const struct thump_model *model)
{
	const int above = model->nr_fds ? model->fds[model->nr_fds - 1].fd + 1 : 0;

	return above > STDERR_FILENO ? above : STDERR_FILENO + 1;
}

/* ---- the wait ---------------------------------------------------------------------------------
 */

static void drain(int signal_fd)
{
	struct signalfd_siginfo info;

	while (read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		continue;
}

/* SIGCHLD is blocked: the newborn's tracer is told of the end of each thread by it. */
static int wait_for_taker(const struct thump_spare_owner *owner, struct thump_newborn *newborn,
			  struct thump_err *err)
{
	auto_close int signal_fd = -1;
	sigset_t children;

	(void)sigemptyset(&children);
	(void)sigaddset(&children, SIGCHLD);
	signal_fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		return thump_fail_errno(err, "signalfd");
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = owner->fd, .events = POLLIN },
			{ .fd = signal_fd, .events = POLLIN },
		};

		/* What ended before we listened is looked for, too. */
		drain(signal_fd);
		if (thump_newborn_lost_thread(newborn))
			return thump_fail(err, "the spare has ended");
		(void)poll(fds, THUMP_ARRAY_SIZE(fds), -1);
		if (fds[0].revents)
			return 0;
	}
}

/* ---- when it is taken --------------------------------------------------------------------------
 */

/* What the program waits for is as far away as it was: so long did it stand still. */
static void shift_clocks(struct thump_plan *plan, uint64_t monotonic_ns, uint64_t boot_ns)
{
	plan->rb.monotonic_shift_ns += (int64_t)(thump_now_ns() - monotonic_ns);
	plan->rb.boottime_shift_ns += (int64_t)(thump_clock_ns(CLOCK_BOOTTIME) - boot_ns);
}

/* Steps: the letter, closing what it was, and for each descriptor at most a place, or a name and
 * listening. */
static size_t late_steps(const struct thump_model *model)
{
	return 5 + 3 * (size_t)model->nr_fds;
}

/* For recvmsg(2) in the clone; pointers are addresses there. */
struct letter {
	struct msghdr message;
	struct iovec part;
	char byte;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))];
};

/* An action, and what is lost to alignment. */
#define BYTES_OF_COMMIT 1024

size_t thump_spare_bytes(const struct thump_model *model)
{
	const size_t bytes = sizeof(struct letter) + late_steps(model) * sizeof(struct thump_step) +
			     model->nr_fds * sizeof(struct sockaddr_in6) +
			     model->process.nr_pending * sizeof(struct thump_siginfo);

	return bytes + BYTES_OF_COMMIT;
}

/* The descriptors that come are the blob's table from then on. */
static void step_receive(struct thump_region *region, int from_fd)
{
	uint64_t addr;
	struct letter *letter = thump_region_alloc(region, sizeof(*letter), &addr);

	if (!letter)
		return;
	*letter = (struct letter){
		.message = {
			.msg_iov = (void *)(uintptr_t)(addr + offsetof(struct letter, part)),
			.msg_iovlen = 1,
			.msg_control = (void *)(uintptr_t)(addr + offsetof(struct letter, control)),
			.msg_controllen = sizeof(letter->control),
		},
		.part = { (void *)(uintptr_t)(addr + offsetof(struct letter, byte)), 1 },
	};
	region->blob->fds = addr + offsetof(struct letter, control) + CMSG_LEN(0);
	thump_step_expect(THUMP_STEP(region, THUMP_WHAT_CALLERS_FDS, SYS_recvmsg, (uint64_t)from_fd,
				     addr, MSG_CMSG_CLOEXEC),
			  1);
}

static void step_stdio(const struct thump_plan *plan, struct thump_region *region)
{
	const struct thump_model *model = plan->model;
	const int from_fd = thump_spare_fd(model);

	step_receive(region, from_fd);
	for (uint32_t i = 0; i < model->nr_fds; i++) {
		const struct thump_fd *place = &model->fds[i];
		const int number = thump_callers_number(&plan->rb, place);

		if (number < 0)
			continue;
		THUMP_STEP(region, THUMP_WHAT_CALLERS_FDS, SYS_dup3, (uint64_t)number,
			   (uint64_t)place->fd, place->cloexec ? O_CLOEXEC : 0)
			->fd_arg = 1;
	}
	for (uint64_t i = 0; i < 3; i++)
		THUMP_STEP(region, THUMP_WHAT_CALLERS_FDS, SYS_close, i)->fd_arg = 1;
	(void)THUMP_STEP(region, THUMP_WHAT_CALLERS_FDS, SYS_close, (uint64_t)from_fd);
}

static int step_binds(const struct thump_plan *plan, struct thump_region *region,
		      struct thump_err *err)
{
	auto_free struct thump_late_bind *list = calloc(plan->model->nr_ofds + 1, sizeof(*list));
	size_t count;

	if (!list)
		return thump_fail_errno(err, "memory for names of sockets");
	count = thump_late_binds(&plan->rb, list);
	for (size_t i = 0; i < count; i++) {
		const uint64_t address = thump_region_put(region, list[i].address, list[i].len);

		(void)THUMP_STEP(region, THUMP_WHAT_BIND, SYS_bind, (uint64_t)list[i].fd, address,
				 list[i].len);
		if (list[i].backlog >= 0)
			(void)THUMP_STEP(region, THUMP_WHAT_LISTEN, SYS_listen,
					 (uint64_t)list[i].fd, (uint64_t)list[i].backlog);
	}
	return 0;
}

static int run_late_steps(const struct thump_plan *plan, struct thump_region *region,
			  struct thump_newborn *newborn, struct thump_err *err)
{
	struct thump_blob_data *blob = region->blob;

	thump_region_begin_again(region, late_steps(plan->model));
	step_stdio(plan, region);
	if (step_binds(plan, region, err) < 0 || thump_region_check(region, err) < 0)
		return -1;
	blob->role = THUMP_ROLE_LATE;
	blob->nr_late_steps = region->nr_steps;
	if (thump_newborn_run(newborn, REMOTE(region->code_addr), REMOTE(blob->stack_top),
			      region->addr, 0, err) < 0)
		return -1;
	if (!blob->failed)
		return 0;
	thump_what_failed(blob, region->steps, region->room_steps, err);
	return -1;
}

static int check_room(const struct thump_plan *plan, struct thump_err *err)
{
	struct thump_problems problems;
	int result;

	thump_problems_init(&problems);
	thump_check_parameters(plan, &problems);
	result = thump_problems_check(&problems, "the spare", err);
	thump_problems_deinit(&problems);
	return result;
}

int thump_spare_wait(struct thump_plan *plan, struct thump_region *region,
		     struct thump_newborn *newborn, int clone_fd, struct thump_err *err)
{
	const struct thump_spare_owner *owner = plan->options.spare;
	const uint64_t monotonic_ns = thump_now_ns(), boot_ns = thump_clock_ns(CLOCK_BOOTTIME);
	struct thump_taker taker;

	if (owner->ready(owner->ctx, err) < 0 || wait_for_taker(owner, newborn, err) < 0 ||
	    owner->take(owner->ctx, &taker, err) < 0)
		return -1;
	plan->taken_ns = thump_now_ns();
	plan->options.parameters = taker.parameters;
	plan->options.nr_parameters = taker.nr_parameters;
	plan->rb.ports = taker.ports;
	plan->rb.nr_ports = taker.nr_ports;
	if (thump_check_still(&plan->rb, err) < 0 || check_room(plan, err) < 0)
		return -1;
	shift_clocks(plan, monotonic_ns, boot_ns);
	if (thump_send_fds(clone_fd, "s", 1, taker.stdio, THUMP_ARRAY_SIZE(taker.stdio)) < 0)
		return thump_fail_errno(err, "hand stdin, stdout and stderr over");
	return run_late_steps(plan, region, newborn, err);
}
