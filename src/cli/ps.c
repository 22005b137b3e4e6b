/* SPDX-License-Identifier: Apache-2.0 */
/* `thump ps`: what was restored and spawned, and what each costs. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "cli/cli.h"
#include "cli/report.h"
#include "cli/running.h"
#include "proc/text.h"

static const char usage[] =
	"usage: thump ps [OPTION...] [FILE|NAME...]\n"
	"\n"
	"List the programs that this user has restored or spawned and that still run, and the\n"
	"templates, and their spares, with their memory: of root, those of all users. With "
	"operands: only those of\n"
	"the images FILE and of the templates NAME.\n"
	"\n"
	"      --json     print one JSON object on stdout\n"
	"  -h, --help     print this\n"
	"      --version  print thump's version\n"
	"\n"
	"Exit codes: 0 done, also when nothing runs; 1 failed; 2 usage.\n";

/* Of one process, or of many; in bytes. */
struct memory {
	uint64_t rss, pss, private;
	bool have_rss, have_rest;
};

struct ps {
	struct thump_common common;
	char **operands; /* NULL-terminated */
	struct thump_running *entries;
	struct memory *memory; /* of each */
	size_t count;
};

struct sum {
	size_t count;
	struct memory memory;
};

/* ---- memory ---------------------------------------------------------------------------------- */

static char *read_proc(pid_t pid, const char *file)
{
	char path[48], *text = NULL;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return thump_slurp(AT_FDCWD, path, &text, NULL) == 0 ? text : NULL;
}

/* What only who may trace the process is told: smaps_rollup, since Linux 4.14. */
static bool read_shares(pid_t pid, struct memory *memory)
{
	auto_free char *text = read_proc(pid, "smaps_rollup");
	uint64_t rss, pss, clean, dirty;

	if (!text || !thump_text_value_u64(text, "Rss", 10, &rss) ||
	    !thump_text_value_u64(text, "Pss", 10, &pss) ||
	    !thump_text_value_u64(text, "Private_Clean", 10, &clean) ||
	    !thump_text_value_u64(text, "Private_Dirty", 10, &dirty))
		return false;
	*memory = (struct memory){
		.rss = rss << 10,
		.pss = pss << 10,
		.private = (clean + dirty) << 10,
		.have_rss = true,
		.have_rest = true,
	};
	return true;
}

static struct memory read_memory(pid_t pid)
{
	struct memory memory = { .have_rss = false };
	auto_free char *status = NULL;
	uint64_t rss;

	if (read_shares(pid, &memory))
		return memory;
	status = read_proc(pid, "status");
	if (status && thump_text_value_u64(status, "VmRSS", 10, &rss))
		memory = (struct memory){ .rss = rss << 10, .have_rss = true };
	return memory;
}

/* What is known: a process of which nothing can be told is not in the sum. */
static void add_up(struct sum *sum, const struct memory *memory)
{
	sum->count++;
	sum->memory.rss += memory->rss;
	sum->memory.pss += memory->pss;
	sum->memory.private += memory->private;
}

/* ---- which ----------------------------------------------------------------------------------- */

/* What is summed up apart. */
enum sort { PROGRAMS, TEMPLATES, SPARES, NR_SORTS };

static enum sort sort_of(const struct thump_running *running)
{
	if (strcmp(running->how, "template") == 0)
		return TEMPLATES;
	return strcmp(running->how, "spare") == 0 ? SPARES : PROGRAMS;
}

/* An image that is gone by now has no other path than the one that is given. */
static bool is_of(const struct thump_running *running, const char *operand)
{
	char resolved[PATH_MAX];

	if (running->template_name[0] && strcmp(running->template_name, operand) == 0)
		return true;
	return running->image[0] &&
	       (strcmp(running->image, operand) == 0 ||
		(realpath(operand, resolved) && strcmp(running->image, resolved) == 0));
}

static bool is_asked_for(const struct ps *ps, const struct thump_running *running)
{
	if (!ps->operands[0])
		return true;
	for (char **operand = ps->operands; *operand; operand++)
		if (is_of(running, *operand))
			return true;
	return false;
}

static int collect(struct ps *ps, struct thump_err *err)
{
	size_t all;

	if (thump_running_list(&ps->entries, &all, err) < 0)
		return -1;
	ps->memory = calloc(all + 1, sizeof(*ps->memory));
	if (!ps->memory)
		return thump_fail_errno(err, "memory for %zu processes", all);
	for (size_t i = 0; i < all; i++) {
		if (!is_asked_for(ps, &ps->entries[i]))
			continue;
		ps->memory[ps->count] = read_memory(ps->entries[i].pid);
		ps->entries[ps->count++] = ps->entries[i];
	}
	return 0;
}

static void sum_up(const struct ps *ps, struct sum sums[NR_SORTS])
{
	for (int sort = 0; sort < NR_SORTS; sort++)
		sums[sort] = (struct sum){ .memory = { .have_rss = true, .have_rest = true } };
	for (size_t i = 0; i < ps->count; i++)
		add_up(&sums[sort_of(&ps->entries[i])], &ps->memory[i]);
}

/* ---- saying it ------------------------------------------------------------------------------- */

static json_t *bytes_json(uint64_t bytes, bool known)
{
	return known ? json_integer((json_int_t)bytes) : json_null();
}

static void set_memory(json_t *object, const struct memory *memory)
{
	json_object_set_new(object, "rss_bytes", bytes_json(memory->rss, memory->have_rss));
	json_object_set_new(object, "pss_bytes", bytes_json(memory->pss, memory->have_rest));
	json_object_set_new(object, "private_bytes",
			    bytes_json(memory->private, memory->have_rest));
}

static json_t *entry_json(const struct thump_running *running, const struct memory *memory)
{
	json_t *object = json_pack(
		"{s:i, s:I, s:o, s:o, s:f, s:o}", "pid", (int)running->pid, "uid",
		(json_int_t)running->uid, "how", thump_json_text(running->how), "template",
		running->template_name[0] ? json_string(running->template_name) : json_null(),
		"since", (double)running->since_ns / 1e9, "image",
		running->image[0] ? thump_json_text(running->image) : json_null());

	set_memory(object, memory);
	return object;
}

static json_t *sum_json(const struct sum *sum)
{
	json_t *object = json_pack("{s:I}", "count", (json_int_t)sum->count);

	set_memory(object, &sum->memory);
	return object;
}

static int print_json(const struct ps *ps, const struct sum sums[NR_SORTS])
{
	json_t *processes = json_array();

	for (size_t i = 0; i < ps->count; i++)
		json_array_append_new(processes, entry_json(&ps->entries[i], &ps->memory[i]));
	return thump_print_json(json_pack("{s:o, s:{s:o, s:o, s:o}, s:n}", "processes", processes,
					  "sums", "programs", sum_json(&sums[PROGRAMS]),
					  "templates", sum_json(&sums[TEMPLATES]), "spares",
					  sum_json(&sums[SPARES]), "error"),
				THUMP_OK);
}

static void print_size(uint64_t bytes, bool known)
{
	if (known)
		printf(" %9.1f", (double)bytes / 1e6);
	else
		printf(" %9s", "-");
}

static void print_memory(const struct memory *memory)
{
	print_size(memory->rss, memory->have_rss);
	print_size(memory->pss, memory->have_rest);
	print_size(memory->private, memory->have_rest);
}

static void print_entry(const struct thump_running *running, const struct memory *memory)
{
	char since[THUMP_TIME_SIZE];

	thump_format_time(running->since_ns, since);
	printf("%7d %5u %-19s", (int)running->pid, (unsigned)running->uid, since);
	print_memory(memory);
	/* Another user may have written it. */
	printf("  ");
	thump_put_text(running->how);
	printf("%s%s ", running->template_name[0] ? " " : "", running->template_name);
	thump_put_text(running->image[0] ? running->image : "-");
	putchar('\n');
}

static void print_sum(const struct sum *sum, const char *what)
{
	char text[48];

	if (sum->count == 0)
		return;
	(void)snprintf(text, sizeof(text), "%zu %s%s", sum->count, what, sum->count > 1 ? "s" : "");
	printf("%-33s", text);
	print_memory(&sum->memory);
	putchar('\n');
}

static int print_table(const struct ps *ps, const struct sum sums[NR_SORTS])
{
	printf("%7s %5s %-19s %9s %9s %9s  %s\n", "PID", "UID", "SINCE", "RSS MB", "PSS MB",
	       "PRIV MB", "HOW, TEMPLATE, IMAGE");
	for (size_t i = 0; i < ps->count; i++)
		print_entry(&ps->entries[i], &ps->memory[i]);
	print_sum(&sums[PROGRAMS], "program");
	print_sum(&sums[TEMPLATES], "template");
	print_sum(&sums[SPARES], "spare");
	return thump_end_of_output(THUMP_OK);
}

static int fail(const struct ps *ps, const struct thump_err *err)
{
	if (ps->common.json)
		return thump_print_json(json_pack("{s:o}", "error", thump_json_error(err)),
					err->code);
	thump_print_error(&ps->common, err);
	return err->code;
}

/* ---- the verb -------------------------------------------------------------------------------- */

static int verb_ps(int argc, char **argv)
{
	static const struct option options[] = { THUMP_COMMON_OPTIONS, { 0 } };
	struct ps ps = { .common = { .verb = "ps", .usage = usage } };
	struct thump_err err = THUMP_ERR_INIT;
	struct sum sums[NR_SORTS];
	int status = thump_parse_options(&ps.common, argc, argv, ":h", options, thump_common_option,
					 &ps.common);

	if (status >= 0)
		return status;
	ps.operands = argv + optind;
	if (collect(&ps, &err) < 0) {
		status = fail(&ps, &err);
	} else {
		sum_up(&ps, sums);
		status = ps.common.json ? print_json(&ps, sums) : print_table(&ps, sums);
	}
	free(ps.entries);
	free(ps.memory);
	return status;
}

const struct thump_verb thump_verb_ps = {
	.name = "ps",
	.summary = "list what was restored and still runs",
	.run = verb_ps,
};
