/* SPDX-License-Identifier: Apache-2.0 */
#include "rebuild/template.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/send_fds.h"
#include "rebuild/attempt.h"
#include "rebuild/spare.h"

void thump_check_part(const struct thump_plan *plan, struct thump_problems *problems)
{
	thump_check_clonable(&plan->rb, problems);
	if (plan->options.with_spares)
		thump_check_spare(plan, problems);
	if (plan->model->process.pid == 1)
		thump_problem_add(problems, false, -1, "template",
				  "the program was pid 1, which no clone can be");
	if (plan->ids == THUMP_IDS_SET)
		thump_problem_add(
			problems, false, -1, "template",
			"the program is another user's (uid %u): the template must be his",
			plan->model->process.creds.uid);
	if (thump_image_is_unpacked(plan->image) || thump_image_supply(plan->image))
		thump_problem_add(problems, false, -1, "template",
				  "the image is packed: unpack it first");
}

/* Of the park: first what the template is told, then what it works with, stacks from the end on. */
#define WORK_OFFSET	   1024
#define BEARER_STACK_BYTES ((uint64_t)16 << 10)

/* Lets it go to where it waits. */
static int park(struct thump_attempt *attempt, struct thump_err *err)
{
	const struct thump_region *region = &attempt->region;
	const uint64_t at = thump_park_addr(region), end = at + THUMP_PARK_BYTES;
	const struct thump_blob_park told = {
		.abi = THUMP_BLOB_ABI,
		.role = THUMP_ROLE_PARK,
		.stack_top = end,
		.bearer_stack_top = end - BEARER_STACK_BYTES,
		.region = region->addr,
		.region_bytes = thump_page_up(region->used),
		.work = at + WORK_OFFSET,
	};

	if (thump_newborn_write(attempt->newborn, REMOTE(at), &told, sizeof(told), err) < 0)
		return -1;
	return thump_newborn_release_at(attempt->newborn, REMOTE(region->code_addr),
					REMOTE(told.stack_top), at, err);
}

static int attempt_run(struct thump_attempt *attempt, struct thump_err *err)
{
	/* It keeps all rights that we have until a clone gives them up: it takes some to clone. */
	const struct thump_caps caps = thump_caps_own();

	if (thump_attempt_exec(attempt, THUMP_WAY_OTHER, &caps, err) < 0 ||
	    thump_attempt_run_blob(attempt, err) < 0 ||
	    thump_verifier_wait(&attempt->verifier, attempt->newborn, err) < 0)
		return -1;
	return park(attempt, err);
}

int thump_template_start(struct thump_plan *plan, int *control_fd_ret, pid_t *pid_ret,
			 struct thump_err *err)
{
	struct thump_rebuild_report report = { .control_fd = -1 };
	struct thump_attempt attempt = { 0 };
	auto_close int control_fd = -1;
	int ends[2], result;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return thump_fail_errno(err, "make a socket to the template");
	control_fd = ends[0];
	plan->park_fd = ends[1];
	result = thump_attempt_init(&attempt, plan, &report, err);
	if (result == 0)
		result = attempt_run(&attempt, err);
	if (result == 0)
		*pid_ret = attempt.newborn->pid;
	thump_attempt_deinit(&attempt);
	thump_made_destroy(&plan->rb);
	thump_close_fd(&plan->park_fd);
	if (result < 0)
		return thump_add_context(err, "make a template");
	*control_fd_ret = thump_take_fd(&control_fd);
	return 0;
}

int thump_template_clone(int control_fd, const struct thump_clone_request *request, const int *fds,
			 size_t nr_fds, struct thump_clone_reply *reply_ret, struct thump_err *err)
{
	struct thump_clone_reply reply;
	ssize_t got;

	if (thump_send_fds(control_fd, request, sizeof(*request), fds, nr_fds) < 0)
		return thump_fail_errno(err, "ask the template for a clone");
	do
		got = recv(control_fd, &reply, sizeof(reply), 0);
	while (got < 0 && errno == EINTR);
	if (got != (ssize_t)sizeof(reply))
		return thump_fail(err, "the template has ended");
	*reply_ret = reply;
	return 0;
}
