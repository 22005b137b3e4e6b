/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/cli.h"
#include "cli/learn.h"
#include "cli/pid_file.h"
#include "cli/policies.h"
#include "cli/levels.h"
#include "cli/report.h"
#include "cli/restoring.h"
#include "cli/spare.h"
#include "cli/spares.h"
#include "cli/spawn.h"
#include "cli/supervise.h"
#include "rebuild/spare.h"

static const char usage[] =
	"usage: thump restore FILE [OPTION...] [-- ARG...]\n"
	"\n"
	"Make a running process of the image FILE, pass signals on to it and end with its status.\n"
	"FILE may be packed; - is standard input, which may be a pipe.\n"
	"A JVM with thump's agent takes ARG: -Dkey=value, manageable -XX flags, and a main class\n"
	"with its arguments, which is run when the program has been restored.\n"
	"\n"
	"      --dry-run            list all misfits of image and machine; start nothing\n"
	"      --detach             end as soon as the program runs\n"
	"      --pid-file FILE      write the program's pid, as seen here, to FILE\n"
	"      --keep-stdio         do not give the program our stdin, stdout and stderr\n"
	"      --port OLD:NEW       listen on port NEW instead of OLD; may be repeated\n"
	"      --cgroup DIR         be in the control group DIR, thump, too; may be repeated\n"
	"      --policy FILE        what is to become of files, pipes and sockets of the image\n"
	"      --close-fd N         descriptor N comes back closed; may be repeated\n"
	"      --memory MODE        auto (default), eager, or lazy-unsafe: mapped from FILE\n"
	"      --verify             check all memory before the program runs, again if need be\n"
	"      --on-restore-failure ACTION\n"
	"                           when hooks fail after the restore and nobody in the program\n"
	"                           can catch that: continue (default), or exit with 125\n"
	"      --env MODE           a JVM's environment: merge ours over its own (default),\n"
	"                           replace it with ours, or keep it\n"
	"      --clock MODE         continue (default): monotonic time goes on where it was, "
	"where\n"
	"                           that is possible; real: it is this machine's\n"
	"      --allow-clock-jump   restore even when CLOCK_MONOTONIC would run back\n"
	"      --require-signed-by KEYS\n"
	"                           refuse what is not signed by one of KEYS: a public key, or a\n"
	"                           file of such keys; may be repeated\n"
	"      --decrypt-with KEY   the secret key in the file KEY opens an encrypted image; may "
	"be\n"
	"                           repeated\n"
	"      --passphrase-file FILE, --passphrase-fd N\n"
	"                           the passphrase of an encrypted image is the first line there\n"
	"      --store DIR          the chunks of FILE are in the chunk store DIR, not where it "
	"says\n"
	"      --trust-any-owner    restore an image that somebody else may have written\n"
	"      --spin-limit N       start at most N tasks to reach a pid (default 2000)\n"
	"      --cpu LEVEL          refuse what a CPU of x86-64-v1, v2, v3 or v4 could not run\n"
	"      --train MOMENT       an image that was never trained learns until MOMENT what its\n"
	"                           program touches; auto (default) is when it is used, or no\n"
	"      --json               print one JSON object on stdout once the program runs\n"
	"  -v, --verbose            say on stderr what runs, and how fast it came\n"
	"  -h, --help               print this\n"
	"      --version            print thump's version\n"
	"\n"
	"The exit status is the program's (128+N when signal N ended it); 121-124: thump failed,\n"
	"wrong usage, refused, image damaged. With --detach and --dry-run these are 1-4.\n";

static const char spawn_usage[] =
	"usage: thump spawn FILE|NAME [OPTION...] [-- ARG...]\n"
	"\n"
	"Make a running process as thump restore does, but as a clone of the template of the "
	"image\n"
	"FILE, or of the template NAME (thump template start). Without one that fits, FILE is\n"
	"restored, and that is said.\n"
	"ARG is as of thump restore.\n"
	"\n"
	"      --detach             end as soon as the program runs\n"
	"      --pid-file FILE      write the program's pid, as seen here, to FILE\n"
	"      --keep-stdio         do not give the program our stdin, stdout and stderr\n"
	"      --port OLD:NEW       listen on port NEW instead of OLD; may be repeated\n"
	"      --cgroup DIR         be in the control group DIR, thump, too; may be repeated\n"
	"      --policy FILE        what is to become of files, pipes and sockets of the image\n"
	"      --close-fd N         descriptor N comes back closed; may be repeated\n"
	"      --on-restore-failure ACTION\n"
	"                           when hooks fail after the start and nobody in the program can\n"
	"                           catch that: continue (default), or exit with 125\n"
	"      --env MODE           a JVM's environment: merge ours over its own (default),\n"
	"                           replace it with ours, or keep it\n"
	"      --clock MODE         continue (default): monotonic time goes on where it was, "
	"where\n"
	"                           that is possible; real: it is this machine's\n"
	"      --allow-clock-jump   even when CLOCK_MONOTONIC would run back\n"
	"      --trust-any-owner    of an image that somebody else may have written\n"
	"      --cpu LEVEL          refuse what a CPU of x86-64-v1, v2, v3 or v4 could not run\n"
	"      --json               print one JSON object on stdout once the program runs\n"
	"  -v, --verbose            say on stderr what runs, and how fast it came\n"
	"  -h, --help               print this\n"
	"      --version            print thump's version\n"
	"\n"
	"The exit status is the program's (128+N when signal N ended it); 121-124: thump failed,\n"
	"wrong usage, refused, image damaged. With --detach these are 1-4.\n";

enum {
	OPT_DRY_RUN = THUMP_OPT_VERB,
	OPT_DETACH,
	OPT_PID_FILE,
	OPT_KEEP_STDIO,
	OPT_PORT,
	OPT_MEMORY,
	OPT_VERIFY,
	OPT_ON_FAILURE,
	OPT_ENV,
	OPT_CLOCK,
	OPT_CLOCK_JUMP,
	OPT_ANY_OWNER,
	OPT_SPIN_LIMIT,
	OPT_POLICY,
	OPT_CLOSE_FD,
	OPT_CPU,
	OPT_TRAIN,
	OPT_CGROUP,
};

#define MAX_PORTS 64
/* Of version 1 there is one for each controller. */
#define MAX_GROUPS THUMP_MAX_HIERARCHIES

struct restore {
	struct thump_common common;
	const char *path;
	bool dry_run;
	bool spawn; /* a clone of a template, if there is one */
	struct thump_spawn_source source;
	struct thump_rebuild_options options;
	struct thump_port_map ports[MAX_PORTS];
	const char *groups[MAX_GROUPS]; /* directories of control groups to be in */
	size_t nr_groups;
	struct thump_arena arena; /* of the rules */
	struct thump_fd_rules rules;
	const char *policy; /* path, or NULL */
	struct thump_restore_words words;
	struct thump_key_words key_words;
	struct thump_learn learn;
	struct thump_supervise sup;
	int argc;
	char **argv; /* as the verb got them */
	struct thump_pid_file pid_file;
};

/* ---- options ------------------------------------------------------------------------------ */

static int parse_port_number(const char *text, size_t len, uint16_t *port_ret)
{
	char number[8];
	uint64_t value;

	if (len >= sizeof(number))
		return -1;
	memcpy(number, text, len);
	number[len] = '\0';
	if (thump_parse_number(number, UINT16_MAX, &value) < 0 || value == 0)
		return -1;
	*port_ret = (uint16_t)value;
	return 0;
}

static int parse_port(struct restore *restore, const char *text)
{
	struct thump_port_map *map = &restore->ports[restore->options.nr_ports];
	const char *colon = strchr(text, ':');

	if (restore->options.nr_ports == MAX_PORTS)
		return thump_usage_error(&restore->common, "more than %d --port", MAX_PORTS);
	if (!colon || parse_port_number(text, (size_t)(colon - text), &map->from) < 0 ||
	    parse_port_number(colon + 1, strlen(colon + 1), &map->to) < 0)
		return thump_usage_error(&restore->common,
					 "--port takes OLD:NEW, ports from 1 to 65535, not %s",
					 text);
	restore->options.ports = restore->ports;
	restore->options.nr_ports++;
	return -1;
}

static int parse_group(struct restore *restore, const char *directory)
{
	if (restore->nr_groups == MAX_GROUPS)
		return thump_usage_error(&restore->common, "more than %d --cgroup", MAX_GROUPS);
	restore->groups[restore->nr_groups++] = directory;
	return -1;
}

static int parse_env(struct restore *restore, const char *word)
{
	restore->words.environment_asked = true;
	if (thump_environment_parse(word, &restore->words.environment))
		return -1;
	return thump_usage_error(&restore->common, "--env takes merge, replace or keep, not %s",
				 word);
}

static int parse_on_failure(struct restore *restore, const char *word)
{
	if (thump_on_failure_parse(word, &restore->words.on_failure) &&
	    restore->words.on_failure != THUMP_ON_FAILURE_START)
		return -1;
	return thump_usage_error(&restore->common,
				 "--on-restore-failure takes continue or exit, not %s (start is "
				 "for thump run, which knows what to start)",
				 word);
}

static int parse_clock(struct restore *restore, const char *word)
{
	restore->options.real_clock = strcmp(word, "real") == 0;
	if (restore->options.real_clock || strcmp(word, "continue") == 0)
		return -1;
	return thump_usage_error(&restore->common, "--clock takes continue or real, not %s", word);
}

static int parse_spin_limit(struct restore *restore, const char *text)
{
	uint64_t limit;

	if (thump_parse_number(text, UINT32_MAX, &limit) < 0 || limit == 0)
		return thump_usage_error(&restore->common,
					 "--spin-limit takes a number from 1 to %u, not %s",
					 UINT32_MAX, text);
	restore->options.spin_limit = (uint32_t)limit;
	return -1;
}

static int close_fd(struct restore *restore)
{
	struct thump_err err = THUMP_ERR_INIT;

	if (thump_policies_add_fd(&restore->arena, THUMP_RULE_CLOSE, "--close-fd", optarg,
				  &restore->rules, &err) < 0)
		return thump_usage_error(&restore->common, "%s", err.text);
	return -1;
}

static int take_option(void *ctx, int opt)
{
	struct restore *restore = ctx;
	struct thump_rebuild_options *options = &restore->options;

	switch (opt) {
	case OPT_DRY_RUN:
	case OPT_DETACH:
		return -1; /* parse() has looked for them first */
	case OPT_PID_FILE:
		restore->pid_file.path = optarg;
		return -1;
	case OPT_KEEP_STDIO:
		options->keep_stdio = true;
		return -1;
	case OPT_PORT:
		return parse_port(restore, optarg);
	case OPT_CGROUP:
		return parse_group(restore, optarg);
	case OPT_MEMORY:
		return thump_memory_option(&restore->common, optarg, &restore->options.memory);
	case OPT_VERIFY:
		options->verify = true;
		return -1;
	case OPT_ON_FAILURE:
		return parse_on_failure(restore, optarg);
	case OPT_ENV:
		return parse_env(restore, optarg);
	case OPT_CLOCK:
		return parse_clock(restore, optarg);
	case OPT_CLOCK_JUMP:
		options->allow_clock_jump = true;
		return -1;
	case OPT_ANY_OWNER:
		options->trust_any_owner = true;
		return -1;
	case OPT_SPIN_LIMIT:
		return parse_spin_limit(restore, optarg);
	case OPT_POLICY:
		restore->policy = optarg;
		return -1;
	case OPT_CLOSE_FD:
		return close_fd(restore);
	case OPT_TRAIN:
		return thump_learn_option(&restore->common, optarg, &restore->learn);
	case OPT_CPU:
		return thump_level_option(&restore->common, optarg, &options->cpu_level);
	default:
		if (thump_key_option(&restore->key_words, opt, optarg))
			return -1;
		return thump_common_option(&restore->common, opt);
	}
}

/* FILE, and ARGs only behind "--", so that a forgotten option is not taken for one. */
static int parse_operands(struct restore *restore, int argc, char **argv)
{
	bool separated = optind > 1 && strcmp(argv[optind - 1], "--") == 0;

	if (optind == argc || (optind + 1 != argc && !separated))
		return thump_usage_error(&restore->common, "exactly one FILE is expected");
	restore->path = argv[optind];
	restore->words.arguments = argv + optind + 1;
	return -1;
}

/* What decides about memory is the template's; what opens an image, too. */
static const struct option spawn_options[] = {
	{ "detach", no_argument, NULL, OPT_DETACH },
	{ "pid-file", required_argument, NULL, OPT_PID_FILE },
	{ "keep-stdio", no_argument, NULL, OPT_KEEP_STDIO },
	{ "port", required_argument, NULL, OPT_PORT },
	{ "cgroup", required_argument, NULL, OPT_CGROUP },
	{ "on-restore-failure", required_argument, NULL, OPT_ON_FAILURE },
	{ "env", required_argument, NULL, OPT_ENV },
	{ "clock", required_argument, NULL, OPT_CLOCK },
	{ "allow-clock-jump", no_argument, NULL, OPT_CLOCK_JUMP },
	{ "trust-any-owner", no_argument, NULL, OPT_ANY_OWNER },
	{ "policy", required_argument, NULL, OPT_POLICY },
	{ "close-fd", required_argument, NULL, OPT_CLOSE_FD },
	{ "cpu", required_argument, NULL, OPT_CPU },
	THUMP_COMMON_OPTIONS,
	{ 0 },
};

static int parse(struct restore *restore, int argc, char **argv)
{
	static const struct option restore_options[] = {
		{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
		{ "detach", no_argument, NULL, OPT_DETACH },
		{ "pid-file", required_argument, NULL, OPT_PID_FILE },
		{ "keep-stdio", no_argument, NULL, OPT_KEEP_STDIO },
		{ "port", required_argument, NULL, OPT_PORT },
		{ "cgroup", required_argument, NULL, OPT_CGROUP },
		{ "memory", required_argument, NULL, OPT_MEMORY },
		{ "verify", no_argument, NULL, OPT_VERIFY },
		{ "on-restore-failure", required_argument, NULL, OPT_ON_FAILURE },
		{ "env", required_argument, NULL, OPT_ENV },
		{ "clock", required_argument, NULL, OPT_CLOCK },
		{ "allow-clock-jump", no_argument, NULL, OPT_CLOCK_JUMP },
		{ "trust-any-owner", no_argument, NULL, OPT_ANY_OWNER },
		{ "spin-limit", required_argument, NULL, OPT_SPIN_LIMIT },
		{ "policy", required_argument, NULL, OPT_POLICY },
		{ "close-fd", required_argument, NULL, OPT_CLOSE_FD },
		{ "cpu", required_argument, NULL, OPT_CPU },
		{ "train", required_argument, NULL, OPT_TRAIN },
		{ "require-signed-by", required_argument, NULL, THUMP_OPT_SIGNED_BY },
		THUMP_DECRYPT_OPTIONS,
		THUMP_STORE_OPTION,
		THUMP_PASSPHRASE_OPTIONS,
		THUMP_COMMON_OPTIONS,
		{ 0 },
	};
	const struct option *options = restore->spawn ? spawn_options : restore_options;
	int status;

	/* They choose the exit codes, and may come after what is wrong. */
	restore->dry_run =
		!restore->spawn && thump_option_given(argc, argv, ":hv", options, OPT_DRY_RUN);
	restore->options.detach = thump_option_given(argc, argv, ":hv", options, OPT_DETACH);
	status = thump_parse_options(&restore->common, argc, argv, ":hv", options, take_option,
				     restore);
	return status >= 0 ? status : parse_operands(restore, argc, argv);
}

/* Where no program's status is passed on, thump's own codes need no room of their own. */
static int own_status(const struct restore *restore, int code)
{
	bool plain = restore->dry_run || restore->options.detach;

	return code == THUMP_OK || plain ? code : THUMP_PASSTHROUGH_BASE + code;
}

/* ---- the pid file ------------------------------------------------------------------------- */

/* One that cannot be is a misfit like others: told with them, and by a dry run. */
static void try_pid_file(struct restore *restore, struct thump_restoring *restoring)
{
	struct thump_err err = THUMP_ERR_INIT;

	if (thump_pid_file_make(&restore->pid_file, &err) < 0)
		thump_problem_add(&restoring->problems, false, -1, "pid-file", "%s", err.text);
}

/* ---- saying it ---------------------------------------------------------------------------- */

static void say(const struct restore *restore, const struct thump_restoring *restoring,
		const struct thump_err *err)
{
	const struct thump_rebuild_report *report = &restoring->report;

	if (restore->common.json) {
		(void)thump_print_json(thump_restoring_json(restoring, err), THUMP_OK);
		return;
	}
	thump_print_problems(&restore->common, &restoring->problems);
	thump_print_error(&restore->common, err);
	if (err->code == THUMP_OK && restore->dry_run)
		printf("%s fits this machine (pids: %s)\n", restore->path,
		       thump_way_name(thump_plan_way(restoring->plan)));
	else if (err->code == THUMP_OK && restore->common.verbose)
		fprintf(stderr,
			"thump %s: running as pid %d after %.1f ms (pids: %s, memory: %s%s)\n",
			restore->common.verb, (int)report->pid_host, (double)report->total_ns / 1e6,
			thump_way_name(report->way), thump_memory_mode_name(report->memory),
			report->spare	    ? ", a spare of a template"
			: restoring->cloned ? ", of a template"
					    : "");
}

/* ---- doing it ----------------------------------------------------------------------------- */

/* Our child, which nobody else can have reaped: its pid cannot mean another process. When it is our
 * init of a pid namespace, the program ends with it (pid_namespaces(7)). */
static void end_program(struct thump_restoring *restoring)
{
	(void)kill(restoring->child, SIGKILL);
	while (waitpid(restoring->child, NULL, 0) < 0 && errno == EINTR)
		continue;
}

/* Before anything is compared with a template, or made. */
static int enter_groups(const struct restore *restore, struct thump_err *err)
{
	for (size_t i = 0; i < restore->nr_groups && !restore->dry_run; i++)
		if (thump_cgroup_enter(restore->groups[i], err) < 0)
			return thump_add_context(err, "enter the control group");
	return 0;
}

/* What is done once, however often it is tried. */
static int begin(struct restore *restore, struct thump_err *err)
{
	if (restore->policy &&
	    thump_policies_read(restore->policy, &restore->arena, &restore->rules, err) < 0)
		return -1;
	restore->options.rules = restore->rules.count ? &restore->rules : NULL;
	restore->options.assume_namespaces = !restore->dry_run;
	if (thump_supervisor_init(&restore->sup, false, err) < 0)
		return -1;
	restore->options.give_up_on = restore->sup.ending;
	return 0;
}

static int start(struct restore *restore, struct thump_restoring *restoring, struct thump_err *err)
{
	if (thump_restoring_open(restoring, &restore->options, err) < 0)
		return -1;
	try_pid_file(restore, restoring);
	if (thump_restoring_plan(restoring, &restore->options, err) < 0)
		return -1;
	if (restore->dry_run)
		return restore->options.verify ? thump_restoring_verify(restoring, err) : 0;
	if (thump_restoring_start(restoring, err) < 0)
		return -1;
	if (thump_pid_file_write(&restore->pid_file, restoring->report.pid_host, err) == 0)
		return 0;
	/* A caller that finds no pid file could never find the program again. */
	end_program(restoring);
	return -1;
}

static int supervise(struct restore *restore, struct thump_restoring *restoring)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_outcome outcome;
	int control_fd = thump_take_fd(&restoring->report.control_fd);
	/* Behind an init of ours that is the child; else a clone has no parent here. */
	const bool is_child = !restoring->cloned || control_fd >= 0;

	if (restoring->cloned)
		restore->sup.keeper_fd = thump_take_fd(&restore->source.keeper_fd);
	thump_learn_start(&restore->learn, restoring, &restore->common, &restore->sup);
	if (thump_supervise(&restore->sup, is_child ? restoring->child : 0,
			    restoring->report.pid_host, control_fd, &outcome, &err) < 0) {
		thump_print_error(&restore->common, &err);
		return own_status(restore, err.code);
	}
	if (outcome.checkpointed)
		fprintf(stderr, "thump %s: the program was checkpointed and ended on request\n",
			restore->common.verb);
	return outcome.status;
}

static void init_restoring(const struct restore *restore, struct thump_restoring *restoring)
{
	const bool cloned = restore->options.part == THUMP_PART_CLONE;

	thump_restoring_init(restoring, restore->path, cloned ? "spawn" : "restore");
	restoring->words = restore->words;
	restoring->words.times = restore->common.verbose;
	restoring->key_words = &restore->key_words;
	restoring->cloned = cloned;
	restoring->template_name = cloned ? restore->source.name : NULL;
}

/* In place of a clone: said in one line, whatever the reason. */
static void take_image(struct restore *restore, const struct thump_err *why)
{
	fprintf(stderr, "thump spawn: %s; restoring %s instead\n", why->text, restore->path);
	thump_spawn_source_deinit(&restore->source);
	restore->options.part = THUMP_PART_ALL;
	restore->options.allowed_ways = 0;
}

/* A clone spins for no pid: it may only be somebody's whom nobody else counts on. */
static int find_template(struct restore *restore, struct thump_err *err)
{
	if (thump_spawn_find(restore->path, &restore->source, err) < 0)
		return -1;
	restore->path = restore->source.path;
	if (restore->source.keeper_fd < 0) {
		take_image(restore, &restore->source.why);
		return 0;
	}
	restore->options.part = THUMP_PART_CLONE;
	restore->options.keeper_fd = restore->source.keeper_fd;
	restore->options.groups = &restore->source.groups;
	restore->options.allowed_ways =
		1u << THUMP_WAY_SET_TID | 1u << THUMP_WAY_NAMESPACE | 1u << THUMP_WAY_OTHER;
	return 0;
}

/* ---- spares: whoever takes one ------------------------------------------------------------------
 */

/* What a spare was made without cannot be asked of it. */
static bool spare_will_do(const struct restore *restore)
{
	const struct thump_rebuild_options *options = &restore->options;

	if (isatty(STDIN_FILENO) || isatty(STDOUT_FILENO) || isatty(STDERR_FILENO))
		return false;
	return restore->source.nr_spares > 0 && restore->source.groups.count == 0 &&
	       !options->keep_stdio && !options->real_clock && !options->allow_clock_jump &&
	       !options->trust_any_owner && !options->cpu_level && !restore->policy &&
	       restore->rules.count == 0;
}

/* 1: it runs; 0: none was to be had. */
static int take_spare(struct restore *restore, int *line_fd_ret, pid_t *maker_ret,
		      struct thump_err *err)
{
	struct thump_spare_said said = { 0 };
	int status;

	if (!spare_will_do(restore))
		return 0;
	if (thump_pid_file_make(&restore->pid_file, err) < 0)
		return -1;
	status = thump_spare_take(restore->source.keeper_fd, restore->argc, restore->argv,
				  line_fd_ret, maker_ret, &said, err);
	if (status == 1 && thump_pid_file_write(&restore->pid_file, said.pid, err) < 0) {
		(void)kill(said.pid, SIGKILL);
		return -1;
	}
	if (said.failed && restore->common.verbose)
		fprintf(stderr, "thump spawn: a spare failed (%s): making a clone\n",
			said.err.text);
	thump_pid_file_close(&restore->pid_file);
	return status;
}

/* Its maker speaks for it, and ends with its status. */
static int supervise_spare(struct restore *restore, int *line_fd, pid_t maker)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_outcome outcome;

	restore->sup.keeper_fd = thump_take_fd(line_fd);
	if (thump_supervise(&restore->sup, 0, maker, -1, &outcome, &err) == 0)
		return outcome.status;
	thump_print_error(&restore->common, &err);
	return own_status(restore, err.code);
}

/* ---- spares: their maker ------------------------------------------------------------------------
 */

struct spare_maker {
	struct restore *restore;
	struct thump_restoring *restoring;
	struct thump_spare_maker maker;
	struct thump_taker_words words;
	struct thump_spare_owner owner;
};

static int spare_is_ready(void *ctx, struct thump_err *err)
{
	struct spare_maker *making = ctx;

	return thump_spare_tell(&making->maker, NULL, err);
}

/* The taker has parsed the same words. */
static int parse_taker(struct spare_maker *making, struct thump_err *err)
{
	struct restore *restore = making->restore;

	optind = 0;
	environ = making->words.environ;
	restore->options.nr_ports = 0;
	if (parse(restore, making->words.argc, making->words.argv) >= 0)
		return thump_fail(err, "the options of whoever takes the spare are wrong");
	restore->pid_file.path = NULL; /* the taker writes it */
	making->restoring->words = restore->words;
	return 0;
}

static int spare_is_taken(void *ctx, struct thump_taker *taker_ret, struct thump_err *err)
{
	struct spare_maker *making = ctx;
	struct thump_restoring *restoring = making->restoring;
	struct thump_rebuild_options *options = &making->restore->options;
	struct thump_taker taker = { .ports = making->restore->ports };

	if (thump_spare_receive(&making->maker, &making->words, err) < 0 ||
	    parse_taker(making, err) < 0 ||
	    thump_parameters(
		    &restoring->arena, &thump_image_model(restoring->image)->process.runtime,
		    &restoring->words, options, &taker.parameters, &taker.nr_parameters, err) < 0)
		return -1;
	taker.nr_ports = options->nr_ports;
	memcpy(taker.stdio, making->maker.fds + THUMP_TAKING_STDIO, sizeof(taker.stdio));
	*taker_ret = taker;
	return 0;
}

/* From now on this is the taker's thump spawn. */
static int serve_taker(struct spare_maker *making, const struct thump_err *err)
{
	struct restore *restore = making->restore;
	const int line_fd = making->maker.fds[THUMP_TAKING_LINE];
	const struct thump_spare_said said = {
		.failed = err->code != THUMP_OK,
		.pid = making->restoring->report.pid_host,
		.err = *err,
	};
	struct thump_clone_end end;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		(void)dup2(making->maker.fds[THUMP_TAKING_STDIO + fd], fd);
	if (!said.failed)
		say(restore, making->restoring, err);
	(void)fflush(stdout);
	(void)send(line_fd, &said, sizeof(said), MSG_NOSIGNAL);
	if (said.failed || restore->options.detach)
		return THUMP_OK;
	for (int i = 0; i < 3; i++)
		thump_close_fd(&making->maker.fds[THUMP_TAKING_STDIO + i]);
	end.status = supervise(restore, making->restoring);
	(void)send(line_fd, &end, sizeof(end), MSG_NOSIGNAL);
	return THUMP_OK;
}

static int make_spare(struct spare_maker *making)
{
	struct restore *restore = making->restore;
	struct thump_err err = THUMP_ERR_INIT, ignored = THUMP_ERR_INIT;
	bool taken;

	init_restoring(restore, making->restoring);
	if (begin(restore, &err) == 0 && thump_spare_maker_open(&making->maker, &err) == 0)
		(void)start(restore, making->restoring, &err);
	taken = thump_spare_receive_relayed(&making->maker);
	if (taken)
		return serve_taker(making, &err);
	return thump_spare_tell(&making->maker, &err, &ignored) < 0 ? ignored.code : err.code;
}

int thump_restore_as_spare(const struct thump_template_hello *hello, int keeper_fd, int order_fd)
{
	struct restore restore = {
		.common = { .verb = "spawn", .usage = spawn_usage },
		.path = hello->path,
		.spawn = true,
		.source.keeper_fd = keeper_fd,
		.pid_file = THUMP_PID_FILE_INIT,
		.options = {
			.part = THUMP_PART_CLONE,
			.keeper_fd = keeper_fd,
			.detach = true, /* no session, group or terminal is shared with the keeper */
			.allowed_ways = 1u << THUMP_WAY_NAMESPACE | 1u << THUMP_WAY_OTHER,
		},
	};
	struct thump_restoring restoring;
	struct spare_maker making = { .restore = &restore, .restoring = &restoring };
	int status;

	making.owner =
		(struct thump_spare_owner){ &making, order_fd, spare_is_ready, spare_is_taken };
	restore.options.spare = &making.owner;
	restore.sup = (struct thump_supervise)THUMP_SUPERVISE_INIT;
	memcpy(restore.source.name, hello->name, sizeof(restore.source.name));
	thump_arena_init(&restore.arena);
	thump_spare_maker_init(&making.maker, order_fd);
	status = make_spare(&making);
	thump_close_fd(&restore.source.keeper_fd);
	thump_restoring_deinit(&restoring);
	thump_supervisor_deinit(&restore.sup);
	thump_spare_maker_deinit(&making.maker);
	thump_taker_words_free(&making.words);
	thump_arena_deinit(&restore.arena);
	return status;
}

/* ---- the verb -----------------------------------------------------------------------------------
 */

/* Tried, and, where a template fails, once more without one. */
static int start_somehow(struct restore *restore, struct thump_restoring *restoring,
			 struct thump_err *err)
{
	if (start(restore, restoring, err) == 0)
		return 0;
	if (!restoring->cloned || restoring->report.given_up_on)
		return -1;
	take_image(restore, err);
	*err = THUMP_ERR_INIT;
	thump_pid_file_close(&restore->pid_file);
	thump_restoring_deinit(restoring);
	init_restoring(restore, restoring);
	return start(restore, restoring, err);
}

static int end_verb(struct restore *restore, struct thump_restoring *restoring, int status)
{
	thump_pid_file_close(&restore->pid_file);
	thump_spawn_source_deinit(&restore->source);
	thump_restoring_deinit(restoring);
	thump_supervisor_deinit(&restore->sup);
	return status;
}

static int do_restore(struct restore *restore)
{
	struct thump_restoring restoring;
	struct thump_err err = THUMP_ERR_INIT;
	auto_close int line_fd = -1;
	pid_t maker;
	int status;

	if (enter_groups(restore, &err) == 0 && restore->spawn)
		(void)find_template(restore, &err);
	init_restoring(restore, &restoring);
	if (err.code == THUMP_OK && begin(restore, &err) == 0) {
		status = take_spare(restore, &line_fd, &maker, &err);
		if (status == 1)
			return end_verb(restore, &restoring,
					restore->options.detach
						? THUMP_OK
						: supervise_spare(restore, &line_fd, maker));
		if (status == 0)
			(void)start_somehow(restore, &restoring, &err);
	}
	say(restore, &restoring, &err);
	status = own_status(restore, err.code);
	if (restoring.report.given_up_on)
		status = 128 + restoring.report.given_up_on;
	if (err.code == THUMP_OK && !restore->dry_run && !restore->options.detach)
		status = supervise(restore, &restoring);
	return end_verb(restore, &restoring, status);
}

static int run_restore(struct restore *restore, int argc, char **argv)
{
	int status;

	restore->sup = (struct thump_supervise)THUMP_SUPERVISE_INIT;
	restore->source.keeper_fd = -1;
	restore->pid_file = (struct thump_pid_file)THUMP_PID_FILE_INIT;
	restore->argc = argc;
	restore->argv = argv;
	thump_arena_init(&restore->arena);
	status = parse(restore, argc, argv);
	status = status >= 0 ? own_status(restore, status) : do_restore(restore);
	thump_arena_deinit(&restore->arena);
	return status;
}

static int verb_restore(int argc, char **argv)
{
	struct restore restore = { .common = { .verb = "restore", .usage = usage } };

	return run_restore(&restore, argc, argv);
}

static int verb_spawn(int argc, char **argv)
{
	struct restore restore = {
		.common = { .verb = "spawn", .usage = spawn_usage },
		.spawn = true,
	};

	return run_restore(&restore, argc, argv);
}

const struct thump_verb thump_verb_restore = {
	.name = "restore",
	.summary = "make a running process of an image",
	.run = verb_restore,
};

const struct thump_verb thump_verb_spawn = {
	.name = "spawn",
	.summary = "make a running process as a clone of a template",
	.run = verb_spawn,
};
