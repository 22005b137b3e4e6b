/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of a capture. Each phase has a name for messages and, where it changes anything outside
 * of thump, a way back; on failure the phases that ran are undone in reverse order. The only one
 * with something to undo is the stop itself: remote calls restore what they touched, at the latest
 * when the target is resumed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "capture/context.h"
#include "kinds/kind.h"

#define DEFAULT_CARRY_LIMIT_BYTES ((uint64_t)64 << 20)

static int stop_target(struct thump_capture *cap, struct thump_err *err)
{
	struct thump_capture_times *times = &cap->times;
	const uint64_t start_ns = thump_now_ns();
	uint64_t before_ns;

	if (thump_target_stop(cap->options.pid, cap->options.patience_ms, &cap->target, err) < 0)
		return -1;
	/* It runs while it is looked at; all of this phase is added to stop_ns afterwards. */
	before_ns = cap->target->seized_at_ns - start_ns;
	times->before_ns += before_ns;
	times->stop_ns -= before_ns;
	times->stopped_at_ns = cap->target->seized_at_ns;
	return 0;
}

static void resume_target(struct thump_capture *cap)
{
	thump_target_destroy(cap->target);
	cap->target = NULL;
}

static int capture_fds(struct thump_capture *cap, struct thump_err *err)
{
	const struct thump_fd_options options = {
		.carry_limit_bytes = cap->options.carry_limit_bytes,
		.rules = cap->options.rules,
	};

	return thump_capture_fds(cap->target, &cap->model, &options, cap->problems, err);
}

/* After a failure: while the target still stands. */
static void end_copy(struct thump_capture *cap)
{
	struct thump_err ignored = THUMP_ERR_INIT;
	uint64_t held_ns;

	(void)!thump_capture_end_copy(cap, &held_ns, &ignored);
}

/* Every thread back in its own stop, with its own registers: from here on nothing runs in the
 * target, and the memory that is copied is its own. */
static int finish_remote_calls(struct thump_capture *cap, struct thump_err *err)
{
	(void)err;
	thump_remote_finish(cap->target);
	return 0;
}

static const struct phase {
	const char *name;
	int (*run)(struct thump_capture *cap, struct thump_err *err);
	void (*undo)(struct thump_capture *cap);
	size_t time_at; /* member of struct thump_capture_times that its duration is added to */
	/* It has the target make system calls: left out where these were refused. */
	bool calls;
	enum {
		ALWAYS,
		NOT_BEFORE_HOOKS,
		ONLY_BEFORE_HOOKS,
		ONLY_LIVE, /* not before hooks either */
		OF_COPY,   /* the same as NOT_BEFORE_HOOKS; live, while the target runs on */
	} when;
} phases[] = {
#define TIME(member) offsetof(struct thump_capture_times, member)
	{ "look at", thump_capture_open, NULL, TIME(before_ns), false, ALWAYS },
	{ "read the mappings of", thump_capture_smaps_before, NULL, TIME(before_ns), false,
	  ALWAYS },
	{ "look for sharers of the memory of", thump_capture_sharers, NULL, TIME(before_ns), false,
	  NOT_BEFORE_HOOKS },
	{ "stop", stop_target, resume_target, TIME(stop_ns), false, ALWAYS },
	{ "read facts about", thump_capture_facts, NULL, TIME(state_ns), false, ALWAYS },
	{ "look for obstacles in", thump_capture_obstacles, NULL, TIME(state_ns), false, ALWAYS },
	{ "describe the machine of", thump_capture_machine, NULL, TIME(state_ns), false,
	  NOT_BEFORE_HOOKS },
	{ "describe", thump_capture_process, NULL, TIME(state_ns), false, ALWAYS },
	{ "read credentials of", thump_capture_creds, NULL, TIME(state_ns), false, ALWAYS },
	{ "read threads of", thump_capture_tasks, NULL, TIME(state_ns), false, ALWAYS },
	{ "find the level of CPUs of", thump_capture_level, NULL, TIME(state_ns), false,
	  NOT_BEFORE_HOOKS },
	{ "read relations of", thump_capture_relations, NULL, TIME(state_ns), false, ALWAYS },
	{ "ask", thump_capture_remote_process, NULL, TIME(remote_ns), true, ALWAYS },
	{ "read signal dispositions of", thump_capture_signals, NULL, TIME(remote_ns), true,
	  NOT_BEFORE_HOOKS },
	{ "read timers of", thump_capture_timers, NULL, TIME(remote_ns), true, NOT_BEFORE_HOOKS },
	{ "ask threads of", thump_capture_remote_tasks, NULL, TIME(remote_ns), true, ALWAYS },
	{ "read descriptors of", capture_fds, NULL, TIME(fds_ns), false, NOT_BEFORE_HOOKS },
	{ "read memory fields of", thump_capture_mm, NULL, TIME(state_ns), false,
	  NOT_BEFORE_HOOKS },
	{ "read mappings of", thump_capture_mappings, NULL, TIME(maps_ns), false,
	  NOT_BEFORE_HOOKS },
	{ "look at mappings of", thump_capture_lasting_mappings, NULL, TIME(maps_ns), false,
	  ONLY_BEFORE_HOOKS },
	{ "read shared memory of", thump_capture_shared_content, NULL, TIME(maps_ns), true,
	  NOT_BEFORE_HOOKS },
	{ "look at what a copy lacks of", thump_capture_uncopied, NULL, TIME(copy_ns), false,
	  ONLY_LIVE },
	{ "copy", thump_capture_copy, end_copy, TIME(copy_ns), true, ONLY_LIVE },
	{ "finish remote calls in", finish_remote_calls, NULL, TIME(remote_ns), false, ALWAYS },
	{ "read mappings of a copy of", thump_capture_flags_of_copy, NULL, TIME(scan_ns), false,
	  OF_COPY },
	{ "scan memory of", thump_capture_pages, NULL, TIME(scan_ns), false, OF_COPY },
	{ "look for tids in the memory of", thump_capture_tid_words, NULL, TIME(scan_ns), false,
	  OF_COPY },
#undef TIME
};

static void add_time(struct thump_capture *cap, const struct phase *phase, uint64_t start_ns)
{
	uint64_t *total = (uint64_t *)((char *)&cap->times + phase->time_at);

	*total += thump_now_ns() - start_ns;
}

static bool is_left_out(const struct thump_capture *cap, const struct phase *phase)
{
	switch (phase->when) {
	case ALWAYS:
		return false;
	case ONLY_BEFORE_HOOKS:
		return !cap->options.before_hooks;
	case ONLY_LIVE:
		return !cap->options.live || cap->options.before_hooks;
	case NOT_BEFORE_HOOKS:
	case OF_COPY:
		break;
	}
	return cap->options.before_hooks;
}

/*
 * What keeps the target from making calls for us is one problem among others: the capture goes on
 * without them, so that all problems are listed. There is no image then.
 */
static int run_phase(struct thump_capture *cap, const struct phase *phase, struct thump_err *err)
{
	if (is_left_out(cap, phase))
		return 0;
	if (phase->calls && cap->target->calls_refused)
		return 0;
	if (phase->run(cap, err) == 0)
		return 0;
	if (!phase->calls || err->code != THUMP_REFUSED)
		return -1;
	cap->target->calls_refused = true;
	thump_capture_refuse(cap, "remote-call", "%s", err->text);
	return 0;
}

static int run_timed(struct thump_capture *cap, const struct phase *phase, struct thump_err *err)
{
	uint64_t start_ns = thump_now_ns();
	int status = run_phase(cap, phase, err);

	add_time(cap, phase, start_ns);
	return status;
}

/* The phases while the target stands still. */
static int run_phases(struct thump_capture *cap, struct thump_err *err)
{
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(phases); i++) {
		if (phases[i].when == OF_COPY && cap->options.live)
			continue;
		if (run_timed(cap, &phases[i], err) == 0)
			continue;
		while (i-- > 0) {
			if (phases[i].undo)
				phases[i].undo(cap);
		}
		return -1;
	}
	return 0;
}

static struct thump_capture *create(const struct thump_capture_options *options,
				    struct thump_problems *problems)
{
	struct thump_capture *cap = calloc(1, sizeof(*cap));

	if (!cap)
		return NULL;
	cap->options = *options;
	if (cap->options.patience_ms == 0)
		cap->options.patience_ms = THUMP_CAPTURE_PATIENCE_MS;
	if (cap->options.carry_limit_bytes == 0)
		cap->options.carry_limit_bytes = DEFAULT_CARRY_LIMIT_BYTES;
	cap->problems = problems;
	cap->proc_fd = -1;
	thump_model_init(&cap->model);
	thump_arena_init(&cap->scratch);
	thump_arena_init(&cap->maps_arena);
	return cap;
}

int thump_capture_begin(const struct thump_capture_options *options,
			struct thump_problems *problems, struct thump_capture **capture_ret,
			struct thump_err *err)
{
	struct thump_capture *cap = create(options, problems);

	if (!cap)
		return thump_out_of_memory(err);
	if (run_phases(cap, err) < 0) {
		thump_capture_destroy(cap);
		return -1;
	}
	/* 60,000 mappings are 5 MB; the copy needs none of it. */
	thump_arena_deinit(&cap->scratch);
	thump_arena_deinit(&cap->maps_arena);
	cap->maps = (struct thump_maps){ 0 };
	*capture_ret = cap;
	return 0;
}

int thump_capture_look_at_copy(struct thump_capture *cap, struct thump_err *err)
{
	if (thump_capture_signals_of_copy(cap, err) < 0)
		return -1;
	thump_copy_settle(cap->copy);
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(phases); i++) {
		if (phases[i].when == OF_COPY && run_timed(cap, &phases[i], err) < 0)
			return -1;
	}
	return 0;
}

const struct thump_model *thump_capture_model(const struct thump_capture *capture)
{
	return &capture->model;
}

const struct thump_capture_times *thump_capture_times(const struct thump_capture *capture)
{
	return &capture->times;
}

/* Nobody may read its memory any more. */
static void end_search(struct thump_capture *capture)
{
	struct thump_err ignored = THUMP_ERR_INIT;

	(void)!thump_capture_settle(capture, &ignored);
}

void thump_capture_resume(struct thump_capture *capture)
{
	end_search(capture);
	thump_target_resume(capture->target);
}

int thump_capture_kill(struct thump_capture *capture, struct thump_err *err)
{
	return thump_target_kill(capture->target, err);
}

void thump_capture_destroy(struct thump_capture *capture)
{
	if (!capture)
		return;
	end_search(capture);
	end_copy(capture);
	thump_target_destroy(capture->target);
	for (uint32_t i = 0; i < capture->model.nr_backings; i++)
		thump_close_fd(&capture->model.backings[i].capture_fd);
	thump_close_fd(&capture->proc_fd);
	thump_arena_deinit(&capture->scratch);
	thump_arena_deinit(&capture->maps_arena);
	thump_model_deinit(&capture->model);
	free(capture);
}

int thump_capture_slurp(const struct thump_capture *cap, const char *name, char **text_ret,
			size_t *size_ret, struct thump_err *err)
{
	if (thump_slurp(cap->proc_fd, name, text_ret, size_ret) < 0)
		return thump_fail_errno(err, "read /proc/%d/%s", cap->options.pid, name);
	return 0;
}

int thump_capture_readlink(const struct thump_capture *cap, const char *name,
			   struct thump_arena *arena, char **link_ret, struct thump_err *err)
{
	char link[4096 + sizeof(" (deleted)")];
	ssize_t len = readlinkat(cap->proc_fd, name, link, sizeof(link));

	if (len < 0)
		return thump_fail_errno(err, "readlink /proc/%d/%s", cap->options.pid, name);
	if ((size_t)len == sizeof(link))
		return thump_fail(err, "/proc/%d/%s: too long", cap->options.pid, name);
	*link_ret = thump_arena_strndup(arena, link, (size_t)len);
	return *link_ret ? 0 : thump_out_of_memory(err);
}

int32_t thump_capture_tid(const struct thump_capture *cap, int32_t tid_host)
{
	for (size_t i = 0; i < cap->target->nr_threads && i < cap->model.nr_tasks; i++) {
		if (cap->target->threads[i].tid == tid_host)
			return cap->model.tasks[i].tid;
	}
	return 0;
}

int thump_capture_call(struct thump_capture *cap, size_t thread, long nr, const uint64_t args[6],
		       long *result_ret, struct thump_err *err)
{
	uint64_t real_args[6];
	struct remote_addr area;

	if (thump_remote_area(cap->target, &area, err) < 0)
		return -1;
	for (size_t i = 0; i < 6; i++)
		real_args[i] = thump_remote_arg(args[i], area.addr);
	if (thread == THUMP_ANY_THREAD)
		return thump_remote_syscall(cap->target, nr, real_args, result_ret, err);
	return thump_remote_syscall_in(cap->target, thread, nr, real_args, result_ret, err);
}

int thump_capture_area(struct thump_capture *cap, void *buf, size_t size_bytes,
		       struct thump_err *err)
{
	struct remote_addr area;

	if (thump_remote_area(cap->target, &area, err) < 0)
		return -1;
	return thump_target_read(cap->target, area, buf, size_bytes, err);
}
