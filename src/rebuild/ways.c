/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which way of keeping pids is taken: the first that fits, in the order of docs/ARCHITECTURE.md.
 * A way that does not fit says why; when none does, all of these reasons are the problem.
 */
#include "rebuild/ways.h"

#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/problems.h"
#include "rebuild/abilities.h"
#include "rebuild/spin.h"

#define REASON_SIZE 512

struct chooser {
	const struct thump_model *model;
	const struct thump_rebuild_options *options;
	struct thump_abilities can;
	char reasons[THUMP_WAY_OTHER + 1][REASON_SIZE];
	bool clock_is_why; /* some way fits but for the clock */
};

/* Says why `way` does not fit; the value is false. */
#define unfit(chooser, way, ...)                                                                   \
	((void)snprintf((chooser)->reasons[way], REASON_SIZE, __VA_ARGS__), false)

/* ---- clocks ------------------------------------------------------------------------------- */

static int check_clock(clockid_t clock, const char *name, uint64_t image_ns, struct thump_err *err)
{
	struct timespec now;
	uint64_t now_ns;

	if (clock_gettime(clock, &now) < 0)
		return thump_fail_errno(err, "clock_gettime(%s)", name);
	now_ns = (uint64_t)now.tv_sec * THUMP_NS_PER_S + (uint64_t)now.tv_nsec;
	if (now_ns + THUMP_CLOCK_TOLERANCE_NS >= image_ns)
		return 0;
	return thump_refuse(err,
			    "%s would run back by %llu s without a time namespace (the image was "
			    "made on a machine that had been up for longer); --allow-clock-jump "
			    "restores all the same",
			    name, (unsigned long long)((image_ns - now_ns) / THUMP_NS_PER_S));
}

int thump_check_clocks(const struct thump_model *model, struct thump_err *err)
{
	if (check_clock(CLOCK_MONOTONIC, "CLOCK_MONOTONIC", model->machine.monotonic_ns, err) < 0)
		return -1;
	return check_clock(CLOCK_BOOTTIME, "CLOCK_BOOTTIME", model->machine.boottime_ns, err);
}

bool thump_stands_clocks(const struct thump_model *model,
			 const struct thump_rebuild_options *options)
{
	return options->allow_clock_jump ||
	       (model->process.runtime.clock_addr && !options->real_clock);
}

/* The rule for ways without a time namespace. */
static bool clocks_fit(struct chooser *chooser, enum thump_pid_way way)
{
	struct thump_err err = THUMP_ERR_INIT;

	if (thump_stands_clocks(chooser->model, chooser->options) ||
	    thump_check_clocks(chooser->model, &err) == 0)
		return true;
	chooser->clock_is_why = true;
	return unfit(chooser, way, "%.*s", REASON_SIZE - 1, err.text);
}

/* ---- ways 1 to 4 -------------------------------------------------------------------------- */

static uint32_t highest_tid(const struct thump_model *model)
{
	int32_t highest = model->process.pid;

	for (uint32_t i = 0; i < model->nr_tasks; i++)
		if (model->tasks[i].tid > highest)
			highest = model->tasks[i].tid;
	return (uint32_t)highest;
}

/* The first of the image's ids that somebody has here, or 0. */
static pid_t first_taken(const struct thump_model *model)
{
	if (thump_pid_taken(model->process.pid))
		return model->process.pid;
	for (uint32_t i = 0; i < model->nr_tasks; i++)
		if (thump_pid_taken(model->tasks[i].tid))
			return model->tasks[i].tid;
	return 0;
}

/* Ways 1 and 3 share our pid namespace: every id must be free there. */
static bool ids_free(struct chooser *chooser, enum thump_pid_way way)
{
	pid_t taken = first_taken(chooser->model);
	char holder[160];

	if (taken == 0)
		return true;
	return unfit(chooser, way, "pid %d is taken by %s", (int)taken,
		     thump_pid_holder(taken, holder, sizeof(holder)));
}

/* Either is needed, and clone3 answers so only after it has prepared a whole process. */
static bool lacks_set_tid_capabilities(void)
{
	const uint64_t either =
		THUMP_CAP_BIT(CAP_CHECKPOINT_RESTORE) | THUMP_CAP_BIT(CAP_SYS_ADMIN);

	return (thump_caps_sets().effective & either) == 0;
}

static bool set_tid_fits(struct chooser *chooser)
{
	const enum thump_pid_way way = THUMP_WAY_SET_TID;
	uint32_t last_pid, pid_max, highest = highest_tid(chooser->model);
	struct thump_err err;

	if (lacks_set_tid_capabilities())
		return unfit(chooser, way, "no CAP_CHECKPOINT_RESTORE in this pid namespace");
	thump_probe_set_tid(&chooser->can);
	if (!chooser->can.set_tid)
		return unfit(chooser, way, "%s", chooser->can.set_tid_reason);
	if (!ids_free(chooser, way))
		return false;
	if (thump_pid_cursor(&last_pid, &pid_max, &err) == 0 && highest >= pid_max)
		return unfit(chooser, way, "pid %u is not below pid_max (%u)", highest, pid_max);
	return clocks_fit(chooser, way);
}

/* A user namespace of ours takes every capability from the program. */
static bool loses_capabilities(const struct chooser *chooser)
{
	const struct thump_creds *creds = &chooser->model->process.creds;

	if (!chooser->can.needs_user_namespace || creds->cap_permitted == 0)
		return false;
	/* Restored by an ordinary user, a root's program gets that user's rights anyway. */
	return creds->euid != 0 || geteuid() == 0;
}

static bool may_make_namespaces(void)
{
	return thump_caps_sets().effective & THUMP_CAP_BIT(CAP_SYS_ADMIN);
}

static bool namespace_fits(struct chooser *chooser)
{
	const enum thump_pid_way way = THUMP_WAY_NAMESPACE;
	const bool assume = chooser->options->assume_namespaces;
	uint32_t highest = highest_tid(chooser->model);

	if (assume) {
		chooser->can.needs_user_namespace = !may_make_namespaces();
		chooser->can.mount_proc = true;
	} else {
		thump_probe_namespaces(&chooser->can);
	}
	if (!assume && !chooser->can.user_namespace)
		return unfit(chooser, way, "%s", chooser->can.user_namespace_reason);
	if (!assume && highest >= chooser->can.namespace_pid_max)
		return unfit(chooser, way, "pid %u is not below pid_max (%u)", highest,
			     chooser->can.namespace_pid_max);
	if (loses_capabilities(chooser))
		return unfit(chooser, way,
			     "the program holds capabilities, which a user namespace "
			     "would take from it");
	return assume || (chooser->can.time_namespace && !chooser->options->real_clock) ||
	       clocks_fit(chooser, way);
}

/*
 * The kernel gives pids in ascending order, and threads are made in that of their tids: what
 * counts is the way from the last pid to the highest id. An id below the leader's comes up only
 * after a whole turn.
 */
static bool spin_fits(struct chooser *chooser)
{
	const enum thump_pid_way way = THUMP_WAY_SPIN;
	uint32_t limit = chooser->options->spin_limit, last_pid, pid_max;
	pid_t pid = chooser->model->process.pid;
	uint64_t distance, to_threads = 0;
	struct thump_err err;

	if (limit == 0)
		limit = THUMP_DEFAULT_SPIN_LIMIT;
	if (thump_pid_cursor(&last_pid, &pid_max, &err) < 0)
		return unfit(chooser, way, "%.*s", REASON_SIZE - 1, err.text);
	if (!ids_free(chooser, way))
		return false;
	if (!thump_spin_distance(last_pid, pid_max, (uint32_t)pid, &distance))
		return unfit(chooser, way,
			     "pid %d does not come up again: the last pid is %u, pid_max "
			     "is %u",
			     (int)pid, last_pid, pid_max);
	for (uint32_t i = 0; i < chooser->model->nr_tasks; i++) {
		pid_t tid = chooser->model->tasks[i].tid;
		uint64_t more = 0;

		if (tid != pid &&
		    !thump_spin_distance((uint32_t)pid, pid_max, (uint32_t)tid, &more))
			return unfit(chooser, way, "tid %d, below the pid, does not come up again",
				     (int)tid);
		if (more > to_threads)
			to_threads = more;
	}
	distance += to_threads;
	if (distance > limit)
		return unfit(
			chooser, way,
			"its pids are %llu tasks away and --spin-limit is %u (pid %d, last pid "
			"%u, pid_max %u, about %.1f seconds)",
			(unsigned long long)distance, limit, (int)pid, last_pid, pid_max,
			(double)distance * THUMP_SPIN_TASK_US / 1e6);
	return clocks_fit(chooser, way);
}

static bool other_fits(struct chooser *chooser)
{
	const enum thump_pid_way way = THUMP_WAY_OTHER;

	if (!chooser->model->process.user_vouched)
		return unfit(chooser, way, "no runtime vouches that the program stands other pids");
	if (chooser->model->tid_obstacle)
		return unfit(chooser, way, "%s", chooser->model->tid_obstacle);
	return clocks_fit(chooser, way);
}

/* ---- the choice --------------------------------------------------------------------------- */

static bool allowed(const struct chooser *chooser, enum thump_pid_way way)
{
	uint32_t mask = chooser->options->allowed_ways;

	return mask == 0 || (mask & 1u << way);
}

static enum thump_pid_way choose(struct chooser *chooser)
{
	bool have_namespace;

	if (allowed(chooser, THUMP_WAY_SET_TID) && set_tid_fits(chooser))
		return THUMP_WAY_SET_TID;
	have_namespace = allowed(chooser, THUMP_WAY_NAMESPACE) && namespace_fits(chooser);
	if (have_namespace && chooser->can.mount_proc)
		return THUMP_WAY_NAMESPACE;
	/* Where /proc cannot be mounted, spinning gives the truer process. */
	if (allowed(chooser, THUMP_WAY_SPIN) && spin_fits(chooser))
		return THUMP_WAY_SPIN;
	if (have_namespace)
		return THUMP_WAY_NAMESPACE;
	if (allowed(chooser, THUMP_WAY_OTHER) && other_fits(chooser))
		return THUMP_WAY_OTHER;
	return THUMP_WAY_NONE;
}

struct thump_head_start *thump_head_start_begin(const struct thump_rebuild_options *options)
{
	const struct chooser chooser = { .options = options };
	struct thump_head_start *start;
	struct thump_err ignored = THUMP_ERR_INIT;

	/* Without it the start tries again, and says what is wrong. */
	if (!options->assume_namespaces || !allowed(&chooser, THUMP_WAY_NAMESPACE) ||
	    (allowed(&chooser, THUMP_WAY_SET_TID) && !lacks_set_tid_capabilities()) ||
	    thump_init_begin(&start, &ignored) < 0)
		return NULL;
	return start;
}

bool thump_way_is_namespace(const struct thump_model *model,
			    const struct thump_rebuild_options *options)
{
	struct chooser chooser = { .model = model, .options = options };

	return model->process.pid != 1 && namespace_fits(&chooser);
}

static void list_reasons(const struct chooser *chooser, struct thump_problems *problems)
{
	static const char *const names[] = {
		[THUMP_WAY_SET_TID] = "setting pids",
		[THUMP_WAY_NAMESPACE] = "a pid namespace",
		[THUMP_WAY_SPIN] = "spinning",
		[THUMP_WAY_OTHER] = "other pids",
	};
	char text[THUMP_ARRAY_SIZE(names) * (REASON_SIZE + 32)];
	size_t used = 0;

	text[0] = '\0';
	for (size_t way = THUMP_WAY_SET_TID; way < THUMP_ARRAY_SIZE(names); way++) {
		const char *reason = chooser->reasons[way];

		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s: %s",
					 used ? "; " : "", names[way],
					 reason[0] ? reason : "not allowed by the options");
	}
	thump_problem_add(problems, false, -1, chooser->clock_is_why ? "clock" : "pid",
			  "pid %d cannot be kept: %s", (int)chooser->model->process.pid, text);
}

int thump_choose_way(const struct thump_model *model, const struct thump_rebuild_options *options,
		     struct thump_problems *problems, enum thump_pid_way *way_ret,
		     struct thump_err *err)
{
	struct chooser chooser = { .model = model, .options = options };
	enum thump_pid_way way = choose(&chooser);

	(void)err; /* what does not fit is a problem, not a failure */
	if (way == THUMP_WAY_NONE)
		list_reasons(&chooser, problems);
	if (way == THUMP_WAY_NAMESPACE && !chooser.can.mount_proc)
		thump_problem_add(problems, true, -1, "proc",
				  "the program will not find its own pid in /proc (/proc/self is "
				  "right): %s",
				  chooser.can.mount_proc_reason);
	*way_ret = way;
	return 0;
}

static int start_by(enum thump_pid_way way, bool retry, struct thump_plan *plan,
		    struct thump_rebuild_report *report, pid_t *child_ret, struct thump_err *err)
{
	const struct thump_creds *creds = &thump_plan_model(plan)->process.creds;
	int result;

	*report = (struct thump_rebuild_report){
		.way = way,
		.memory = thump_plan_memory(plan),
		.control_fd = -1,
		.bounding = thump_caps_bounding(creds->cap_bounding),
		.retry = retry,
	};
	/* pid 1 needs no init of ours: it is one. */
	if (way == THUMP_WAY_NAMESPACE && thump_plan_model(plan)->process.pid != 1)
		return thump_rebuild_in_namespace(plan, report, child_ret, err);
	result = thump_rebuild_here(plan, way, report, child_ret, err);
	report->pid_host = result == 0 ? *child_ret : 0;
	return result;
}

/* Why `way` failed can be that it was lost between the choice and the start; *without gets what is
 * not to be chosen again. */
static bool was_lost(const struct thump_plan *plan, const struct thump_rebuild_report *report,
		     const struct thump_err *err, uint32_t *without)
{
	switch (report->way) {
	case THUMP_WAY_SET_TID:
		/* Somebody has taken one of the ids. */
		*without |= 1u << THUMP_WAY_SET_TID;
		return err->sys_errno == EEXIST;
	case THUMP_WAY_NAMESPACE:
		/* It was assumed that there are any; those without a /proc of their own are. */
		*without |= 1u << THUMP_WAY_SET_TID;
		return !report->entered && !report->retry && !report->given_up_on &&
		       thump_plan_options(plan)->assume_namespaces;
	case THUMP_WAY_SPIN:
		/* Another restore of the image was faster, or passed the ids by. */
		*without |= 1u << THUMP_WAY_SET_TID | 1u << THUMP_WAY_SPIN;
		return err->sys_errno == EEXIST;
	case THUMP_WAY_OTHER:
	case THUMP_WAY_NONE:
		break;
	}
	return false;
}

/* Another way than `failed`; REFUSED with all reasons when there is none. */
static int choose_again(const struct thump_plan *plan, enum thump_pid_way failed, uint32_t without,
			enum thump_pid_way *way_ret, struct thump_err *err)
{
	struct thump_rebuild_options options = *thump_plan_options(plan);
	const uint32_t all = 1u << THUMP_WAY_SET_TID | 1u << THUMP_WAY_NAMESPACE |
			     1u << THUMP_WAY_SPIN | 1u << THUMP_WAY_OTHER;
	struct chooser chooser = { .model = thump_plan_model(plan), .options = &options };
	struct thump_problems reasons;

	(void)unfit(&chooser, failed, "%.*s", REASON_SIZE - 1, err->text);
	options.assume_namespaces = false;
	options.allowed_ways = (options.allowed_ways ? options.allowed_ways : all) & ~without;
	/* Bit 0 is no way: "nothing is allowed" must not read as "everything is". */
	options.allowed_ways |= 1u << THUMP_WAY_NONE;
	*way_ret = choose(&chooser);
	if (*way_ret != THUMP_WAY_NONE)
		return 0;
	thump_problems_init(&reasons);
	list_reasons(&chooser, &reasons);
	(void)thump_refuse(err, "%s", reasons.count ? reasons.list[0].text : "out of memory");
	thump_problems_deinit(&reasons);
	return -1;
}

int thump_rebuild_start(struct thump_plan *plan, struct thump_rebuild_report *report,
			pid_t *child_ret, struct thump_err *err)
{
	enum thump_pid_way way = thump_plan_way(plan);
	uint64_t start_ns = thump_now_ns(), whole_ns;
	int result = start_by(way, false, plan, report, child_ret, err);
	uint32_t without = 0;

	while (result < 0 && was_lost(plan, report, err, &without)) {
		if (choose_again(plan, way, without, &way, err) < 0)
			break;
		result = start_by(way, true, plan, report, child_ret, err);
	}
	if (result == 0)
		*err = THUMP_ERR_INIT; /* what failed before does not matter any more */
	if (report->spare)
		return result;
	/* What making the namespaces took is part of making the process. */
	whole_ns = thump_now_ns() - start_ns;
	report->fork_ns += whole_ns - report->total_ns;
	report->total_ns = whole_ns;
	return result;
}
