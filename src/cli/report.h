/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all verbs share on the way out: options that every verb knows, errors and problems for
 * people on stderr, one JSON object for programs on stdout.
 */
#ifndef THUMP_CLI_REPORT_H
#define THUMP_CLI_REPORT_H

#include <getopt.h>
#include <jansson.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/problems.h"

/* Every verb's long options end with THUMP_COMMON_OPTIONS and { 0 }; its short ones are "hv" and
 * more. Values of a verb's own long options start at THUMP_OPT_VERB. */
enum {
	THUMP_OPT_JSON = 1000,
	THUMP_OPT_VERSION,
	THUMP_OPT_VERB = 2000,
};
/* clang-format off */
#define THUMP_COMMON_OPTIONS                                                                       \
	{ "json", no_argument, NULL, THUMP_OPT_JSON },                                             \
	{ "verbose", no_argument, NULL, 'v' },                                                     \
	{ "help", no_argument, NULL, 'h' },                                                        \
	{ "version", no_argument, NULL, THUMP_OPT_VERSION }
/* clang-format on */

struct thump_common {
	const char *verb;
	const char *usage; /* the whole --help text */
	bool json;
	unsigned verbose;
};

/* What a verb does with one of its options: -1 to go on, else the status to exit with. */
typedef int (*thump_take_option_fn)(void *ctx, int opt);

/*
 * Hands every option to `take`, up to the first for which it returns a status; then returns that,
 * else -1 with optind at the operands. What is wrong with the options themselves is said here.
 */
int thump_parse_options(struct thump_common *common, int argc, char **argv,
			const char *short_options, const struct option *options,
			thump_take_option_fn take, void *ctx);

/* Whether an option is given anywhere, for what must be known before the first one is found wrong.
 */
bool thump_option_given(int argc, char **argv, const char *short_options,
			const struct option *options, int wanted);

/* Takes an option that the verb itself does not know (a thump_take_option_fn): --help and --version
 * are served here. `common` is a struct thump_common. */
int thump_common_option(void *common, int opt);

/* "thump VERB: ..." and a hint at --help on stderr, with --json an object with "error", too;
 * returns THUMP_USAGE. */
int thump_usage_error(const struct thump_common *common, const char *fmt, ...) THUMP_PRINTF(2, 3);

/* A whole non-negative decimal number up to max. */
THUMP_MUST_CHECK int thump_parse_number(const char *text, uint64_t max, uint64_t *value_ret);

/* The operand at optind, the last one: the PID of a process. -1 to go on, else the status to exit
 * with. */
int thump_pid_operand(const struct thump_common *common, int argc, char **argv, pid_t *pid_ret);

/* --mode, the permissions of an image. -1 to go on, else the status to exit with. */
int thump_mode_option(const struct thump_common *common, const char *text, mode_t *mode_ret);

/* "thump VERB: text" on stderr; does nothing for an empty error. */
void thump_print_error(const struct thump_common *common, const struct thump_err *err);
/* Each problem on a line of its own on stderr: "thump VERB: refused: ...", "... warning:
 * ..." or "... note: ..." */
void thump_print_problems(const struct thump_common *common, const struct thump_problems *problems);

/* A JSON string of any bytes (paths need not be UTF-8): what is not UTF-8 becomes U+FFFD. */
json_t *thump_json_text(const char *text);
/* [{"fatal": true, "note": false, "kind": "...", "fd": 7 or null, "text": "..."}, ...] */
json_t *thump_json_problems(const struct thump_problems *problems);
/* {"code": 3, "word": "refused", "errno": 0, "text": "..."}, or null when nothing failed */
json_t *thump_json_error(const struct thump_err *err);
/* Prints one object and a newline on stdout and drops the reference. Returns status, or
 * THUMP_FAILED when stdout could not be written. */
int thump_print_json(json_t *object, int status);

/* For what only prints: `status`, or THUMP_FAILED, said on stderr, when stdout has not got all. */
int thump_end_of_output(int status);

/* Any text on stdout, for people: control characters, which terminals obey, become \xNN. NULL is
 * "".
 */
void thump_put_text(const char *text);

#define THUMP_TIME_SIZE 32
/* CLOCK_REALTIME as local time, for people. */
void thump_format_time(uint64_t real_ns, char text[THUMP_TIME_SIZE]);

/* ---- progress --------------------------------------------------------------------------- */

/*
 * A bar on stderr, shown only on a terminal and only for what takes over a second. `ctx` of
 * thump_progress_show (a thump_progress_fn) is a struct thump_progress.
 */
struct thump_progress {
	const char *what; /* "checkpoint" */
	uint64_t start_ns, shown_ns;
	bool enabled, visible;
};

void thump_progress_init(struct thump_progress *progress, const char *what);
void thump_progress_show(void *ctx, uint64_t done_bytes, uint64_t total_bytes);
void thump_progress_clear(struct thump_progress *progress); /* before anything else is printed */

#endif
