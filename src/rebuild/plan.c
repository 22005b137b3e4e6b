/* SPDX-License-Identifier: Apache-2.0 */
#include "rebuild/plan.h"

#include <stdlib.h>

#include "base/fd.h"
#include "rebuild/head_start.h"
#include "rebuild/ways.h"

/* In a user namespace of ours we may do it; else it takes CAP_SETPCAP, see thump_caps_before_exec.
 */
static void check_bounding(const struct thump_plan *plan, struct thump_problems *problems)
{
	if (plan->way == THUMP_WAY_NAMESPACE ||
	    (thump_caps_sets().effective & THUMP_CAP_BIT(CAP_SETPCAP)) ||
	    !thump_caps_bounding(~plan->model->process.creds.cap_bounding))
		return;
	thump_problem_add(problems, true, -1, "bounding-set",
			  "the program's capability bounding set was smaller; reducing ours takes "
			  "CAP_SETPCAP, so it stays");
}

/* It goes on while we check, unless the image takes another way. */
static void use_head_start(struct thump_plan *plan, bool trusted)
{
	if (!plan->head_start)
		return;
	if (trusted && thump_way_is_namespace(plan->model, &plan->options)) {
		thump_init_set_clocks(plan->head_start, plan->model, &plan->options);
		return;
	}
	thump_head_start_destroy(plan->head_start);
	plan->head_start = NULL;
}

static int check_all(struct thump_plan *plan, struct thump_problems *problems,
		     struct thump_err *err)
{
	size_t nr_fatal = problems->nr_fatal;
	bool trusted;

	if (plan->model->nr_tasks == 0)
		return thump_damaged(err, "the image has no thread");
	thump_check_owner(plan, problems);
	trusted = problems->nr_fatal == nr_fatal;
	use_head_start(plan, trusted);
	if (thump_check_machine(plan, problems, err) < 0)
		return -1;
	thump_check_ids(plan, problems);
	thump_check_limits(plan, problems);
	thump_check_parameters(plan, problems);
	if (thump_check_memory(plan, problems, err) < 0)
		return -1;
	/* A template has the pid that comes: its clones have the program's. */
	if (plan->options.part != THUMP_PART_TEMPLATE &&
	    thump_choose_way(plan->model, &plan->options, problems, &plan->way, err) < 0)
		return -1;
	thump_check_sizes(plan, problems);
	check_bounding(plan, problems);
	/* No file is opened, no socket connected to or bound on the word of a stranger's image. */
	if (trusted && thump_check_files(plan, problems, err) < 0)
		return -1;
	if (trusted && plan->options.part != THUMP_PART_ALL)
		thump_check_part(plan, problems);
	return 0;
}

int thump_plan_create(struct thump_image *image, const struct thump_rebuild_options *options,
		      struct thump_problems *problems, struct thump_plan **plan_ret,
		      struct thump_err *err)
{
	struct thump_plan *plan = calloc(1, sizeof(*plan));

	if (!plan) {
		(void)thump_fail_errno(err, "memory for a plan");
		thump_head_start_destroy(options->head_start);
		return -1;
	}
	plan->image = image;
	plan->model = thump_image_model(image);
	plan->options = *options;
	plan->head_start = options->head_start;
	plan->exe_fd = -1;
	plan->park_fd = -1;
	plan->region.fd = -1;
	thump_arena_init(&plan->arena);
	plan->rb = (struct thump_fd_rebuild){
		.model = plan->model,
		.image = image,
		.arena = &plan->arena,
		.ports = options->ports,
		.nr_ports = options->nr_ports,
		.keep_stdio = options->keep_stdio,
		.only_backings = options->part == THUMP_PART_TEMPLATE,
		.handed_over = options->part == THUMP_PART_CLONE,
		.bound_late = options->spare,
		.rules = options->rules,
	};
	if (check_all(plan, problems, err) < 0) {
		thump_plan_destroy(plan);
		return -1;
	}
	*plan_ret = plan;
	return 0;
}

void thump_plan_destroy(struct thump_plan *plan)
{
	if (!plan)
		return;
	thump_head_start_destroy(plan->head_start);
	if (plan->rb.backing_fds)
		thump_close_fds(&plan->rb);
	thump_close_fd(&plan->exe_fd);
	thump_arena_deinit(&plan->arena);
	free(plan);
}

struct thump_head_start *thump_plan_take_head_start(struct thump_plan *plan)
{
	struct thump_head_start *start = plan->head_start;

	plan->head_start = NULL;
	return start;
}

enum thump_pid_way thump_plan_way(const struct thump_plan *plan)
{
	return plan->way;
}

struct thump_terminals thump_plan_terminals(const struct thump_plan *plan)
{
	if (plan->options.detach)
		return (struct thump_terminals){ 0 };
	return plan->rb.terminals;
}

enum thump_memory_mode thump_plan_memory(const struct thump_plan *plan)
{
	return plan->memory;
}

const struct thump_model *thump_plan_model(const struct thump_plan *plan)
{
	return plan->model;
}

const struct thump_rebuild_options *thump_plan_options(const struct thump_plan *plan)
{
	return &plan->options;
}
