/* SPDX-License-Identifier: Apache-2.0 */
#include <libgen.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "cli/cli.h"
#include "cli/keeper.h"
#include "cli/report.h"
#include "cli/restoring.h"
#include "cli/running.h"
#include "cli/spares.h"

static const char usage[] =
	"usage: thump template start FILE [OPTION...]\n"
	"       thump template stop NAME\n"
	"       thump template list\n"
	"\n"
	"Keep a process that was rebuilt from the image FILE, but never runs: `thump spawn` makes\n"
	"running clones of it in less time than a restore takes. It ends when it is stopped, and\n"
	"when FILE changes or is removed; its clones run on.\n"
	"\n"
	"      --name NAME          call it NAME (default: the name of FILE)\n"
	"      --count N            start N templates that share the clones (default 1)\n"
	"      --foreground         do not go into the background\n"
	"      --spares K           keep K clones that only have to be let go: `thump spawn` "
	"takes\n"
	"                           one of them, and another one is made\n"
	"      --memory MODE        auto (default), eager, or lazy-unsafe, as of thump restore\n"
	"      --verify             check all memory, again if need be\n"
	"      --trust-any-owner    use an image that somebody else may have written\n"
	"      --json               print one JSON object on stdout\n"
	"  -v, --verbose            say more on stderr\n"
	"  -h, --help               print this\n"
	"      --version            print thump's version\n"
	"\n"
	"Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 image damaged.\n";

enum {
	OPT_NAME = THUMP_OPT_VERB,
	OPT_COUNT,
	OPT_FOREGROUND,
	OPT_SPARES,
	OPT_MEMORY,
	OPT_VERIFY,
	OPT_ANY_OWNER,
};

struct template
{
	struct thump_common common;
	const char *action, *operand;
	const char *name;
	char *own_name;	   /* made of FILE's */
	const char *group; /* the first one's */
	uint32_t count;
	bool foreground;
	unsigned nr_spares;
	struct thump_rebuild_options options;
	json_t *problems; /* warnings of the start among them */
};

/* ---- options --------------------------------------------------------------------------------- */

static int parse_spares(struct template *template, const char *text)
{
	uint64_t count;

	if (thump_parse_number(text, THUMP_MAX_SPARES, &count) < 0)
		return thump_usage_error(&template->common,
					 "--spares takes a number from 0 to %d, not %s",
					 THUMP_MAX_SPARES, text);
	template->nr_spares = (unsigned)count;
	template->options.with_spares = count > 0;
	return -1;
}

static int parse_count(struct template *template, const char *text)
{
	uint64_t count;

	if (thump_parse_number(text, THUMP_TEMPLATE_COUNT_MAX, &count) < 0 || count == 0)
		return thump_usage_error(&template->common,
					 "--count takes a number from 1 to %d, not %s",
					 THUMP_TEMPLATE_COUNT_MAX, text);
	template->count = (uint32_t)count;
	return -1;
}

static int take_option(void *ctx, int opt)
{
	struct template *template = ctx;

	switch (opt) {
	case OPT_NAME:
		template->name = optarg;
		return -1;
	case OPT_COUNT:
		return parse_count(template, optarg);
	case OPT_FOREGROUND:
		template->foreground = true;
		return -1;
	case OPT_SPARES:
		return parse_spares(template, optarg);
	case OPT_MEMORY:
		return thump_memory_option(&template->common, optarg, &template->options.memory);
	case OPT_VERIFY:
		template->options.verify = true;
		return -1;
	case OPT_ANY_OWNER:
		template->options.trust_any_owner = true;
		return -1;
	default:
		return thump_common_option(&template->common, opt);
	}
}

static int choose_name(struct template *template)
{
	if (!template->name) {
		template->own_name = strdup(template->operand);
		if (!template->own_name)
			return THUMP_FAILED;
		template->name = basename(template->own_name);
	}
	template->group = template->name;
	/* The others have ".NN" behind it. */
	if (thump_template_name_fits(template->name) &&
	    (template->count == 1 || strlen(template->name) <= THUMP_TEMPLATE_NAME_MAX - 3))
		return -1;
	return thump_usage_error(&template->common,
				 "a name has at most %d letters, digits and ._-+, a letter or "
				 "digit first, not %s: give one with --name",
				 THUMP_TEMPLATE_NAME_MAX, template->name);
}

static int parse_operands(struct template *template, int argc, char **argv)
{
	const bool is_list = optind < argc && strcmp(argv[optind], "list") == 0;
	const bool is_start = optind < argc && strcmp(argv[optind], "start") == 0;

	if (optind == argc || (!is_list && !is_start && strcmp(argv[optind], "stop") != 0))
		return thump_usage_error(&template->common, "start, stop or list is expected");
	template->action = argv[optind];
	if (optind + (is_list ? 1 : 2) != argc)
		return thump_usage_error(&template->common, "%s takes %s", template->action,
					 is_list    ? "no operand"
					 : is_start ? "exactly one FILE"
						    : "exactly one NAME");
	template->operand = argv[optind + !is_list];
	if (template->count > 1 && template->foreground)
		return thump_usage_error(&template->common,
					 "--foreground keeps one template, not --count");
	return is_start ? choose_name(template) : -1;
}

static int parse(struct template *template, int argc, char **argv)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, OPT_NAME },
		{ "count", required_argument, NULL, OPT_COUNT },
		{ "foreground", no_argument, NULL, OPT_FOREGROUND },
		{ "spares", required_argument, NULL, OPT_SPARES },
		{ "memory", required_argument, NULL, OPT_MEMORY },
		{ "verify", no_argument, NULL, OPT_VERIFY },
		{ "trust-any-owner", no_argument, NULL, OPT_ANY_OWNER },
		THUMP_COMMON_OPTIONS,
		{ 0 },
	};
	int status = thump_parse_options(&template->common, argc, argv, ":hv", options, take_option,
					 template);

	return status >= 0 ? status : parse_operands(template, argc, argv);
}

/* ---- start ----------------------------------------------------------------------------------- */

static int describe(const struct template *template, struct thump_keeper *keeper,
		    const struct thump_restoring *restoring, struct thump_err *err)
{
	struct thump_template_hello *hello = &keeper->hello;
	struct stat st;

	if (!realpath(restoring->path, hello->path))
		return thump_fail_errno(err, "find the path of %s", restoring->path);
	if (fstat(thump_image_fd(restoring->image), &st) < 0)
		return thump_fail_errno(err, "fstat %s", restoring->path);
	hello->image = thump_file_state_of(&st);
	hello->started_ns = thump_clock_ns(CLOCK_REALTIME);
	hello->keeper_pid = getpid();
	(void)snprintf(hello->group, sizeof(hello->group), "%s", template->group);
	hello->group_size = template->count;
	return 0;
}

static int make_template(struct template *template, struct thump_keeper *keeper,
			 struct thump_err *err)
{
	struct thump_restoring restoring;
	int result = -1;

	thump_restoring_init(&restoring, template->operand, "template");
	template->options.part = THUMP_PART_TEMPLATE;
	/* Before limits are raised. */
	if (thump_kin_of_us(&keeper->hello.kin, err) == 0 &&
	    thump_restoring_prepare(&restoring, &template->options, err) == 0 &&
	    describe(template, keeper, &restoring, err) == 0 &&
	    thump_keeper_listen(keeper, err) == 0)
		result = thump_template_start(restoring.plan, &keeper->control_fd,
					      &keeper->hello.template_pid, err);
	if (result == 0)
		thump_running_note(keeper->hello.template_pid, restoring.how, keeper->name,
				   keeper->hello.path, &keeper->record);
	if (result == 0 && template->nr_spares > 0)
		result = thump_spares_create(template->nr_spares, &keeper->spares, err);
	if (template->common.json) {
		json_decref(template->problems);
		template->problems = thump_json_problems(&restoring.problems);
	} else {
		thump_print_problems(&template->common, &restoring.problems);
	}
	thump_restoring_deinit(&restoring);
	return result;
}

/* The caller's terminal, pipes and directory are not kept from it. */
static void leave_caller(void)
{
	auto_close int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = STDIN_FILENO; null_fd >= 0 && fd <= STDERR_FILENO; fd++)
		(void)dup2(null_fd, fd);
	(void)!chdir("/");
}

static int say_started(const struct template *template, const struct thump_keeper *keeper)
{
	if (template->common.json)
		return thump_print_json(json_pack("{s:s, s:o, s:i, s:i, s:O, s:n}", "name",
						  template->name, "image",
						  thump_json_text(keeper->hello.path), "pid",
						  (int)keeper->hello.template_pid, "keeper",
						  (int)keeper->hello.keeper_pid, "problems",
						  template->problems, "error"),
					THUMP_OK);
	if (template->common.verbose)
		fprintf(stderr, "thump template: %s is ready as pid %d\n", template->name,
			(int)keeper->hello.template_pid);
	return THUMP_OK;
}

static int fail(struct template *template, const struct thump_err *err)
{
	if (template->common.json)
		return thump_print_json(json_pack("{s:s?, s:O, s:o}", "name", template->name,
						  "problems", template->problems, "error",
						  thump_json_error(err)),
					err->code);
	thump_print_error(&template->common, err);
	return err->code;
}

/* ready_fd is closed when others may rely on it; -1: nobody waits. */
static int keep(struct template *template, int *ready_fd)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_keeper keeper;
	int status;

	thump_keeper_init(&keeper, template->name);
	if (make_template(template, &keeper, &err) < 0) {
		status = fail(template, &err);
		thump_keeper_deinit(&keeper);
		return status;
	}
	status = say_started(template, &keeper);
	if (!template->foreground) {
		leave_caller();
		(void)!write(*ready_fd, "r", 1);
		thump_close_fd(ready_fd);
	}
	if (status == THUMP_OK && thump_keeper_serve(&keeper, &err) < 0)
		status = fail(template, &err);
	thump_keeper_deinit(&keeper);
	return status;
}

/* What was opened by whoever started us is not ours to keep open. */
static void forget_inherited(int *ready_fd)
{
	const int low = dup3(*ready_fd, STDERR_FILENO + 1, O_CLOEXEC);

	if (low >= 0)
		*ready_fd = low;
	if (*ready_fd == STDERR_FILENO + 1)
		(void)close_range(STDERR_FILENO + 2, ~0U, 0);
}

static int keep_in_background(struct template *template)
{
	int ends[2], status;
	char ready;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		perror("thump template: pipe");
		return THUMP_FAILED;
	}
	pid = fork();
	if (pid < 0) {
		perror("thump template: fork");
		return THUMP_FAILED;
	}
	if (pid == 0) {
		thump_close_fd(&ends[0]);
		if (ends[1] != STDERR_FILENO + 1)
			forget_inherited(&ends[1]);
		(void)setsid();
		exit(keep(template, &ends[1]));
	}
	thump_close_fd(&ends[1]);
	if (thump_read_full(ends[0], &ready, sizeof(ready)) == 0)
		return THUMP_OK;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return THUMP_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : THUMP_FAILED;
}

/* ---- stop ------------------------------------------------------------------------------------ */

static int stop_one(const char *name, struct thump_err *err, struct thump_template_hello *hello)
{
	const struct thump_template_ask ask = { .what = THUMP_TEMPLATE_STOP };
	struct thump_clone_reply reply;
	auto_close int fd = -1;

	if (thump_template_connect(name, &fd, hello, err) < 0)
		return -1;
	if (send(fd, &ask, sizeof(ask), MSG_NOSIGNAL) < 0 ||
	    recv(fd, &reply, sizeof(reply), 0) != (ssize_t)sizeof(reply))
		return thump_fail_errno(err, "stop template %s", name);
	return 0;
}

/* The others of a group, if `name` is that of its first one, which may have ended. */
static int stop_others(const char *name, struct thump_err *err)
{
	int stopped = 0;

	for (unsigned number = 2; number <= THUMP_TEMPLATE_COUNT_MAX; number++) {
		struct thump_err absent = THUMP_ERR_INIT;
		struct thump_template_hello hello;
		char member[THUMP_TEMPLATE_NAME_MAX + 1];
		auto_close int fd = -1;

		thump_template_member(name, number, member);
		if (thump_template_connect(member, &fd, &hello, &absent) < 0 ||
		    strcmp(hello.group, name) != 0)
			continue;
		if (stop_one(member, err, &hello) < 0)
			return -1;
		stopped++;
	}
	return stopped;
}

static int stop(struct template *template)
{
	struct thump_err err = THUMP_ERR_INIT, of_others = THUMP_ERR_INIT;
	struct thump_template_hello hello;
	int others;

	if (!thump_template_name_fits(template->operand)) {
		(void)thump_fail(&err, "there is no template %s", template->operand);
		return fail(template, &err);
	}
	(void)!stop_one(template->operand, &err, &hello);
	others = stop_others(template->operand, &of_others);
	if (others < 0)
		return fail(template, &of_others);
	if (err.code && others == 0)
		return fail(template, &err);
	if (!template->common.json)
		return THUMP_OK;
	return thump_print_json(json_pack("{s:s, s:I, s:n}", "name", template->operand, "stopped",
					  (json_int_t)others + (err.code == THUMP_OK), "error"),
				THUMP_OK);
}

/* ---- list ------------------------------------------------------------------------------------ */

/* What a spare has of its own, in KiB; 0 where it has ended meanwhile. */
static uint64_t private_kb(int32_t pid)
{
	auto_free char *text = NULL;
	uint64_t sum = 0;
	char path[48];

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	if (thump_slurp(AT_FDCWD, path, &text, NULL) < 0)
		return 0;
	for (const char *at = text; (at = strstr(at, "\nPrivate_")); at++)
		sum += strtoull(at + strcspn(at, "0123456789"), NULL, 10);
	return sum;
}

static uint64_t spares_kb(const struct thump_template_hello *hello)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < hello->nr_spares && i < THUMP_MAX_SPARES; i++)
		sum += private_kb(hello->spares[i]);
	return sum;
}

static json_t *template_json(const char *name, const struct thump_template_hello *hello)
{
	json_t *pids = json_array();

	for (uint32_t i = 0; i < hello->nr_spares && i < THUMP_MAX_SPARES; i++)
		json_array_append_new(pids, json_integer(hello->spares[i]));
	return json_pack("{s:s, s:o, s:i, s:i, s:I, s:f, s:o, s:I, s:I, s:o}", "name", name,
			 "image", thump_json_text(hello->path), "pid", (int)hello->template_pid,
			 "keeper", (int)hello->keeper_pid, "clones", (json_int_t)hello->nr_clones,
			 "since", (double)hello->started_ns / 1e9, "spares", pids, "wanted_spares",
			 (json_int_t)hello->wanted_spares, "spares_kb",
			 (json_int_t)spares_kb(hello), "spare_trouble",
			 hello->spare_trouble[0] ? thump_json_text(hello->spare_trouble)
						 : json_null());
}

static void print_template(const char *name, const struct thump_template_hello *hello)
{
	char since[THUMP_TIME_SIZE], spares[24];

	thump_format_time(hello->started_ns, since);
	(void)snprintf(spares, sizeof(spares), "%u/%u", hello->nr_spares, hello->wanted_spares);
	printf("%-20s %7d %7llu %7s %6.1fM  %s  ", name, (int)hello->template_pid,
	       (unsigned long long)hello->nr_clones, spares, (double)spares_kb(hello) / 1024,
	       since);
	thump_put_text(hello->path);
	putchar('\n');
	if (hello->spare_trouble[0])
		printf("%-20s no more spares: %s\n", "", hello->spare_trouble);
}

/* Those that do not answer are left out: their keepers were killed. */
static int list(struct template *template)
{
	json_t *array = json_array();
	struct thump_err err = THUMP_ERR_INIT;
	char **names;

	if (thump_template_names(&names, &err) < 0) {
		json_decref(array);
		return fail(template, &err);
	}
	if (!template->common.json)
		printf("%-20s %7s %7s %7s %7s  %-19s  %s\n", "NAME", "PID", "CLONES", "SPARES",
		       "MEMORY", "SINCE", "IMAGE");
	for (size_t i = 0; names[i]; i++) {
		struct thump_template_hello hello;
		struct thump_err ignored = THUMP_ERR_INIT;
		auto_close int fd = -1;

		if (thump_template_connect(names[i], &fd, &hello, &ignored) < 0)
			continue;
		if (template->common.json)
			json_array_append_new(array, template_json(names[i], &hello));
		else
			print_template(names[i], &hello);
	}
	thump_template_names_free(names);
	if (template->common.json)
		return thump_print_json(json_pack("{s:o}", "templates", array), THUMP_OK);
	json_decref(array);
	return thump_end_of_output(THUMP_OK);
}

/* ---- several -----------------------------------------------------------------------------------
 */

/* What a caller of --count is told, once all are there. */
static int say_group(const struct template *template)
{
	json_t *array = json_array();

	for (unsigned number = 1; template->common.json && number <= template->count; number++) {
		struct thump_err ignored = THUMP_ERR_INIT;
		struct thump_template_hello hello;
		char name[THUMP_TEMPLATE_NAME_MAX + 1];
		auto_close int fd = -1;

		thump_template_member(template->group, number, name);
		if (thump_template_connect(name, &fd, &hello, &ignored) == 0)
			json_array_append_new(array, template_json(name, &hello));
	}
	if (template->common.json)
		return thump_print_json(json_pack("{s:o, s:n}", "templates", array, "error"),
					THUMP_OK);
	json_decref(array);
	return THUMP_OK;
}

static int group_fails(struct template *template, int status)
{
	struct thump_err err = THUMP_ERR_INIT;

	if (!template->common.json)
		return status;
	thump_err_set(&err, status, 0, "not all of %s could be started: see standard error",
		      template->group);
	return fail(template, &err);
}

/* All or none; what is in the way of one is said by it, for people. */
static int start_group(struct template *template)
{
	struct template one = *template;
	struct thump_err ignored = THUMP_ERR_INIT;
	struct thump_template_hello hello;
	char name[THUMP_TEMPLATE_NAME_MAX + 1];

	one.common.json = false;
	one.name = name;
	for (unsigned number = 1; number <= template->count; number++) {
		int status;

		thump_template_member(template->group, number, name);
		status = keep_in_background(&one);
		if (status == THUMP_OK)
			continue;
		while (--number > 0) {
			thump_template_member(template->group, number, name);
			(void)!stop_one(name, &ignored, &hello);
		}
		return group_fails(template, status);
	}
	return say_group(template);
}

/* ---- the verb -------------------------------------------------------------------------------- */

static int do_template(struct template *template)
{
	int nobody = -1;

	if (strcmp(template->action, "list") == 0)
		return list(template);
	if (strcmp(template->action, "stop") == 0)
		return stop(template);
	if (template->count > 1)
		return start_group(template);
	return template->foreground ? keep(template, &nobody) : keep_in_background(template);
}

static int verb_template(int argc, char **argv)
{
	struct template template = {
		.common = { .verb = "template", .usage = usage },
		.count = 1,
	};
	int status = parse(&template, argc, argv);

	template.problems = json_array();
	if (status < 0)
		status = do_template(&template);
	json_decref(template.problems);
	free(template.own_name);
	return status;
}

const struct thump_verb thump_verb_template = {
	.name = "template",
	.summary = "keep a process of an image, to be cloned",
	.run = verb_template,
};
