/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `thump train`: restores an image some times until the program is of use, looks each time what of
 * its memory it has touched, and writes the image with a table of what all of them did. Each
 * restore is a process of its own that supervises its program, as `thump restore` does; it ends
 * with us.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "capture/capture.h"
#include "cli/cli.h"
#include "cli/restoring.h"
#include "cli/supervise.h"
#include "cli/when.h"
#include "pack/pack.h"

#define DEFAULT_RUNS 3
#define MOST_RUNS    100
/* For a program that is told to end; and between two runs of --until-exec's command. */
enum { END_MS = 10000, EXEC_PAUSE_MS = 20 };

static const char usage[] =
	"usage: thump train FILE --until MOMENT|--until-port PORT|--until-exec COMMAND|--for TIME\n"
	"                   [OPTION...]\n"
	"\n"
	"Restore an image some times, see what of its memory the program touches until it is of\n"
	"use, and note that in the image: a restore has these pages ready when the program runs.\n"
	"\n"
	"      --until MOMENT   until it answers (http://127.0.0.1:8080/health), listens\n"
	"                       (port:8080), or has had so many requests (requests:10)\n"
	"      --until-port PORT  until it listens there\n"
	"      --until-exec COMMAND  until this command of the shell succeeds\n"
	"      --for TIME       for so long (5s, 500ms)\n"
	"      --runs N         restore it so often (default 3)\n"
	"  -o, --output FILE    write the image there; default: in place of the one that is read\n"
	"      --mode MODE      permissions of the image that is written, octal (default: those\n"
	"                       of the one that is read)\n"
	"      --json           print one JSON object on stdout\n"
	"  -v, --verbose        say on stderr what each run touched\n"
	"  -h, --help           print this\n"
	"      --version        print thump's version\n"
	"\n"
	"Exit codes: 0 the image is written; 1 failed; 2 usage; 3 refused, as memory of the image\n"
	"is not mapped, or it does not fit; 4 the image is damaged.\n";

struct train {
	struct thump_common common;
	const char *path, *output;
	mode_t mode; /* 0: as it was */
	struct thump_when when;
	const char *command; /* --until-exec, or NULL */
	bool have_moment;
	unsigned nr_runs;
	struct thump_arena arena;
	struct thump_hot hot;
	pid_t restore; /* the process that is our child; 0: none */
};

enum {
	OPT_UNTIL = THUMP_OPT_VERB,
	OPT_UNTIL_PORT,
	OPT_UNTIL_EXEC,
	OPT_FOR,
	OPT_RUNS,
	OPT_MODE,
};

/* ---- the command line ---------------------------------------------------------------------- */

static int take_moment(struct train *train, const char *option, const char *prefix)
{
	struct thump_err err = THUMP_ERR_INIT;
	char *text = thump_arena_printf(&train->arena, "%s%s", prefix, optarg);

	if (train->have_moment)
		return thump_usage_error(&train->common, "until when? Only one moment can be");
	if (!text || thump_when_parse(text, &train->when, &err) < 0)
		return thump_usage_error(&train->common, "%s %s: %s", option, optarg, err.text);
	train->have_moment = true;
	return -1;
}

static int take_command(struct train *train)
{
	if (train->have_moment)
		return thump_usage_error(&train->common, "until when? Only one moment can be");
	train->have_moment = true;
	train->command = optarg;
	return -1;
}

static int take_runs(struct train *train)
{
	char *end;
	unsigned long runs = strtoul(optarg, &end, 10);

	if (*optarg < '0' || *optarg > '9' || *end || runs == 0 || runs > MOST_RUNS)
		return thump_usage_error(&train->common, "--runs %s: a number from 1 to %d", optarg,
					 MOST_RUNS);
	train->nr_runs = (unsigned)runs;
	return -1;
}

static int take_option(void *ctx, int opt)
{
	struct train *train = ctx;

	switch (opt) {
	case OPT_UNTIL:
		return take_moment(train, "--until", "");
	case OPT_UNTIL_PORT:
		return take_moment(train, "--until-port", "port:");
	case OPT_UNTIL_EXEC:
		return take_command(train);
	case OPT_FOR:
		return take_moment(train, "--for", "after:");
	case OPT_RUNS:
		return take_runs(train);
	case OPT_MODE:
		return thump_mode_option(&train->common, optarg, &train->mode);
	case 'o':
		train->output = optarg;
		return -1;
	default:
		return thump_common_option(&train->common, opt);
	}
}

static int parse(struct train *train, int argc, char **argv)
{
	static const struct option options[] = {
		{ "until", required_argument, NULL, OPT_UNTIL },
		{ "until-port", required_argument, NULL, OPT_UNTIL_PORT },
		{ "until-exec", required_argument, NULL, OPT_UNTIL_EXEC },
		{ "for", required_argument, NULL, OPT_FOR },
		{ "runs", required_argument, NULL, OPT_RUNS },
		{ "output", required_argument, NULL, 'o' },
		{ "mode", required_argument, NULL, OPT_MODE },
		THUMP_COMMON_OPTIONS,
		{ 0 },
	};
	int status = thump_parse_options(&train->common, argc, argv, ":hvo:", options, take_option,
					 train);

	if (status >= 0)
		return status;
	if (optind + 1 != argc)
		return thump_usage_error(&train->common, "one image is expected");
	if (!train->have_moment)
		return thump_usage_error(&train->common, "until when? --until, --until-port, "
							 "--until-exec or --for is missing");
	train->path = argv[optind];
	if (!train->output)
		train->output = train->path;
	return -1;
}

/* ---- the process that restores and supervises ---------------------------------------------- */

/* What the parent is told once the program runs. */
struct started {
	pid_t pid;
	enum thump_memory_mode memory;
};

static int supervise(const struct train *train, int told_fd, struct thump_restoring *restoring,
		     struct thump_supervise *sup, struct thump_err *err)
{
	/* What an earlier training has found would be touched anyway. */
	struct thump_rebuild_options options = { .assume_namespaces = true, .train = true };
	struct thump_outcome outcome;
	struct started started;

	if (thump_supervisor_init(sup, false, err) < 0)
		return -1;
	options.give_up_on = sup->ending;
	if (thump_restoring_prepare(restoring, &options, err) < 0) {
		thump_print_problems(&train->common, &restoring->problems);
		return -1;
	}
	if (thump_restoring_start(restoring, err) < 0)
		return -1;
	started = (struct started){ restoring->report.pid_host, restoring->report.memory };
	if (thump_write_full(told_fd, &started, sizeof(started)) < 0)
		return thump_fail_errno(err, "tell that it runs");
	return thump_supervise(sup, restoring->child, started.pid,
			       thump_take_fd(&restoring->report.control_fd), &outcome, err);
}

/* Its own output goes where the program's does not disturb a JSON object. */
_Noreturn static void restore_main(const struct train *train, int told_fd, pid_t parent)
{
	struct thump_supervise sup = THUMP_SUPERVISE_INIT;
	struct thump_restoring restoring;
	struct thump_err err = THUMP_ERR_INIT;

	/* Passed on to the program, which ends with us then. */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(THUMP_FAILED);
	(void)dup2(STDERR_FILENO, STDOUT_FILENO);
	thump_restoring_init(&restoring, train->path, "train");
	if (supervise(train, told_fd, &restoring, &sup, &err) < 0)
		thump_print_error(&train->common, &err);
	thump_restoring_deinit(&restoring);
	(void)fflush(NULL);
	_exit(err.code);
}

/* ---- one run ------------------------------------------------------------------------------- */

/* The child's code, once it has ended. */
static int reap(struct train *train)
{
	int status = 0;

	while (waitpid(train->restore, &status, 0) < 0 && errno == EINTR)
		continue;
	train->restore = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : THUMP_FAILED;
}

static int start(struct train *train, struct started *started_ret, struct thump_err *err)
{
	auto_close int told_read = -1, told_write = -1;
	const pid_t self = getpid();
	int ends[2], code;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return thump_fail_errno(err, "pipe2");
	told_read = ends[0];
	told_write = ends[1];
	(void)fflush(NULL);
	train->restore = fork();
	if (train->restore == 0)
		restore_main(train, told_write, self);
	if (train->restore < 0) {
		train->restore = 0;
		return thump_fail_errno(err, "fork");
	}
	thump_close_fd(&told_write);
	if (thump_read_full(told_read, started_ret, sizeof(*started_ret)) == 0)
		return 0;
	code = reap(train);
	thump_err_set(err, code ? (enum thump_code)code : THUMP_FAILED, 0,
		      "%s was not restored, as said above", train->path);
	return -1;
}

/* 1: now, 0: not yet. */
static int command_succeeds(const char *command, struct thump_err *err)
{
	auto_free char *line = NULL;
	int status = -1;

	/* Standard output is ours. */
	if (asprintf(&line, "exec 1>&2; %s", command) < 0)
		line = NULL;
	if (line)
		status = system(line);
	if (status < 0)
		return thump_fail_errno(err, "run %s", command);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* As thump_when_wait(). */
static int wait_for_command(const char *command, int restore_fd, struct thump_err *err)
{
	struct pollfd ended = { .fd = restore_fd, .events = POLLIN };

	for (;;) {
		int result = command_succeeds(command, err);

		if (result != 0)
			return result < 0 ? -1 : 0;
		if (poll(&ended, 1, EXEC_PAUSE_MS) < 0 && errno != EINTR)
			return thump_fail_errno(err, "poll");
		if (ended.revents)
			return 1;
	}
}

static int await_moment(const struct train *train, pid_t pid, int restore_fd, struct thump_err *err)
{
	int result = train->command ? wait_for_command(train->command, restore_fd, err)
				    : thump_when_wait(&train->when, pid, restore_fd, err);

	if (result > 0)
		return thump_fail(err, "the program ended before it was of use");
	return result;
}

/* Both are our own, or their pidfds would not be there; what ignores SIGTERM is killed. */
static void end_restore(struct train *train, int restore_fd, int program_fd)
{
	struct pollfd ended = { .fd = restore_fd, .events = POLLIN };

	if (train->restore == 0)
		return;
	(void)pidfd_send_signal(restore_fd, SIGTERM, NULL, 0);
	if (poll(&ended, 1, END_MS) <= 0 && program_fd >= 0)
		(void)pidfd_send_signal(program_fd, SIGKILL, NULL, 0);
	(void)reap(train);
}

static int look(struct train *train, const struct thump_model *model, struct thump_hot *hot_ret,
		struct thump_err *err)
{
	auto_close int restore_fd = -1, program_fd = -1;
	struct started started;
	int failed;

	if (start(train, &started, err) < 0)
		return -1;
	restore_fd = pidfd_open(train->restore, 0);
	program_fd = pidfd_open(started.pid, 0);
	if (started.memory != THUMP_MEMORY_LAZY)
		failed = thump_refuse(err,
				      "memory of %s is not mapped but read (%s), all of it is "
				      "there when the program runs: nothing to train",
				      train->path, thump_memory_mode_name(started.memory));
	else if (restore_fd < 0 || program_fd < 0)
		failed = thump_fail_errno(err, "watch process %d", (int)started.pid);
	else
		failed = await_moment(train, started.pid, restore_fd, err);
	if (!failed)
		failed = thump_capture_touched(started.pid, model, &train->arena, hot_ret, err);
	end_restore(train, restore_fd, program_fd);
	return failed ? -1 : 0;
}

/* ---- all of it ----------------------------------------------------------------------------- */

/* What is in both lists. */
static int intersect(struct thump_arena *arena, struct thump_range **list, uint32_t *count,
		     const struct thump_range *other, uint32_t nr_other, struct thump_err *err)
{
	struct thump_range *both = NULL, part;
	uint32_t nr_both = 0;

	for (uint32_t i = 0; i < *count; i++) {
		uint64_t at = (*list)[i].start;

		for (; thump_find_part(other, nr_other, at, (*list)[i].end, &part); at = part.end) {
			both = thump_arena_grow(arena, both, nr_both, sizeof(*both));
			if (!both)
				return thump_fail(err, "out of memory");
			both[nr_both++] = part;
		}
	}
	*list = both;
	*count = nr_both;
	return 0;
}

/* What is in one of the lists, or in both. */
static int unite(struct thump_arena *arena, struct thump_range **list, uint32_t *count,
		 const struct thump_range *other, uint32_t nr_other, struct thump_err *err)
{
	struct thump_range *all = thump_arena_alloc(arena, *count + nr_other + 1, sizeof(*all));
	uint32_t nr_all = 0, i = 0, k = 0;

	if (!all)
		return thump_fail(err, "out of memory");
	while (i < *count || k < nr_other) {
		const bool first =
			k == nr_other || (i < *count && (*list)[i].start <= other[k].start);
		const struct thump_range *next = first ? &(*list)[i++] : &other[k++];

		if (nr_all == 0 || next->start > all[nr_all - 1].end)
			all[nr_all++] = *next;
		else if (next->end > all[nr_all - 1].end)
			all[nr_all - 1].end = next->end;
	}
	*list = all;
	*count = nr_all;
	return 0;
}

/* Chance has no part in what every run has written to: that is made before the program runs. What
 * is only read ahead from a disk costs little, and missing it much: what any run has touched. */
static int add_run(struct train *train, unsigned run, const struct thump_hot *seen,
		   struct thump_err *err)
{
	struct thump_hot *hot = &train->hot;

	if (train->common.verbose)
		fprintf(stderr,
			"thump train: run %u: %" PRIu64 " kB written, %" PRIu64 " kB read\n",
			run + 1, thump_ranges_bytes(seen->written, seen->nr_written) >> 10,
			thump_ranges_bytes(seen->read, seen->nr_read) >> 10);
	if (unite(&train->arena, &hot->read, &hot->nr_read, seen->read, seen->nr_read, err) < 0 ||
	    unite(&train->arena, &hot->read, &hot->nr_read, seen->written, seen->nr_written, err) <
		    0)
		return -1;
	if (run == 0) {
		hot->written = seen->written;
		hot->nr_written = seen->nr_written;
		return 0;
	}
	return intersect(&train->arena, &hot->written, &hot->nr_written, seen->written,
			 seen->nr_written, err);
}

static int write_image(const struct train *train, const struct thump_image *image,
		       struct thump_err *err)
{
	const struct thump_image_options options = {
		.path = train->output,
		.mode = train->mode ? train->mode : thump_image_origin(image)->st_mode & 0777,
		.sync = true,
	};
	struct thump_image_writer *writer;
	int failed;

	if (thump_image_write_hot(&options, image, &train->hot, &writer, err) < 0)
		return -1;
	failed = thump_image_commit(writer, err);
	thump_image_writer_destroy(writer);
	return failed;
}

static int train_image(struct train *train, struct thump_err *err)
{
	const struct thump_open_options options = { .extent = THUMP_OPEN_ALL };
	struct thump_image *image = NULL;
	int failed = thump_image_try(train->output, err);

	if (!failed)
		failed = thump_open(train->path, &options, &image, NULL, err);
	for (unsigned run = 0; !failed && run < train->nr_runs; run++) {
		struct thump_hot seen;

		failed = look(train, thump_image_model(image), &seen, err);
		if (!failed)
			failed = add_run(train, run, &seen, err);
	}
	if (!failed)
		failed = write_image(train, image, err);
	thump_image_destroy(image);
	return failed;
}

static int say(const struct train *train, const struct thump_err *err)
{
	const struct thump_hot *hot = &train->hot;
	const uint64_t written = thump_ranges_bytes(hot->written, hot->nr_written);
	const uint64_t read = thump_ranges_bytes(hot->read, hot->nr_read);

	if (train->common.json)
		return thump_print_json(
			json_pack("{s:o, s:i, s:I, s:i, s:I, s:i, s:o}", "image",
				  thump_json_text(train->output), "runs", (int)train->nr_runs,
				  "written_bytes", (json_int_t)written, "written_ranges",
				  (int)hot->nr_written, "read_bytes", (json_int_t)read,
				  "read_ranges", (int)hot->nr_read, "error", thump_json_error(err)),
			err->code);
	thump_print_error(&train->common, err);
	if (err->code == THUMP_OK)
		printf("%s is trained: %.1f MB that are written and %.1f MB that are read will be "
		       "there at once\n",
		       train->output, (double)written / 1e6, (double)read / 1e6);
	return err->code;
}

static int verb_train(int argc, char **argv)
{
	struct train train = {
		.common = { .verb = "train", .usage = usage },
		.nr_runs = DEFAULT_RUNS,
	};
	struct thump_err err = THUMP_ERR_INIT;
	int status;

	thump_arena_init(&train.arena);
	status = parse(&train, argc, argv);
	if (status < 0) {
		if (train_image(&train, &err) < 0)
			train.hot = (struct thump_hot){ 0 };
		status = say(&train, &err);
	}
	thump_arena_deinit(&train.arena);
	return status;
}

const struct thump_verb thump_verb_train = {
	.name = "train",
	.summary = "note in an image what its program touches first",
	.run = verb_train,
};
