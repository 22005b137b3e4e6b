/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `thump checkpoint`: options, and what the worker says.
 *
 * --json prints one object:
 *   "pid"           number: the process
 *   "image"         string: path of the image, or null (--dry-run, or no image was made)
 *   "dry_run"       boolean
 *   "ended"         boolean: the process was ended; false: it runs on
 *   "problems"      list of {"fatal", "note", "kind", "fd", "text"}: what is in the way, and more
 *   "error"         null, or {"code", "word", "errno", "text"}
 *   "threads", "mappings", "descriptors"              numbers, 0 when it did not come that far
 *   "image_bytes", "memory_bytes", "zero_bytes"       size of the image, of the content in it, and
 *                                                     of pages of zeros that were left out
 *   "times_ms"      object of numbers:
 *        "look"     for what hooks cannot help against, before they run
 *        "hooks"    of the program, with the garbage collection of a JVM
 *        "before"   reading before the stop      "stop"    until every thread stood still
 *        "state"    /proc and our own calls      "remote"  calls made by the target for us
 *        "fds"      descriptors                  "maps"    smaps, files, shared memory
 *        "scan"     finding the pages to store   "write"   reading, hashing and writing them
 *        "sync"     the part of write that waited for the disk
 *        "copy"     --live: making the copy, and reading what it lacks
 *        "fork"     the part of copy until the copy was there
 *        "freeze"   how long the process stood still
 *        "reap"     --live: and once more at the end, to take its copy back
 *        "total"    all of it but the hooks, and the look before them
 */
#include <ctype.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fd.h"
#include "cli/cli.h"
#include "cli/connections.h"
#include "cli/keys.h"
#include "cli/coord.h"
#include "cli/policies.h"
#include "cli/report.h"
#include "cli/when.h"
#include "cli/worker.h"
#include "coord/abi.h"

static const char usage[] =
	"usage: thump checkpoint PID -o FILE [OPTION...]\n"
	"\n"
	"Write the running process PID into an image, and end it.\n"
	"\n"
	"  -o, --output FILE      write the image to FILE\n"
	"      --leave-running    let the process go on after the image is written\n"
	"      --live             let it go on while the image is written: it stands still only "
	"to\n"
	"                         be copied\n"
	"      --drain TIME       wait so long (5s, 500ms) until the connections that the process\n"
	"                         has accepted are idle, then end them in the image\n"
	"      --policy FILE      what is to become of open files, pipes and sockets\n"
	"      --close-fd N       descriptor N is closed in the image; may be given again\n"
	"      --ignore-fd N      no policy counts for descriptor N; may be given again\n"
	"      --leave-out-dontdump\n"
	"                         without memory that the process keeps out of core dumps\n"
	"                         (MADV_DONTDUMP): the restored one finds zeros there\n"
	"      --scrub WHAT       without this memory: START-END (hex, whole pages), or a mapping\n"
	"                         by its name, such as [anon:keys]; may be given again\n"
	"      --hooks-first      look at a JVM only after its hooks, when they end its children\n"
	"      --no-hooks         run no hooks of a JVM: a picture of it as it is, to look into\n"
	"      --dry-run          list everything that would be refused, and write no image;\n"
	"                         hooks of a JVM run, and are run back (but with --no-hooks)\n"
	"      --compress METHOD  make a packed image: zstd, zstd:LEVEL (1 to 22), lz4 or none\n"
	"      --encrypt-to KEY   encrypt it to a recipient: his public key, or a file of such\n"
	"                         keys; may be repeated\n"
	"      --passphrase-file FILE, --passphrase-fd N\n"
	"                         encrypt it with the passphrase that is the first line there\n"
	"      --sign KEY         sign it with the secret key in the file KEY; may be repeated\n"
	"      --mode MODE        permissions of the image, octal (default 0400)\n"
	"      --json             print one JSON object on stdout\n"
	"  -v, --verbose          say on stderr how much was saved, and how fast\n"
	"  -h, --help             print this\n"
	"      --version          print thump's version\n"
	"\n"
	"Exit codes: 0 done; 1 failed, the process runs on; 2 usage; 3 refused, the process runs\n"
	"on.\n";

enum {
	OPT_LEAVE_RUNNING = THUMP_OPT_VERB,
	OPT_LIVE,
	OPT_DRY_RUN,
	OPT_MODE,
	OPT_DRAIN,
	OPT_POLICY,
	OPT_CLOSE_FD,
	OPT_IGNORE_FD,
	OPT_HOOKS_FIRST,
	OPT_LEAVE_OUT_DONTDUMP,
	OPT_SCRUB,
	OPT_NO_HOOKS,
	OPT_COMPRESS,
	/* For programs that ask for their own checkpoint (coord/abi.h), not for people: the page
	 * at this address is waiting. The verb ends as soon as its worker is at work, so that the
	 * program has no child left; the outcome goes into the page. */
	OPT_COORD,
	OPT_BEFORE_HOOKS, /* with it: of a dry run, what thump_capture_options say */
};

#define SCRUBS_MAX 64

struct checkpoint {
	struct thump_common common;
	struct thump_worker_options options;
	bool dry_run;
	bool no_hooks;
	bool hooks_first;
	struct thump_key_words key_words;
	uint64_t drain_ns;
	uint64_t look_ns;   /* how long it was looked at before that */
	uint64_t hooks_ns;  /* how long the program prepared itself */
	const char *policy; /* path, or NULL */
	struct thump_fd_rules rules;
	struct thump_arena arena; /* of the rules */
	struct thump_scrub scrubs[SCRUBS_MAX];
	/* what came from the worker */
	struct thump_progress progress;
	struct thump_problems problems;
	struct thump_worker_result result;
	bool have_result;
	bool copies; /* it may leave a copy of the process behind, made since: */
	uint64_t copies_since_ticks;
	int signo; /* that cancelled it, or 0 */
};

/* ---- options ------------------------------------------------------------------------------- */

/* Before the rules of files, which are read later. */
static int add_fd_rule(struct checkpoint *checkpoint, enum thump_rule_action action,
		       const char *option)
{
	struct thump_err err = THUMP_ERR_INIT;

	if (thump_policies_add_fd(&checkpoint->arena, action, option, optarg, &checkpoint->rules,
				  &err) < 0)
		return thump_usage_error(&checkpoint->common, "%s", err.text);
	return -1;
}

static int take_compression(struct checkpoint *checkpoint, const char *text)
{
	checkpoint->options.pack = true;
	return thump_compression_option(&checkpoint->common, text,
					&checkpoint->options.compression);
}

static bool parse_hex(const char *text, char end_char, uint64_t *value_ret, const char **rest_ret)
{
	char *end;

	errno = 0;
	*value_ret = strtoull(text, &end, 16); /* which would take a sign or a space, too */
	*rest_ret = end;
	return isxdigit((unsigned char)*text) && errno == 0 && *end == end_char &&
	       *value_ret % THUMP_PAGE_SIZE == 0;
}

/* [NAME], or START-END as in /proc/PID/maps. */
static bool parse_scrub(const char *text, struct thump_scrub *scrub_ret)
{
	struct thump_scrub scrub = { .text = text };
	const char *rest;

	if (*text == '[') {
		scrub.name = text;
		*scrub_ret = scrub;
		return text[strlen(text) - 1] == ']';
	}
	if (!parse_hex(text, '-', &scrub.range.start, &rest) ||
	    !parse_hex(rest + 1, '\0', &scrub.range.end, &rest))
		return false;
	*scrub_ret = scrub;
	return scrub.range.start < scrub.range.end;
}

static int take_scrub(struct checkpoint *checkpoint, const char *text)
{
	struct thump_capture_options *capture = &checkpoint->options.capture;

	if (capture->nr_scrubs == SCRUBS_MAX)
		return thump_usage_error(&checkpoint->common, "--scrub %s: more than %d", text,
					 SCRUBS_MAX);
	if (!parse_scrub(text, &checkpoint->scrubs[capture->nr_scrubs]))
		return thump_usage_error(&checkpoint->common,
					 "--scrub takes START-END in hex, of whole pages, or the "
					 "[NAME] of a mapping, not %s",
					 text);
	capture->scrubs = checkpoint->scrubs;
	capture->nr_scrubs++;
	return -1;
}

static int take_option(void *ctx, int opt)
{
	struct checkpoint *checkpoint = ctx;

	switch (opt) {
	case 'o':
		checkpoint->options.path = optarg;
		return -1;
	case OPT_LEAVE_RUNNING:
		checkpoint->options.leave_running = true;
		return -1;
	case OPT_LIVE:
		checkpoint->options.leave_running = true;
		checkpoint->options.capture.live = true;
		return -1;
	case OPT_DRY_RUN:
		checkpoint->dry_run = true;
		return -1;
	case OPT_MODE:
		return thump_mode_option(&checkpoint->common, optarg, &checkpoint->options.mode);
	case OPT_DRAIN:
		checkpoint->rules.end_accepted = true;
		if (thump_parse_duration(optarg, &checkpoint->drain_ns) < 0)
			return thump_usage_error(&checkpoint->common,
						 "--drain %s: a time like 5s or 500ms", optarg);
		return -1;
	case OPT_POLICY:
		checkpoint->policy = optarg;
		return -1;
	case OPT_CLOSE_FD:
		return add_fd_rule(checkpoint, THUMP_RULE_CLOSE, "--close-fd");
	case OPT_IGNORE_FD:
		return add_fd_rule(checkpoint, THUMP_RULE_IGNORE, "--ignore-fd");
	case OPT_HOOKS_FIRST:
		checkpoint->hooks_first = true;
		return -1;
	case OPT_LEAVE_OUT_DONTDUMP:
		checkpoint->options.capture.leaves_out_dontdump = true;
		return -1;
	case OPT_SCRUB:
		return take_scrub(checkpoint, optarg);
	case OPT_NO_HOOKS:
		checkpoint->no_hooks = true;
		return -1;
	case OPT_COORD:
		checkpoint->options.coord_addr = strtoull(optarg, NULL, 16);
		checkpoint->options.detached = true;
		return -1;
	case OPT_BEFORE_HOOKS:
		checkpoint->options.capture.before_hooks = true;
		return -1;
	case OPT_COMPRESS:
		return take_compression(checkpoint, optarg);
	default:
		if (!thump_key_option(&checkpoint->key_words, opt, optarg))
			return thump_common_option(&checkpoint->common, opt);
		checkpoint->options.pack = true;
		return -1;
	}
}

static int parse_operands(struct checkpoint *checkpoint, int argc, char **argv)
{
	int status = thump_pid_operand(&checkpoint->common, argc, argv,
				       &checkpoint->options.capture.pid);

	if (status >= 0)
		return status;
	if (checkpoint->dry_run)
		checkpoint->options.path = NULL;
	else if (!checkpoint->options.path)
		return thump_usage_error(&checkpoint->common,
					 "where to? -o FILE is missing (or --dry-run)");
	checkpoint->options.capture.only_check = checkpoint->dry_run;
	return -1;
}

static int parse(struct checkpoint *checkpoint, int argc, char **argv)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "leave-running", no_argument, NULL, OPT_LEAVE_RUNNING },
		{ "live", no_argument, NULL, OPT_LIVE },
		{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
		{ "mode", required_argument, NULL, OPT_MODE },
		{ "drain", required_argument, NULL, OPT_DRAIN },
		{ "policy", required_argument, NULL, OPT_POLICY },
		{ "close-fd", required_argument, NULL, OPT_CLOSE_FD },
		{ "ignore-fd", required_argument, NULL, OPT_IGNORE_FD },
		{ "hooks-first", no_argument, NULL, OPT_HOOKS_FIRST },
		{ "leave-out-dontdump", no_argument, NULL, OPT_LEAVE_OUT_DONTDUMP },
		{ "scrub", required_argument, NULL, OPT_SCRUB },
		{ "no-hooks", no_argument, NULL, OPT_NO_HOOKS },
		{ "compress", required_argument, NULL, OPT_COMPRESS },
		THUMP_SEAL_OPTIONS,
		THUMP_PASSPHRASE_OPTIONS,
		{ "coord", required_argument, NULL, OPT_COORD },
		{ "before-hooks", no_argument, NULL, OPT_BEFORE_HOOKS },
		THUMP_COMMON_OPTIONS,
		{ 0 },
	};
	int status = thump_parse_options(&checkpoint->common, argc, argv, ":o:hv", options,
					 take_option, checkpoint);

	return status >= 0 ? status : parse_operands(checkpoint, argc, argv);
}

/* ---- listening ----------------------------------------------------------------------------- */

static void take_problem(struct checkpoint *checkpoint, const struct thump_worker_message *message)
{
	struct thump_problems *problems = &checkpoint->problems;
	const char *text = message->problem.text, *said = text + strlen(text) + 1;
	/* A constant elsewhere; here it needs a home. */
	const char *kind = thump_arena_strdup(&problems->arena, text);

	if (message->problem.note)
		thump_problem_note(problems, message->problem.fd, kind, "%s", said);
	else
		thump_problem_add(problems, message->problem.warning, message->problem.fd, kind,
				  "%s", said);
}

static void take_message(struct checkpoint *checkpoint, const struct thump_worker_message *message)
{

	switch ((enum thump_worker_message_type)message->type) {
	case THUMP_WORKER_PROGRESS:
		if (!checkpoint->common.json)
			thump_progress_show(&checkpoint->progress, message->progress.done_bytes,
					    message->progress.total_bytes);
		break;
	case THUMP_WORKER_PROBLEM:
		take_problem(checkpoint, message);
		break;
	case THUMP_WORKER_COPIES:
		checkpoint->copies = true;
		checkpoint->copies_since_ticks = message->copies.since_ticks;
		break;
	case THUMP_WORKER_RESULT:
		checkpoint->result = message->result;
		checkpoint->have_result = true;
		break;
	}
}

static void take_signal(struct checkpoint *checkpoint, int signal_fd, int socket_fd)
{
	struct signalfd_siginfo info;

	if (read(signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	checkpoint->signo = (int)info.ssi_signo;
	thump_worker_cancel(socket_fd);
}

/* Until the worker is gone. */
static int listen_to_worker(struct checkpoint *checkpoint, int socket_fd, int signal_fd,
			    struct thump_err *err)
{
	struct pollfd fds[] = {
		{ .fd = socket_fd, .events = POLLIN },
		{ .fd = signal_fd, .events = POLLIN },
	};
	struct thump_worker_message message;

	for (;;) {
		int got;

		if (poll(fds, THUMP_ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return thump_fail_errno(err, "poll");
		if (fds[1].revents)
			take_signal(checkpoint, signal_fd, socket_fd);
		if (!fds[0].revents)
			continue;
		got = thump_worker_receive(socket_fd, &message);
		if (got == 0)
			return 0;
		if (got < 0)
			return thump_fail_errno(err, "read from the worker process");
		take_message(checkpoint, &message);
	}
}

static const int cancelling_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

static void cancelling_set(sigset_t *set_ret)
{
	(void)sigemptyset(set_ret);
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(cancelling_signals); i++)
		(void)sigaddset(set_ret, cancelling_signals[i]);
}

/* A worker that is killed lets the target go on, unless it had just ended it on purpose. */
static int fail_without_result(const struct checkpoint *checkpoint, struct thump_err *err)
{
	pid_t pid = checkpoint->options.capture.pid;

	if (kill(pid, 0) < 0 && errno == ESRCH)
		return thump_fail(err,
				  "the worker process was killed, and process %d has ended: the "
				  "image is complete if it is there",
				  pid);
	return thump_fail(
		err,
		"the worker process was killed, by somebody, a seccomp filter or for lack "
		"of memory; process %d runs on",
		pid);
}

static int run_worker(struct checkpoint *checkpoint, struct thump_err *err)
{
	auto_close int socket_fd = -1, signal_fd = -1;
	sigset_t signals, old;
	pid_t pid;
	int status;

	cancelling_set(&signals);
	(void)sigprocmask(SIG_BLOCK, &signals, &old);
	signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	if (signal_fd < 0)
		return thump_fail_errno(err, "signalfd");
	if (thump_worker_start(&checkpoint->options, &socket_fd, &pid, err) < 0)
		return -1;
	status = listen_to_worker(checkpoint, socket_fd, signal_fd, err);
	thump_close_fd(&socket_fd); /* were it still at work, it would roll back now */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (checkpoint->copies && !checkpoint->have_result)
		thump_worker_clean_up(checkpoint->options.capture.pid,
				      checkpoint->copies_since_ticks);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	if (status < 0)
		return -1;
	return checkpoint->have_result ? 0 : fail_without_result(checkpoint, err);
}

/* ---- reporting ----------------------------------------------------------------------------- */

static double ms(uint64_t ns)
{
	const uint64_t us = ns / 1000;

	return (double)us / 1000.0;
}

static json_t *json_times(const struct checkpoint *checkpoint)
{
	const struct thump_worker_result *result = &checkpoint->result;
	const struct thump_capture_times *times = &result->times;

	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, "
			 "s:f, s:f}",
			 "look", ms(checkpoint->look_ns), "hooks", ms(checkpoint->hooks_ns),
			 "before", ms(times->before_ns), "stop", ms(times->stop_ns), "state",
			 ms(times->state_ns), "remote", ms(times->remote_ns), "fds",
			 ms(times->fds_ns), "maps", ms(times->maps_ns), "scan", ms(times->scan_ns),
			 "write", ms(result->write_ns), "copy", ms(times->copy_ns), "fork",
			 ms(times->fork_ns), "reap", ms(result->reap_ns), "sync",
			 ms(result->stats.sync_ns), "freeze", ms(result->freeze_ns), "total",
			 ms(result->total_ns));
}

static int print_json(struct checkpoint *checkpoint, int status)
{
	const struct thump_worker_result *result = &checkpoint->result;
	bool written = result->err.code == THUMP_OK && checkpoint->options.path;
	json_t *image = written ? thump_json_text(checkpoint->options.path) : json_null();

	return thump_print_json(
		json_pack("{s:i, s:o, s:b, s:b, s:o, s:o, s:i, s:i, s:i, s:I, s:I, s:I, s:o}",
			  "pid", (int)checkpoint->options.capture.pid, "image", image, "dry_run",
			  checkpoint->dry_run, "ended", result->ended, "problems",
			  thump_json_problems(&checkpoint->problems), "error",
			  thump_json_error(&result->err), "threads", (int)result->nr_threads,
			  "mappings", (int)result->nr_vmas, "descriptors", (int)result->nr_fds,
			  "image_bytes", (json_int_t)result->stats.file_bytes, "memory_bytes",
			  (json_int_t)result->stats.memory_bytes, "zero_bytes",
			  (json_int_t)result->stats.zero_bytes, "times_ms", json_times(checkpoint)),
		status);
}

static void print_verbose(const struct checkpoint *checkpoint)
{
	const struct thump_worker_result *result = &checkpoint->result;
	const struct thump_capture_times *times = &result->times;

	fprintf(stderr,
		"thump checkpoint: %u threads, %u mappings, %u descriptors; %.1f MB stored, %.1f "
		"MB of zeros left out\n",
		result->nr_threads, result->nr_vmas, result->nr_fds,
		(double)result->stats.memory_bytes / 1e6, (double)result->stats.zero_bytes / 1e6);
	fprintf(stderr,
		"thump checkpoint: ms: look %.3f, hooks %.3f, before %.3f, stop %.3f, state %.3f, "
		"remote "
		"calls %.3f, "
		"descriptors %.3f, mappings %.3f, copy %.3f (fork %.3f), scan %.3f, write %.3f "
		"(sync "
		"%.3f); frozen %.3f\n",
		ms(checkpoint->look_ns), ms(checkpoint->hooks_ns), ms(times->before_ns),
		ms(times->stop_ns), ms(times->state_ns), ms(times->remote_ns), ms(times->fds_ns),
		ms(times->maps_ns), ms(times->copy_ns), ms(times->fork_ns), ms(times->scan_ns),
		ms(result->write_ns), ms(result->stats.sync_ns),
		ms(result->freeze_ns + result->reap_ns));
}

/* Its other end is outside of the process: the restored program may find it closed. */
static bool closing_helps(const struct thump_problem *problem)
{
	return !problem->warning && problem->fd >= 0 &&
	       (strcmp(problem->kind, "pipe") == 0 ||
		strcmp(problem->kind, "tcp-connection") == 0 ||
		strcmp(problem->kind, "unix-connection") == 0);
}

/* Once, and not in the texts of the problems: other ways to checkpoint do not have the options. */
static void print_remedy(const struct checkpoint *checkpoint)
{
	const struct thump_problems *problems = &checkpoint->problems;

	for (size_t i = 0; i < problems->count; i++) {
		if (!closing_helps(&problems->list[i]))
			continue;
		fprintf(stderr,
			"thump checkpoint: what reaches out of the process can be closed in the "
			"image: --close-fd %d (or by rules: --policy)\n",
			problems->list[i].fd);
		return;
	}
}

static void print_text(const struct checkpoint *checkpoint)
{
	const struct thump_worker_result *result = &checkpoint->result;
	pid_t pid = checkpoint->options.capture.pid;

	thump_print_problems(&checkpoint->common, &checkpoint->problems);
	print_remedy(checkpoint);
	thump_print_error(&checkpoint->common, &result->err);
	if (checkpoint->common.verbose && checkpoint->have_result)
		print_verbose(checkpoint);
	if (result->err.code != THUMP_OK)
		return;
	if (checkpoint->dry_run)
		printf("process %d can be saved\n", pid);
	else
		printf("process %d is saved in %s (%.1f MB)%s\n", pid, checkpoint->options.path,
		       (double)result->stats.file_bytes / 1e6,
		       result->ended ? " and was ended"
		       : result->continued
			       ? "; it goes on, because thump run --then continue started it"
			       : "; it goes on");
}

static int report(struct checkpoint *checkpoint)
{
	int status = checkpoint->result.err.code;

	thump_progress_clear(&checkpoint->progress);
	if (checkpoint->common.json)
		status = print_json(checkpoint, status);
	else
		print_text(checkpoint);
	thump_problems_deinit(&checkpoint->problems);
	/* Rolled back because of a signal: end by it, so that a shell's loop ends, too. */
	if (status != THUMP_OK && checkpoint->signo) {
		(void)fflush(NULL);
		(void)signal(checkpoint->signo, SIG_DFL);
		(void)raise(checkpoint->signo);
	}
	return status;
}

/* Before the process notices anything: a wrong file is the user's to mend. */
static int prepare_rules(struct checkpoint *checkpoint, struct thump_err *err)
{
	const char *path = checkpoint->policy;
	int status = path ? thump_policies_read(path, &checkpoint->arena, &checkpoint->rules, err)
			  : thump_policies_read_of_jvm(checkpoint->options.capture.pid,
						       &checkpoint->arena, &checkpoint->rules, err);

	if (status < 0)
		return -1;
	checkpoint->options.capture.rules = &checkpoint->rules;
	return 0;
}

/* The program is our parent: it must not have a child left when it is captured. */
static int run_detached(struct checkpoint *checkpoint)
{
	struct thump_err err = THUMP_ERR_INIT;
	int socket_fd;
	pid_t pid;

	if (prepare_rules(checkpoint, &err) == 0 &&
	    thump_keys_load(&checkpoint->key_words, &checkpoint->options.keys, &err) == 0 &&
	    thump_worker_start(&checkpoint->options, &socket_fd, &pid, &err) == 0)
		return THUMP_OK;
	thump_print_error(&checkpoint->common, &err);
	return err.code;
}

/* The program gets ready; one that does not listen takes no time for that. */
static int ask_program(struct checkpoint *checkpoint, struct thump_err *err)
{
	const uint64_t start_ns = thump_now_ns();
	int asked;

	if (checkpoint->no_hooks)
		return 0;
	asked = thump_coord_ask(checkpoint->options.capture.pid,
				checkpoint->dry_run ? THUMP_COORD_ASK_DRY_RUN
						    : THUMP_COORD_ASK_CHECKPOINT,
				&checkpoint->options.coord_addr, err);
	if (asked > 0)
		checkpoint->hooks_ns = thump_now_ns() - start_ns;
	return asked < 0 ? -1 : 0;
}

/*
 * Hooks close what the program serves with. What they cannot help against is found before they run:
 * then the result has it, and the program has noticed nothing.
 */
static int look_before_hooks(struct checkpoint *checkpoint, struct thump_err *err)
{
	const struct thump_worker_options wanted = checkpoint->options;
	const uint64_t start_ns = thump_now_ns();
	int asked, status;

	if (checkpoint->no_hooks || checkpoint->hooks_first)
		return 0;
	asked = thump_coord_ask(wanted.capture.pid, THUMP_COORD_ASK_LOOK,
				&checkpoint->options.coord_addr, err);
	if (asked <= 0)
		return asked;
	checkpoint->options.path = NULL;
	checkpoint->options.capture.only_check = true;
	checkpoint->options.capture.before_hooks = true;
	status = run_worker(checkpoint, err);
	checkpoint->options = wanted;
	checkpoint->look_ns = thump_now_ns() - start_ns;
	return status;
}

static int run_attached(struct checkpoint *checkpoint, struct thump_err *err)
{
	if (prepare_rules(checkpoint, err) < 0 ||
	    thump_keys_load(&checkpoint->key_words, &checkpoint->options.keys, err) < 0)
		return -1;
	/* Before the program runs its hooks; the worker tries once more, before it stops anything.
	 */
	if (checkpoint->options.path && thump_image_try(checkpoint->options.path, err) < 0)
		return -1;
	if (look_before_hooks(checkpoint, err) < 0)
		return -1;
	if (checkpoint->result.err.code != THUMP_OK)
		return 0;
	checkpoint->have_result = false;
	/* Hooks may close what listens, and suspend those who answer. */
	if (checkpoint->drain_ns &&
	    thump_drain(checkpoint->options.capture.pid, checkpoint->drain_ns, err) < 0)
		return -1;
	if (ask_program(checkpoint, err) < 0)
		return -1;
	if (run_worker(checkpoint, err) < 0)
		return -1;
	if (checkpoint->options.coord_addr && checkpoint->result.err.code == THUMP_REFUSED)
		thump_coord_explain(checkpoint->options.capture.pid, &checkpoint->problems);
	return 0;
}

static int run(int argc, char **argv)
{
	struct checkpoint checkpoint = {
		.common = { .verb = "checkpoint", .usage = usage },
		.options = { .mode = 0400, .compression = thump_compression_default },
	};
	struct thump_err err = THUMP_ERR_INIT;
	int status;

	thump_arena_init(&checkpoint.arena);
	status = parse(&checkpoint, argc, argv);
	if (status >= 0) {
		thump_arena_deinit(&checkpoint.arena);
		return status;
	}
	if (checkpoint.options.detached) {
		status = run_detached(&checkpoint);
		thump_keys_destroy(checkpoint.options.keys);
		thump_arena_deinit(&checkpoint.arena);
		return status;
	}
	/* setrlimit(2), RLIMIT_FSIZE: a limit shall be an error, not our end. */
	(void)signal(SIGXFSZ, SIG_IGN);
	thump_progress_init(&checkpoint.progress, "checkpoint");
	thump_problems_init(&checkpoint.problems);
	if (run_attached(&checkpoint, &err) < 0)
		checkpoint.result.err = err;
	status = report(&checkpoint);
	thump_keys_destroy(checkpoint.options.keys);
	thump_arena_deinit(&checkpoint.arena);
	return status;
}

const struct thump_verb thump_verb_checkpoint = {
	.name = "checkpoint",
	.summary = "write a running process into an image",
	.run = run,
};
