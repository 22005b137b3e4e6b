/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/report.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "version.h"

int thump_common_option(void *ctx, int opt)
{
	struct thump_common *common = ctx;

	switch (opt) {
	case THUMP_OPT_JSON:
		common->json = true;
		return -1;
	case 'v':
		common->verbose++;
		return -1;
	case 'h':
		(void)fputs(common->usage, stdout);
		return THUMP_OK;
	default: /* THUMP_OPT_VERSION */
		printf("thump %s\n", THUMP_VERSION);
		return THUMP_OK;
	}
}

bool thump_option_given(int argc, char **argv, const char *short_options,
			const struct option *options, int wanted)
{
	bool given = false;
	int opt;

	opterr = 0; /* messages are ours, and come later */
	optind = 0; /* begin anew; getopt(3), NOTES */
	while ((opt = getopt_long(argc, argv, short_options, options, NULL)) != -1)
		given = given || opt == wanted;
	optind = 0;
	return given;
}

/* After getopt_long(3) has returned '?', or ':' for an argument that is missing. */
static int wrong_option(const struct thump_common *common, char **argv, const char *short_options,
			int opt)
{
	const char *word = argv[optind - 1];

	if (opt == ':')
		return thump_usage_error(common, "%s needs an argument", word);
	if (!optopt)
		return thump_usage_error(common, "there is no option %s", word);
	if (optopt > UINT8_MAX || strchr(short_options, optopt)) /* known, so the '=' is wrong */
		return thump_usage_error(common, "%s: this option takes no argument", word);
	return thump_usage_error(common, "there is no option -%c", optopt);
}

int thump_parse_options(struct thump_common *common, int argc, char **argv,
			const char *short_options, const struct option *options,
			thump_take_option_fn take, void *ctx)
{
	int opt, status = -1;

	/* Who reads JSON gets it, too, for what is wrong before --json. */
	common->json = thump_option_given(argc, argv, short_options, options, THUMP_OPT_JSON);
	while (status < 0 && (opt = getopt_long(argc, argv, short_options, options, NULL)) != -1)
		status = opt == '?' || opt == ':' ? wrong_option(common, argv, short_options, opt)
						  : take(ctx, opt);
	return status;
}

int thump_usage_error(const struct thump_common *common, const char *fmt, ...)
{
	struct thump_err err = { .code = THUMP_USAGE };
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(err.text, sizeof(err.text), fmt, args);
	va_end(args);
	thump_print_error(common, &err);
	fprintf(stderr, "Try `thump %s --help`.\n", common->verb);
	if (common->json)
		return thump_print_json(json_pack("{s:o}", "error", thump_json_error(&err)),
					THUMP_USAGE);
	return THUMP_USAGE;
}

int thump_parse_number(const char *text, uint64_t max, uint64_t *value_ret)
{
	unsigned long long value;
	char *end;

	if (*text < '0' || *text > '9') /* strtoull takes signs and spaces */
		return -1;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0' || value > max)
		return -1;
	*value_ret = value;
	return 0;
}

int thump_pid_operand(const struct thump_common *common, int argc, char **argv, pid_t *pid_ret)
{
	uint64_t pid;

	if (optind == argc)
		return thump_usage_error(common, "which process? A PID is missing");
	if (optind + 1 != argc)
		return thump_usage_error(common, "one process at a time: what is %s?",
					 argv[optind + 1]);
	if (thump_parse_number(argv[optind], INT32_MAX, &pid) < 0 || pid == 0)
		return thump_usage_error(common, "%s is no process id", argv[optind]);
	*pid_ret = (pid_t)pid;
	return -1;
}

int thump_mode_option(const struct thump_common *common, const char *text, mode_t *mode_ret)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (*text < '0' || *text > '7' || *end || mode > 0777)
		return thump_usage_error(common, "%s is no octal mode", text);
	if (mode & 0222 || !(mode & 0400))
		return thump_usage_error(common,
					 "--mode %s: an image is readable by its owner and "
					 "writable by nobody",
					 text);
	*mode_ret = (mode_t)mode;
	return -1;
}

static const char *code_word(int code)
{
	switch ((enum thump_code)code) {
	case THUMP_OK:
		return "ok";
	case THUMP_FAILED:
		return "failed";
	case THUMP_USAGE:
		return "usage";
	case THUMP_REFUSED:
		return "refused";
	case THUMP_DAMAGED:
		return "damaged";
	}
	return "failed";
}

void thump_print_error(const struct thump_common *common, const struct thump_err *err)
{
	if (err->code != THUMP_OK)
		fprintf(stderr, "thump %s: %s\n", common->verb, err->text);
}

static const char *problem_word(const struct thump_problem *problem)
{
	if (!problem->warning)
		return "refused";
	return problem->note ? "note" : "warning";
}

void thump_print_problems(const struct thump_common *common, const struct thump_problems *problems)
{
	for (size_t i = 0; i < problems->count; i++)
		fprintf(stderr, "thump %s: %s: %s\n", common->verb,
			problem_word(&problems->list[i]), problems->list[i].text);
}

/* Length of the well-formed UTF-8 sequence at `at`, 0 when there is none (RFC 3629). */
static size_t utf8_len(const unsigned char *at)
{
	size_t len = *at < 0x80 ? 1 : *at >= 0xf0 ? 4 : *at >= 0xe0 ? 3 : 2;

	if ((*at >= 0x80 && *at < 0xc2) || *at > 0xf4)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) ||
	    (*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f))
		return 0;
	return len;
}

json_t *thump_json_text(const char *text)
{
	size_t size = strlen(text), used = 0;
	char *clean = malloc(3 * size + 1);
	json_t *string;

	if (!clean)
		return NULL;
	for (size_t i = 0; i < size;) {
		size_t len = utf8_len((const unsigned char *)text + i);

		memcpy(clean + used, len ? text + i : "\xef\xbf\xbd", len ? len : 3);
		used += len ? len : 3;
		i += len ? len : 1;
	}
	string = json_stringn(clean, used);
	free(clean);
	return string;
}

json_t *thump_json_problems(const struct thump_problems *problems)
{
	json_t *list = json_array();

	for (size_t i = 0; i < problems->count; i++) {
		const struct thump_problem *problem = &problems->list[i];
		json_t *fd = problem->fd >= 0 ? json_integer(problem->fd) : json_null();

		json_array_append_new(list, json_pack("{s:b, s:b, s:s, s:o, s:o}", "fatal",
						      !problem->warning, "note", problem->note,
						      "kind", problem->kind, "fd", fd, "text",
						      thump_json_text(problem->text)));
	}
	return list;
}

json_t *thump_json_error(const struct thump_err *err)
{
	if (err->code == THUMP_OK)
		return json_null();
	return json_pack("{s:i, s:s, s:i, s:o}", "code", err->code, "word", code_word(err->code),
			 "errno", err->sys_errno, "text", thump_json_text(err->text));
}

/*
 * With one call: the program that runs by now may write to the same pipe, and what goes there at
 * once stays together.
 */
static int write_json(const json_t *object)
{
	const size_t size = json_dumpb(object, NULL, 0, JSON_INDENT(2));
	auto_free char *text = size ? malloc(size + 1) : NULL;

	if (!text || json_dumpb(object, text, size, JSON_INDENT(2)) != size)
		return -1;
	text[size] = '\n';
	return fflush(stdout) == 0 ? thump_write_full(STDOUT_FILENO, text, size + 1) : -1;
}

int thump_print_json(json_t *object, int status)
{
	const int result = object ? write_json(object) : -1;

	json_decref(object);
	if (result < 0) {
		fprintf(stderr, "thump: the JSON object could not be written to stdout\n");
		return THUMP_FAILED;
	}
	return status;
}

int thump_end_of_output(int status)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "thump: stdout could not be written%s%s\n", errno ? ": " : "",
		errno ? strerrordesc_np(errno) : "");
	return THUMP_FAILED;
}

void thump_format_time(uint64_t real_ns, char text[THUMP_TIME_SIZE])
{
	const time_t seconds = (time_t)(real_ns / THUMP_NS_PER_S);
	struct tm parts;

	if (!localtime_r(&seconds, &parts) ||
	    strftime(text, THUMP_TIME_SIZE, "%Y-%m-%d %H:%M:%S", &parts) == 0)
		(void)snprintf(text, THUMP_TIME_SIZE, "-");
}

void thump_put_text(const char *text)
{
	for (const char *at = text ? text : ""; *at; at++) {
		if (iscntrl((unsigned char)*at))
			printf("\\x%02x", (unsigned char)*at);
		else
			putchar(*at);
	}
}

/* ---- progress --------------------------------------------------------------------------- */

#define SHOW_AFTER_NS THUMP_NS_PER_S
#define SHOW_EVERY_NS (THUMP_NS_PER_S / 10)
#define BAR_WIDTH     30

void thump_progress_init(struct thump_progress *progress, const char *what)
{
	*progress = (struct thump_progress){
		.what = what,
		.start_ns = thump_now_ns(),
		.enabled = isatty(STDERR_FILENO),
	};
}

void thump_progress_show(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
	static const char full[] = "##############################";
	struct thump_progress *progress = ctx;
	uint64_t now = thump_now_ns();
	double part = total_bytes ? (double)done_bytes / (double)total_bytes : 1.0;

	if (!progress->enabled || now - progress->start_ns < SHOW_AFTER_NS ||
	    now - progress->shown_ns < SHOW_EVERY_NS)
		return;
	progress->shown_ns = now;
	progress->visible = true;
	fprintf(stderr, "\r%s [%-*.*s] %3d%% of %llu MB", progress->what, BAR_WIDTH,
		(int)(part * BAR_WIDTH), full, (int)(part * 100),
		(unsigned long long)(total_bytes / 1000000));
}

void thump_progress_clear(struct thump_progress *progress)
{
	if (progress->visible)
		(void)fputs("\r\033[K", stderr);
	progress->visible = false;
}
