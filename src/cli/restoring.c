/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/restoring.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "cli/report.h"
#include "cli/running.h"
#include "pack/pack.h"

void thump_restoring_init(struct thump_restoring *restoring, const char *path, const char *how)
{
	*restoring = (struct thump_restoring){
		.path = path,
		.how = how,
		.report = { .control_fd = -1 },
	};
	thump_problems_init(&restoring->problems);
	thump_arena_init(&restoring->arena);
	thump_progress_init(&restoring->progress, "restore");
}

/* The terminal is the program's as soon as it runs, and errors have lines of their own. */
static void show_progress(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
	struct thump_progress *progress = ctx;

	if (done_bytes < total_bytes) {
		thump_progress_show(progress, done_bytes, total_bytes);
		return;
	}
	thump_progress_clear(progress);
	thump_progress_init(progress, progress->what); /* another check may follow */
}

/* Until the plan is gone: it may hold a descriptor for every file that the program maps. Best
 * effort: with too few, the file that cannot be opened is named. */
static void raise_nofile(struct thump_restoring *restoring)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	restoring->outer_nofile = limit;
	limit.rlim_cur = limit.rlim_max;
	restoring->nofile_raised = setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

/* What `run` starts in place of the image must get the limit that thump got. */
static void put_back_nofile(struct thump_restoring *restoring)
{
	if (restoring->nofile_raised)
		(void)setrlimit(RLIMIT_NOFILE, &restoring->outer_nofile);
	restoring->nofile_raised = false;
}

static void forget_plan(struct thump_restoring *restoring)
{
	thump_plan_destroy(restoring->plan);
	thump_image_destroy(restoring->image);
	thump_arena_deinit(&restoring->arena);
	thump_arena_init(&restoring->arena);
	thump_prefetch_end(restoring->prefetch, restoring->report.pid_host);
	restoring->prefetch = NULL;
	restoring->plan = NULL;
	restoring->image = NULL;
	put_back_nofile(restoring);
}

void thump_restoring_deinit(struct thump_restoring *restoring)
{
	thump_terminals_put_back(&restoring->terminals);
	thump_close_fd(&restoring->report.control_fd);
	thump_running_forget(&restoring->record, restoring->report.pid_host);
	thump_head_start_destroy(restoring->head_start);
	restoring->head_start = NULL;
	forget_plan(restoring);
	thump_problems_deinit(&restoring->problems);
}

static bool have_controlling_terminal(void)
{
	auto_close int fd = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	return fd >= 0;
}

/*
 * A program that led a session leads one again where that takes no terminal away from it; else it
 * joins our session and group, so that the terminal's signals and job control reach it.
 */
static bool wants_session(const struct thump_process *process, bool detach)
{
	return detach || (process->sid == process->pid && !have_controlling_terminal());
}

/* What is secret in keys is there for no longer than it takes. */
static int read_image(struct thump_restoring *restoring,
		      const struct thump_rebuild_options *rebuild, struct thump_err *err)
{
	static const struct thump_key_words none;
	struct thump_open_options options = {
		.extent = THUMP_OPEN_ALL,
		.checks_content = !rebuild->verify,
		/* What is to be mapped must be there, and --verify looks at all of it. */
		.takes_supply = !rebuild->verify && rebuild->memory != THUMP_MEMORY_LAZY_UNSAFE,
		.progress = show_progress,
		.progress_ctx = &restoring->progress,
	};
	struct thump_keys *keys;
	int failed;

	if (thump_keys_load_for_restore(restoring->key_words ? restoring->key_words : &none, &keys,
					err) < 0)
		return -1;
	options.keys = keys;
	options.store = restoring->key_words ? restoring->key_words->store : NULL;
	failed = thump_open(restoring->path, &options, &restoring->image, NULL, err);
	thump_keys_destroy(keys);
	return failed;
}

/*
 * Who writes an image, or a passphrase, into a pipe may take his time, or never go on. There is
 * nothing yet that needs us, so a signal that asks us to end does it as it ends any program. But as
 * pid 1, for whom the kernel would drop it (pid_namespaces(7)): it is for the program, too.
 */
static int read_ending(struct thump_restoring *restoring,
		       const struct thump_rebuild_options *rebuild, struct thump_err *err)
{
	sigset_t before;
	int failed;

	if (getpid() == 1)
		return read_image(restoring, rebuild, err);
	(void)sigprocmask(SIG_UNBLOCK, &rebuild->give_up_on, &before);
	failed = read_image(restoring, rebuild, err);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return failed;
}

static int open_image(struct thump_restoring *restoring,
		      const struct thump_rebuild_options *rebuild, struct thump_err *err)
{
	int failed = read_ending(restoring, rebuild, err);

	if (!failed && !rebuild->train) {
		(void)thump_image_load_hot(restoring->image);
		restoring->prefetch = thump_prefetch_start(restoring->image);
	}
	return failed;
}

int thump_restoring_open(struct thump_restoring *restoring,
			 const struct thump_rebuild_options *options, struct thump_err *err)
{
	uint64_t start_ns = thump_now_ns();

	restoring->detached = options->detach;
	raise_nofile(restoring);
	/* `run` comes here to see whether there is an image. */
	if (access(restoring->path, R_OK) == 0)
		restoring->head_start = thump_head_start_begin(options);
	if (open_image(restoring, options, err) < 0)
		return -1;
	restoring->open_ns = thump_now_ns() - start_ns;
	return 0;
}

int thump_restoring_plan(struct thump_restoring *restoring,
			 const struct thump_rebuild_options *options, struct thump_err *err)
{
	const struct thump_process *process = &thump_image_model(restoring->image)->process;
	struct thump_rebuild_options opts = *options;
	uint64_t start_ns = thump_now_ns();

	if (thump_parameters(&restoring->arena, &process->runtime, &restoring->words, options,
			     &opts.parameters, &opts.nr_parameters, err) < 0)
		return -1;
	opts.progress = show_progress;
	opts.progress_ctx = &restoring->progress;
	opts.prefetch = restoring->prefetch;
	opts.new_session = wants_session(process, options->detach);
	opts.head_start = restoring->head_start;
	restoring->head_start = NULL;
	if (thump_plan_create(restoring->image, &opts, &restoring->problems, &restoring->plan,
			      err) < 0)
		return -1;
	restoring->check_ns = thump_now_ns() - start_ns;
	return thump_problems_check(&restoring->problems, restoring->path, err);
}

int thump_restoring_prepare(struct thump_restoring *restoring,
			    const struct thump_rebuild_options *options, struct thump_err *err)
{
	return thump_restoring_open(restoring, options, err) < 0
		       ? -1
		       : thump_restoring_plan(restoring, options, err);
}

int thump_restoring_verify(struct thump_restoring *restoring, struct thump_err *err)
{
	int result;

	/* What would be mapped is checked before the start, so it has been. */
	if (thump_plan_memory(restoring->plan) != THUMP_MEMORY_EAGER)
		return 0;
	result = thump_image_verify(restoring->image, thump_progress_show, &restoring->progress,
				    err);
	thump_progress_clear(&restoring->progress);
	return result;
}

/* When the program runs already: it is not to wait for that. */
static void note_running(struct thump_restoring *restoring)
{
	thump_running_note(restoring->report.pid_host, restoring->how, restoring->template_name,
			   restoring->path, &restoring->record);
	/* Whoever stays removes his own. */
	if (restoring->detached)
		thump_running_sweep();
}

/* Only whose image it is may train it. What is unpacked would have to be so again. */
static void note_training(struct thump_restoring *restoring)
{
	const struct stat *origin = thump_image_origin(restoring->image);

	restoring->state = thump_file_state_of(origin);
	/* A template ends when its image is trained. */
	restoring->untrained =
		!restoring->cloned && restoring->report.memory == THUMP_MEMORY_LAZY &&
		!thump_image_is_unpacked(restoring->image) &&
		!thump_image_has_hot(restoring->image) && origin->st_uid == geteuid();
}

int thump_restoring_start(struct thump_restoring *restoring, struct thump_err *err)
{
	struct thump_rebuild_report *report = &restoring->report;

	if (thump_rebuild_start(restoring->plan, report, &restoring->child, err) < 0)
		return -1;
	if (!report->spare) {
		report->open_ns = restoring->open_ns;
		report->check_ns = restoring->check_ns;
		report->total_ns += restoring->open_ns + restoring->check_ns;
	}
	restoring->terminals = thump_plan_terminals(restoring->plan);
	note_training(restoring);
	note_running(restoring);
	/* We stay for as long as the program runs: without its files, ports and image. */
	forget_plan(restoring);
	return 0;
}

const char *thump_way_name(enum thump_pid_way way)
{
	switch (way) {
	case THUMP_WAY_NONE:
		break;
	case THUMP_WAY_SET_TID:
		return "set-tid";
	case THUMP_WAY_NAMESPACE:
		return "namespace";
	case THUMP_WAY_SPIN:
		return "spin";
	case THUMP_WAY_OTHER:
		return "other";
	}
	return "none";
}

const char *thump_memory_mode_name(enum thump_memory_mode mode)
{
	switch (mode) {
	case THUMP_MEMORY_AUTO:
		return "auto";
	case THUMP_MEMORY_EAGER:
		return "eager";
	case THUMP_MEMORY_LAZY:
		return "lazy";
	case THUMP_MEMORY_LAZY_UNSAFE:
		return "lazy-unsafe";
	}
	return "eager";
}

int thump_memory_option(const struct thump_common *common, const char *word,
			enum thump_memory_mode *mode_ret)
{
	static const enum thump_memory_mode modes[] = { THUMP_MEMORY_AUTO, THUMP_MEMORY_EAGER,
							THUMP_MEMORY_LAZY_UNSAFE };

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(modes); i++) {
		if (strcmp(word, thump_memory_mode_name(modes[i])) == 0) {
			*mode_ret = modes[i];
			return -1;
		}
	}
	return thump_usage_error(common, "--memory takes auto, eager or lazy-unsafe, not %s", word);
}

static json_t *times_json(const struct thump_rebuild_report *report)
{
	const struct {
		const char *name;
		uint64_t ns;
	} phases[] = {
		{ "open", report->open_ns },	   { "check", report->check_ns },
		{ "fork", report->fork_ns },	   { "fds", report->fds_ns },
		{ "exec", report->exec_ns },	   { "setup", report->setup_ns },
		{ "threads", report->threads_ns }, { "memory", report->memory_ns },
		{ "finish", report->finish_ns },   { "commit", report->commit_ns },
		{ "total", report->total_ns },
	};
	json_t *times = json_object();

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(phases); i++)
		json_object_set_new(times, phases[i].name,
				    json_real((double)phases[i].ns / 1000.0));
	return times;
}

json_t *thump_restoring_json(const struct thump_restoring *restoring, const struct thump_err *error)
{
	const struct thump_rebuild_report *report = &restoring->report;
	enum thump_pid_way way = report->way;
	enum thump_memory_mode memory = report->memory;
	bool running = error->code == THUMP_OK && report->pid_host > 0;

	if (way == THUMP_WAY_NONE && restoring->plan)
		way = thump_plan_way(restoring->plan);
	if (memory == THUMP_MEMORY_AUTO && restoring->plan)
		memory = thump_plan_memory(restoring->plan);
	return json_pack(
		"{s:o, s:b, s:b, s:o, s:s, s:s, s:b, s:b, s:I, s:o, s:o, s:o}", "image",
		thump_json_text(restoring->path), "cloned", restoring->cloned, "spare",
		report->spare, "pid", running ? json_integer(report->pid_host) : json_null(), "way",
		thump_way_name(way), "memory", thump_memory_mode_name(memory), "time_namespace",
		report->time_namespace, "own_proc", report->own_proc, "spins",
		(json_int_t)report->spins, "times_us", times_json(report), "problems",
		thump_json_problems(&restoring->problems), "error", thump_json_error(error));
}
