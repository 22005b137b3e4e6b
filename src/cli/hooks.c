/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `thump hooks`: what a checkpoint does in the program, while another engine makes the dump.
 *
 * --json prints one object:
 *   "pid"       number: the process
 *   "action"    string: "before", "after" or "abort"
 *   "standing"  boolean: it stands at a safe point now
 *   "problems"  list of {"fatal", "note", "kind", "fd", "text"}: what hooks refused or threw
 *   "error"     null, or {"code", "word", "errno", "text"}
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/coord.h"
#include "cli/report.h"
#include "cli/when.h"
#include "coord/abi.h"

static const char usage[] =
	"usage: thump hooks before PID [--limit TIME]\n"
	"       thump hooks after PID [--abort]\n"
	"\n"
	"Run a program's hooks while another engine (CRIU, a container engine, a snapshot of a\n"
	"virtual machine) saves it in between.\n"
	"\n"
	"before: hooks run, and the process stands at a safe point. after: it, or a copy of it,\n"
	"goes on, and hooks run.\n"
	"\n"
	"      --limit TIME       before: when nobody has run `thump hooks after` for so long\n"
	"                         (default 5m), the process goes on by itself\n"
	"      --abort            after: nothing was saved\n"
	"      --json             print one JSON object on stdout\n"
	"  -v, --verbose          say on stderr how long it took\n"
	"  -h, --help             print this\n"
	"      --version          print thump's version\n"
	"\n"
	"Exit codes: 0 done; 1 failed; 2 usage; 3 refused. In any case the process goes on, but\n"
	"for `before` with 0.\n";

#define DEFAULT_LIMIT_NS (UINT64_C(300) * 1000000000)
#define NS_PER_MS	 UINT64_C(1000000)

enum { OPT_LIMIT = THUMP_OPT_VERB, OPT_ABORT };

struct hooks {
	struct thump_common common;
	pid_t pid;
	bool before; /* else after */
	bool abort;
	uint64_t limit_ns; /* 0: not said */
};

/* ---- options ------------------------------------------------------------------------------- */

static int parse_limit(struct hooks *hooks, const char *text)
{
	if (thump_parse_duration(text, &hooks->limit_ns) == 0 && hooks->limit_ns >= NS_PER_MS)
		return -1;
	return thump_usage_error(&hooks->common, "--limit %s: a time like 5m, 30s or 500ms", text);
}

/* -1 to go on, else the status to exit with. */
static int parse_operands(struct hooks *hooks, int argc, char **argv)
{
	const char *moment = optind < argc ? argv[optind++] : "";
	int status;

	hooks->before = strcmp(moment, "before") == 0;
	if (!hooks->before && strcmp(moment, "after") != 0)
		return thump_usage_error(&hooks->common, "before or after? One of them is missing");
	status = thump_pid_operand(&hooks->common, argc, argv, &hooks->pid);
	if (status >= 0)
		return status;
	if (hooks->before && hooks->abort)
		return thump_usage_error(&hooks->common, "--abort is for `thump hooks after`");
	if (!hooks->before && hooks->limit_ns)
		return thump_usage_error(&hooks->common, "--limit is for `thump hooks before`");
	return -1;
}

static int take_option(void *ctx, int opt)
{
	struct hooks *hooks = ctx;

	switch (opt) {
	case OPT_LIMIT:
		return parse_limit(hooks, optarg);
	case OPT_ABORT:
		hooks->abort = true;
		return -1;
	default:
		return thump_common_option(&hooks->common, opt);
	}
}

static int parse(struct hooks *hooks, int argc, char **argv)
{
	static const struct option options[] = {
		{ "limit", required_argument, NULL, OPT_LIMIT },
		{ "abort", no_argument, NULL, OPT_ABORT },
		THUMP_COMMON_OPTIONS,
		{ 0 },
	};
	int status =
		thump_parse_options(&hooks->common, argc, argv, ":hv", options, take_option, hooks);

	return status < 0 ? parse_operands(hooks, argc, argv) : status;
}

/* ---- doing --------------------------------------------------------------------------------- */

static int ask(const struct hooks *hooks, struct thump_problems *problems, struct thump_err *err)
{
	uint64_t limit_ns = hooks->limit_ns ? hooks->limit_ns : DEFAULT_LIMIT_NS;
	char question[64];

	if (hooks->before)
		(void)snprintf(question, sizeof(question), THUMP_COORD_ASK_BEFORE "%llu\n",
			       (unsigned long long)(limit_ns / NS_PER_MS));
	else
		(void)snprintf(question, sizeof(question), "%s\n",
			       hooks->abort ? THUMP_COORD_ASK_ABORT : THUMP_COORD_ASK_AFTER);
	return thump_coord_hooks(hooks->pid, question, problems, err);
}

static int print_json(const struct hooks *hooks, const struct thump_problems *problems,
		      const struct thump_err *err)
{
	const char *after = hooks->abort ? "abort" : "after";

	return thump_print_json(json_pack("{s:i, s:s, s:b, s:o, s:o}", "pid", (int)hooks->pid,
					  "action", hooks->before ? "before" : after, "standing",
					  hooks->before && err->code == THUMP_OK, "problems",
					  thump_json_problems(problems), "error",
					  thump_json_error(err)),
				err->code);
}

static void print_text(const struct hooks *hooks, const struct thump_problems *problems,
		       const struct thump_err *err)
{
	for (size_t i = 0; i < problems->count; i++)
		fprintf(stderr, "thump hooks: %s: %s\n",
			err->code == THUMP_REFUSED ? "refused" : "failed", problems->list[i].text);
	if (problems->count == 0)
		thump_print_error(&hooks->common, err);
	if (err->code == THUMP_OK && hooks->before)
		printf("process %d stands at a safe point\n", (int)hooks->pid);
	else if (err->code == THUMP_OK)
		printf("process %d goes on\n", (int)hooks->pid);
}

static int run(int argc, char **argv)
{
	struct hooks hooks = { .common = { .verb = "hooks", .usage = usage } };
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_problems problems;
	uint64_t start_ns;
	int status = parse(&hooks, argc, argv);

	if (status >= 0)
		return status;
	thump_problems_init(&problems);
	start_ns = thump_now_ns();
	status = ask(&hooks, &problems, &err) < 0 ? err.code : THUMP_OK;
	if (hooks.common.verbose)
		fprintf(stderr, "thump hooks: it took %.1f ms\n",
			(double)(thump_now_ns() - start_ns) / 1e6);
	if (hooks.common.json)
		status = print_json(&hooks, &problems, &err);
	else
		print_text(&hooks, &problems, &err);
	thump_problems_deinit(&problems);
	return status;
}

const struct thump_verb thump_verb_hooks = {
	.name = "hooks",
	.summary = "run a program's hooks around a dump by another engine",
	.run = run,
};
