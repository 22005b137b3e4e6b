/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/cli.h"
#include "cli/java.h"
#include "cli/learn.h"
#include "cli/levels.h"
#include "cli/making.h"
#include "cli/preload.h"
#include "cli/report.h"
#include "cli/restoring.h"
#include "cli/supervise.h"
#include "cli/watch.h"
#include "proc/arch/cpu.h"
#include "rebuild/spawn.h"
#include "rebuild/spin.h"

/*
 * How far above thump's own pid the program's pids begin. In a container pids start at 1 again,
 * and the program can only come back where its pids have not been given yet: this is the room for
 * whatever a container starts before `thump restore`.
 */
#define PID_GAP 64

#define MOST_REHEARSALS 1000

#define STATUS(code) (THUMP_PASSTHROUGH_BASE + (code))

static const char usage[] =
	"usage: thump run [OPTION...] [--] COMMAND [ARG...]\n"
	"\n"
	"Start COMMAND so that it can be checkpointed; or restore FILE if it is there and fits.\n"
	"\n"
	"A java command gets the agent that gives it the jdk.crac API; the options of CRaC and\n"
	"OpenJ9 for checkpoints are understood.\n"
	"\n"
	"  --image FILE     restore FILE if it exists and fits this machine, else start COMMAND\n"
	"  --then ACTION    when the program was checkpointed: exit (with 0, the default), "
	"restore\n"
	"                   it from FILE, or continue (it is not ended by the checkpoint)\n"
	"  --checkpoint-when MOMENT\n"
	"                   make FILE by itself, when the program listens (port:8080), answers\n"
	"                   (http://127.0.0.1:8080/health), has had so many requests "
	"(requests:5000),\n"
	"                   or after a time (after:60s)\n"
	"  --rehearse N     run the hooks around a checkpoint at N such moments before that one, "
	"so\n"
	"                   that code is compiled which a restore runs\n"
	"  --drain TIME     before a checkpoint, wait so long (5s) until accepted connections are\n"
	"                   idle, then end them in the image; 5s with --checkpoint-when\n"
	"  --hooks-first    look at a JVM only after its hooks, when they end its children\n"
	"  --policy FILE    what is to become of open files, pipes and sockets\n"
	"  --mode MODE      permissions of the image that is made, octal (default 0400)\n"
	"  --compress METHOD\n"
	"                   make it a packed one: zstd, zstd:LEVEL (1 to 22), lz4 or none\n"
	"  --encrypt-to KEY\n"
	"                   encrypt it to a recipient: his public key, or a file of such keys; "
	"may\n"
	"                   be repeated\n"
	"  --sign KEY       sign it with the secret key in the file KEY; may be repeated\n"
	"  --on-restore-failure ACTION\n"
	"                   when hooks of the program fail after a restore and nobody in it can\n"
	"                   catch that: start COMMAND instead (default), exit with 125, or "
	"continue\n"
	"  --require-signed-by KEYS\n"
	"                   restore FILE only if it is signed by one of KEYS: a public key, or a\n"
	"                   file of such keys; may be repeated\n"
	"  --decrypt-with KEY\n"
	"                   the secret key in the file KEY opens an encrypted FILE; may be "
	"repeated\n"
	"  --passphrase-file FILE\n"
	"                   the passphrase of an encrypted image is the first line there; what is\n"
	"                   made is encrypted with it, too\n"
	"  --store DIR      the chunks of FILE are in the chunk store DIR, not where it says\n"
	"  --cpu LEVEL      keep COMMAND within x86-64-v1, v2, v3 or v4, so that FILE fits every\n"
	"                   CPU of that level\n"
	"  --train MOMENT   when FILE was never trained and is restored: note what the program\n"
	"                   touches until MOMENT, for later restores; auto (default) is when it\n"
	"                   is used, or no\n"
	"  --no-preload     do not give COMMAND libthump, by which clones draw random numbers of\n"
	"                   their own\n"
	"  --json           print one JSON object on stdout once the program runs\n"
	"  -v, --verbose    say on stderr what was started\n"
	"  -h, --help       print this\n"
	"      --version    print thump's version\n"
	"\n"
	"The exit status is the program's (128+N when signal N ended it); 121-124: thump failed,\n"
	"wrong usage, refused, image damaged; 126/127: COMMAND cannot be executed or found.\n";

enum then { THEN_EXIT, THEN_RESTORE, THEN_CONTINUE };

struct run {
	struct thump_common common;
	const char *image_path;
	const char *image_pattern; /* --image with %f, or NULL */
	int level;		   /* of the CPU; that of image_path */
	int cpu_level;		   /* --cpu; 0: none */
	enum then then;
	char **command;
	bool only_restore; /* the command says so itself: never start it */
	bool lacks_agent;  /* a java command that thump has no agent for */
	bool no_preload;
	const char *preload;	 /* what LD_PRELOAD is to be for the command; NULL: as it is */
	const char *why_plainly; /* why there is no `preload`; NULL: there is, or need be none */
	struct thump_restore_words words;
	struct thump_key_words key_words;
	bool restored;	       /* what runs, or has run, came from the image */
	struct stat old_image; /* at the path of the image when the program began */
	bool said;	       /* the object of --json */
	bool watches;	       /* --checkpoint-when */
	struct thump_making making;
	bool agent_makes;  /* images of the program, as `making` says */
	bool brings_agent; /* which is told nothing by us */
	struct thump_watch watch;
	struct thump_learn learn;
	struct thump_arena arena; /* of a rewritten command */
	struct thump_supervise sup;
};

enum {
	OPT_IMAGE = THUMP_OPT_VERB,
	OPT_THEN,
	OPT_CHECKPOINT_WHEN,
	OPT_REHEARSE,
	OPT_ON_FAILURE,
	OPT_CPU,
	OPT_NO_PRELOAD,
	OPT_TRAIN,
};

static int parse_on_failure(struct run *run, const char *word)
{
	if (thump_on_failure_parse(word, &run->words.on_failure))
		return -1;
	return thump_usage_error(
		&run->common, "--on-restore-failure takes start, exit or continue, not %s", word);
}

static int parse_then(struct run *run, const char *word)
{
	if (strcmp(word, "exit") == 0)
		run->then = THEN_EXIT;
	else if (strcmp(word, "restore") == 0)
		run->then = THEN_RESTORE;
	else if (strcmp(word, "continue") == 0)
		run->then = THEN_CONTINUE;
	else
		return thump_usage_error(&run->common,
					 "--then takes exit, restore or continue, not %s", word);
	return -1;
}

static int parse_when(struct run *run, const char *text)
{
	struct thump_err err = THUMP_ERR_INIT;

	if (thump_when_parse(text, &run->watch.when, &err) < 0)
		return thump_usage_error(&run->common, "--checkpoint-when %s", err.text);
	run->watches = true;
	return -1;
}

static int parse_rehearsals(struct run *run, const char *text)
{
	char *end;
	unsigned long count = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || count > MOST_REHEARSALS)
		return thump_usage_error(&run->common, "--rehearse %s: a number up to %d", text,
					 MOST_REHEARSALS);
	run->watch.rehearsals = (unsigned)count;
	return -1;
}

/* It opens the image that is there, and is that of the next one. */
static int note_passphrase(struct run *run, const char *path)
{
	(void)thump_key_option(&run->key_words, THUMP_OPT_PASSPHRASE_FILE, path);
	return thump_making_option(&run->common, THUMP_MAKE_PASSPHRASE_FILE, path, &run->making);
}

static int take_option(void *ctx, int opt)
{
	struct run *run = ctx;

	switch (opt) {
	case OPT_IMAGE:
		run->image_path = optarg;
		return -1;
	case OPT_THEN:
		return parse_then(run, optarg);
	case OPT_CHECKPOINT_WHEN:
		return parse_when(run, optarg);
	case OPT_REHEARSE:
		return parse_rehearsals(run, optarg);
	case OPT_ON_FAILURE:
		return parse_on_failure(run, optarg);
	case OPT_TRAIN:
		return thump_learn_option(&run->common, optarg, &run->learn);
	case OPT_CPU:
		return thump_level_option(&run->common, optarg, &run->cpu_level);
	case OPT_NO_PRELOAD:
		run->no_preload = true;
		return -1;
	case THUMP_OPT_PASSPHRASE_FILE:
		return note_passphrase(run, optarg);
	default:
		if (thump_making_has(opt))
			return thump_making_option(&run->common, opt, optarg, &run->making);
		if (thump_key_option(&run->key_words, opt, optarg))
			return -1;
		return thump_common_option(&run->common, opt);
	}
}

/* -1 to go on, else the status to end with. */
static int parse(struct run *run, int argc, char **argv)
{
	static const struct option options[] = {
		{ "image", required_argument, NULL, OPT_IMAGE },
		{ "then", required_argument, NULL, OPT_THEN },
		{ "checkpoint-when", required_argument, NULL, OPT_CHECKPOINT_WHEN },
		{ "rehearse", required_argument, NULL, OPT_REHEARSE },
		THUMP_MAKING_OPTIONS,
		{ "on-restore-failure", required_argument, NULL, OPT_ON_FAILURE },
		{ "cpu", required_argument, NULL, OPT_CPU },
		{ "train", required_argument, NULL, OPT_TRAIN },
		{ "require-signed-by", required_argument, NULL, THUMP_OPT_SIGNED_BY },
		{ "passphrase-file", required_argument, NULL, THUMP_OPT_PASSPHRASE_FILE },
		THUMP_DECRYPT_OPTIONS,
		THUMP_STORE_OPTION,
		{ "no-preload", no_argument, NULL, OPT_NO_PRELOAD },
		THUMP_COMMON_OPTIONS,
		{ 0 },
	};
	int status =
		thump_parse_options(&run->common, argc, argv, "+:hv", options, take_option, run);

	run->command = argv + optind;
	if (status < 0 && !run->command[0])
		status = thump_usage_error(&run->common, "COMMAND is missing");
	if (status < 0 && run->watch.rehearsals && !run->watches)
		status = thump_usage_error(&run->common, "--rehearse needs --checkpoint-when");
	if (status < 0 && run->then == THEN_RESTORE && !run->image_path)
		status = thump_usage_error(&run->common, "--then restore needs --image");
	return status;
}

/* Before anybody hears of the image's path. */
static int choose_level(struct run *run, struct thump_err *err)
{
	if (run->cpu_level > thump_cpu_level())
		return thump_refuse(
			err,
			"--cpu x86-64-v%d: this CPU has x86-64-v%d, and no features of a "
			"higher level",
			run->cpu_level, thump_cpu_level());
	if (!run->image_path || !thump_has_level(run->image_path))
		return 0;
	run->image_pattern = run->image_path;
	run->level = run->cpu_level ? run->cpu_level : thump_cpu_level();
	run->image_path = thump_level_path(&run->arena, run->image_pattern, run->level);
	return run->image_path ? 0 : thump_fail(err, "out of memory");
}

/* Path of this executable, for the agent; NULL when it cannot be known. */
static const char *own_path(struct thump_arena *arena)
{
	char path[4096];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

	return len > 0 ? thump_arena_strndup(arena, path, (size_t)len) : NULL;
}

static int step_aside(struct run *run, struct thump_err *err)
{
	if (run->image_path)
		return thump_refuse(err,
				    "%s is of a JDK that has CRaC itself, and the command gives it "
				    "options of CRaC's: leave them out to have images of thump's, "
				    "or --image to have the JDK's",
				    run->command[0]);
	return run->cpu_level
		       ? thump_java_keep_level(&run->arena, run->cpu_level, &run->command, err)
		       : 0;
}

/* A java command gets the agent, and its options of CRaC and OpenJ9 become ours. */
static int rewrite_java(struct run *run, struct thump_err *err)
{
	const char *thump = own_path(&run->arena);
	const struct thump_java_options options = {
		.image = run->image_path,
		.thump = thump,
		.agent = thump ? thump_java_find_agent(&run->arena, thump) : NULL,
		.making = &run->making,
		.then_continue = run->then == THEN_CONTINUE,
		.cpu_level = run->cpu_level,
	};
	struct thump_java_command java;

	if (thump_java_does_crac(&run->arena, run->command))
		return step_aside(run, err);
	if (thump_java_command(&run->arena, run->command, &options, &java, err) < 0)
		return -1;
	if (!java.is_java) {
		if (!run->no_preload)
			run->preload = thump_preload(&run->arena, thump, run->command[0],
						     &run->why_plainly);
		return 0;
	}
	run->command = java.argv;
	if (run->cpu_level &&
	    thump_java_keep_level(&run->arena, run->cpu_level, &run->command, err) < 0)
		return -1;
	run->image_path = java.image;
	run->only_restore = java.restore_only && !java.ignore_restore_failure;
	/* Else it is what to start instead, and says what the image has in it. */
	if (run->only_restore)
		run->words.arguments = java.arguments;
	if (run->only_restore && run->words.on_failure == THUMP_ON_FAILURE_START)
		run->words.on_failure = THUMP_ON_FAILURE_EXIT;
	run->lacks_agent = !java.has_agent;
	run->brings_agent = java.brings_agent;
	run->agent_makes = java.has_agent && !java.brings_agent && !java.restore_only;
	return 0;
}

/* What was asked of an image must not be lost on the way to who makes it. */
static int check_makers(const struct run *run, struct thump_err *err)
{
	const char *packs = thump_making_packs(&run->making);

	if (!packs)
		return 0;
	if (run->brings_agent)
		return thump_refuse(err,
				    "%s: the command brings the JVM's agent itself, which makes "
				    "images as its own options say (docs/jvm.md)",
				    packs);
	if (!run->watches && !run->agent_makes)
		return thump_refuse(err,
				    "%s: thump run makes no image of this command by itself: "
				    "--checkpoint-when is missing (thump checkpoint has the "
				    "option, too)",
				    packs);
	return 0;
}

/* Better known now than when the program was ended for the image. */
static int check_making(const struct run *run, struct thump_err *err)
{
	const struct thump_making *making = &run->making;
	const char *passphrase = thump_making_find(making, THUMP_MAKE_PASSPHRASE_FILE);
	bool makes = run->watches || run->agent_makes;

	if (check_makers(run, err) < 0)
		return -1;
	if (run->watches && passphrase && thump_is_read_once(passphrase))
		return thump_refuse(err,
				    "--passphrase-file %s can be read only once, and the image is "
				    "made with it, too: it must be a file",
				    passphrase);
	if (!makes || run->then != THEN_RESTORE)
		return 0;
	if (thump_making_find(making, THUMP_MAKE_ENCRYPT_TO) && !passphrase &&
	    !thump_key_words_have(&run->key_words, THUMP_OPT_DECRYPT_WITH))
		return thump_refuse(err, "--then restore: nothing opens what --encrypt-to makes "
					 "(--decrypt-with)");
	if (thump_key_words_have(&run->key_words, THUMP_OPT_SIGNED_BY) &&
	    !thump_making_find(making, THUMP_MAKE_SIGN))
		return thump_refuse(err, "--then restore: --require-signed-by accepts no image "
					 "that is not signed (--sign)");
	return 0;
}

/* ---- starting ----------------------------------------------------------------------------- */

/*
 * Moves the kernel's last pid on; without success the program simply gets the next one. A pid that
 * a restore would not spin to from the first ones of a container needs no gap: 64 tasks in vain
 * take longer than all else that thump does here.
 */
static void leave_pid_gap(void)
{
	uint32_t last_pid, pid_max;
	pid_t own = getpid(), pid = 0;
	struct thump_err err;

	if (own > THUMP_DEFAULT_SPIN_LIMIT || thump_pid_cursor(&last_pid, &pid_max, &err) < 0)
		return;
	pid = (pid_t)last_pid;
	for (int i = 0; i < PID_GAP && pid >= own && pid < own + PID_GAP; i++)
		if (thump_spin_task(&pid, &err) < 0)
			return;
}

/* `failed_fd` is closed by the exec, or told why there was none; -1: nobody asks. */
_Noreturn static void become_command(const struct run *run, int failed_fd)
{
	int reason, told;

	thump_supervisor_release_child(&run->sup);
	/* Under yama's ptrace_scope 1 only ancestors may trace. The permission belongs to the
	 * process and outlives execve (it goes with the task: yama_task_free); EINVAL without yama.
	 */
	(void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	if (run->cpu_level && thump_level_set_environment(run->cpu_level) < 0) {
		fprintf(stderr, "thump run: no memory for the environment\n");
		_exit(126);
	}
	/* Without memory it starts all the same: it would not be ours to end. */
	if (run->preload)
		(void)setenv("LD_PRELOAD", run->preload, 1);
	(void)execvp(run->command[0], run->command);
	reason = errno;
	fprintf(stderr, "thump run: %s: %s\n", run->command[0], strerror(reason));
	told = thump_write_full(failed_fd, &reason, sizeof(reason));
	(void)told; /* the exit status says it, too */
	_exit(reason == ENOENT ? 127 : 126);
}

/* The one object of --json: `pid` is 0 when nothing runs. */
static void say_json(struct run *run, const char *action, pid_t pid, const struct thump_err *err)
{
	run->said = true;
	(void)thump_print_json(json_pack("{s:s?, s:o, s:o}", "action", action, "pid",
					 pid ? json_integer(pid) : json_null(), "error",
					 thump_json_error(err)),
			       THUMP_OK);
}

/* Whether COMMAND could be executed is known when the pipe is closed. */
static void say_started_json(struct run *run, pid_t pid, int failed_fd)
{
	struct thump_err err = THUMP_ERR_INIT;
	int reason;

	if (read(failed_fd, &reason, sizeof(reason)) == (ssize_t)sizeof(reason)) {
		errno = reason;
		(void)thump_fail_errno(&err, "%s", run->command[0]);
		pid = 0;
	}
	say_json(run, "started", pid, &err);
}

/* Nobody should find out by an image of a program whose hooks have not run. */
static void say_lacking(const struct run *run)
{
	if (run->lacks_agent)
		fprintf(stderr,
			"thump run: starting %s without thump's agent, so no hooks of it will run: "
			"there is no " THUMP_JVM_AGENT " with this thump (it is built where there "
			"is a JDK)\n",
			run->command[0]);
}

static void say_started(struct run *run, pid_t pid, int failed_fd)
{
	if (run->common.json)
		say_started_json(run, pid, failed_fd);
	else if (run->common.verbose)
		fprintf(stderr, "thump run: started %s as pid %d%s%s\n", run->command[0], (int)pid,
			run->why_plainly ? ", without libthump: " : "",
			run->why_plainly ? run->why_plainly : "");
}

/* Without a watcher the program runs all the same. */
static void start_watcher(struct run *run, pid_t pid)
{
	struct thump_err err = THUMP_ERR_INIT;

	if (!run->watches)
		return;
	run->watch.image = run->image_path;
	run->watch.making = &run->making;
	run->watch.end_program = run->then == THEN_EXIT;
	if (thump_watch_start(&run->watch, pid, &run->sup, &err) < 0)
		fprintf(stderr, "thump run: no checkpoint will be made: %s\n", err.text);
}

/* For `--then restore`: what is there when the program begins cannot be the image that ends it. */
static void remember_image(struct run *run)
{
	if (run->image_path)
		run->old_image = thump_image_at(run->image_path);
}

static int start_command(struct run *run, struct thump_outcome *outcome, struct thump_err *err)
{
	int failed_fds[2] = { -1, -1 };
	pid_t pid;

	/* Only for --json: a stop of the terminal's group before the exec would have us wait. */
	if (run->common.json && pipe2(failed_fds, O_CLOEXEC) < 0)
		return thump_fail_errno(err, "pipe2");
	say_lacking(run);
	remember_image(run);
	leave_pid_gap();
	pid = fork();
	if (pid == 0)
		become_command(run, failed_fds[1]);
	thump_close_fd(&failed_fds[1]);
	if (pid > 0)
		say_started(run, pid, failed_fds[0]);
	thump_close_fd(&failed_fds[0]);
	if (pid < 0)
		return thump_fail_errno(err, "fork");
	start_watcher(run, pid);
	return thump_supervise(&run->sup, pid, pid, -1, outcome, err);
}

/* ---- restoring ---------------------------------------------------------------------------- */

static void say_restored(struct run *run, const struct thump_restoring *restoring)
{
	static const struct thump_err none;
	json_t *object;

	if (run->common.json) {
		run->said = true;
		object = thump_restoring_json(restoring, &none);
		json_object_set_new(object, "action", json_string("restored"));
		(void)thump_print_json(object, THUMP_OK);
	} else if (run->common.verbose) {
		fprintf(stderr, "thump run: restored %s as pid %d (%s)\n", restoring->path,
			(int)restoring->report.pid_host, thump_way_name(restoring->report.way));
	}
}

/* One line: the first of the misfits stands for all of them. */
static void say_why_not(const struct run *run, const struct thump_restoring *restoring,
			const struct thump_err *err)
{
	const struct thump_problem *first = NULL;
	const char *why = err->text;

	for (size_t i = 0; i < restoring->problems.count && !first; i++)
		if (!restoring->problems.list[i].warning)
			first = &restoring->problems.list[i];
	if (first)
		why = first->text;
	fprintf(stderr, "thump run: starting %s, as %s is not restored: %.*s%s\n", run->command[0],
		run->image_path, (int)strcspn(why, "\n"), why,
		restoring->problems.nr_fatal > 1 ? " (and more: thump restore --dry-run)" : "");
}

/* No image is restored any more, so nothing secret is to be kept for as long as the program runs.
 */
static void forget_keys(struct run *run)
{
	if (run->then != THEN_RESTORE)
		thump_key_words_forget(&run->key_words);
}

/* 0: it ran, see outcome; 1: nothing was started, *err says why; -1: failed. Given up on a signal
 * is as good as ended by it: the command is not to be started then. */
static int restore_image(struct run *run, struct thump_restoring *restoring,
			 struct thump_outcome *outcome, struct thump_err *err)
{
	const struct thump_rebuild_options options = {
		.assume_namespaces = true,
		.give_up_on = run->sup.ending,
	};
	int control_fd;

	remember_image(run);
	if (thump_key_words_keep(&run->key_words, err) < 0 ||
	    thump_restoring_prepare(restoring, &options, err) < 0 ||
	    thump_restoring_start(restoring, err) < 0) {
		if (!restoring->report.given_up_on)
			return 1;
		*outcome = (struct thump_outcome){
			.status = 128 + restoring->report.given_up_on,
		};
		return 0;
	}
	run->restored = true;
	forget_keys(run);
	say_restored(run, restoring);
	thump_learn_start(&run->learn, restoring, &run->common, &run->sup);
	control_fd = thump_take_fd(&restoring->report.control_fd);
	return thump_supervise(&run->sup, restoring->child, restoring->report.pid_host, control_fd,
			       outcome, err);
}

/* As restore_image(), and says why it is not restored. */
static int try_image(struct run *run, struct thump_outcome *outcome, struct thump_err *err)
{
	struct thump_restoring restoring;
	int result;

	thump_restoring_init(&restoring, run->image_path, "run");
	restoring.words = run->words;
	restoring.words.times = run->common.verbose;
	restoring.key_words = &run->key_words;
	result = restore_image(run, &restoring, outcome, err);
	if (result > 0 && run->only_restore) {
		thump_print_problems(&run->common, &restoring.problems);
		result = -1;
	} else if (result > 0) {
		say_why_not(run, &restoring, err);
	}
	thump_restoring_deinit(&restoring);
	return result;
}

/* With %f: turns to the image of the next lower level that is there. */
static bool next_image(struct run *run)
{
	while (run->image_pattern && --run->level > 0) {
		const char *path = thump_level_path(&run->arena, run->image_pattern, run->level);

		if (path && access(path, F_OK) == 0) {
			run->image_path = path;
			return true;
		}
	}
	return false;
}

static int begin(struct run *run, struct thump_outcome *outcome, struct thump_err *err)
{
	const char *newest = run->image_path;
	int result;

	if (!run->image_path)
		return start_command(run, outcome, err);
	do {
		result = try_image(run, outcome, err);
	} while (result > 0 && next_image(run));
	if (result <= 0)
		return result;
	run->image_path = newest;
	forget_keys(run);
	return start_command(run, outcome, err);
}

static int begin_again(struct run *run, struct thump_outcome *outcome, struct thump_err *err)
{
	struct thump_restoring restoring;
	int result;

	if (!thump_image_is_new(run->image_path, &run->old_image))
		return thump_fail(err,
				  "%s is not the image that was just written, so it is not "
				  "restored: thump checkpoint had another -o",
				  run->image_path);
	thump_restoring_init(&restoring, run->image_path, "run");
	restoring.words.on_failure = run->words.on_failure;
	restoring.words.times = run->common.verbose;
	restoring.key_words = &run->key_words;
	result = restore_image(run, &restoring, outcome, err);
	if (result > 0)
		thump_print_problems(&run->common, &restoring.problems);
	thump_restoring_deinit(&restoring);
	return result == 0 ? 0 : -1;
}

/* A program whose hooks failed after the restore has ended itself, if it was told to. */
static bool wants_start(const struct run *run, const struct thump_outcome *outcome)
{
	return run->restored && outcome->status == THUMP_HOOKS_FAILED &&
	       run->words.on_failure == THUMP_ON_FAILURE_START;
}

static int run_to_end(struct run *run, struct thump_outcome *outcome, struct thump_err *err)
{
	if (run->watches && !run->image_path)
		return thump_refuse(err, "--checkpoint-when: which image? --image FILE is missing");
	if (thump_supervisor_init(&run->sup, run->then == THEN_CONTINUE, err) < 0 ||
	    begin(run, outcome, err) < 0)
		return -1;
	for (;;) {
		if (wants_start(run, outcome)) {
			run->restored = false;
			fprintf(stderr, "thump run: starting %s, as its hooks failed\n",
				run->command[0]);
			if (start_command(run, outcome, err) < 0)
				return -1;
			continue;
		}
		if (!outcome->checkpointed)
			return 0;
		fprintf(stderr, "thump run: %s was checkpointed and ended on request%s\n",
			run->command[0], run->then == THEN_RESTORE ? "; restoring it" : "");
		if (run->then != THEN_RESTORE)
			return 0;
		if (begin_again(run, outcome, err) < 0)
			return -1;
	}
}

static int verb_run(int argc, char **argv)
{
	struct run run = {
		.common = { .verb = "run", .usage = usage },
		.words = { .on_failure = THUMP_ON_FAILURE_START },
		.sup = THUMP_SUPERVISE_INIT,
	};
	struct thump_outcome outcome = { 0 };
	struct thump_err err = THUMP_ERR_INIT;
	int status = parse(&run, argc, argv);

	if (status >= 0)
		return status == THUMP_OK ? THUMP_OK : STATUS(status);
	thump_arena_init(&run.arena);
	if (choose_level(&run, &err) < 0 || rewrite_java(&run, &err) < 0 ||
	    check_making(&run, &err) < 0 || run_to_end(&run, &outcome, &err) < 0) {
		thump_print_error(&run.common, &err);
		if (run.common.json && !run.said)
			say_json(&run, NULL, 0, &err);
		status = STATUS(err.code);
	} else {
		status = outcome.status;
		if (run.watch.given_up && *run.watch.given_up)
			status = STATUS(*run.watch.given_up);
	}
	thump_supervisor_deinit(&run.sup);
	thump_arena_deinit(&run.arena);
	return status;
}

const struct thump_verb thump_verb_run = {
	.name = "run",
	.summary = "start a program, or restore it when there is an image",
	.run = verb_run,
};
