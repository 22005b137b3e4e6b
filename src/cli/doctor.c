/* SPDX-License-Identifier: Apache-2.0 */
/* `thump doctor`: each line is what was probed, what came out and why, and what follows from it. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/cli.h"
#include "cli/report.h"
#include "proc/arch/cpu.h"
#include "proc/cgroup.h"
#include "proc/status.h"
#include "rebuild/rebuild.h"
#include "rebuild/spin.h"
#include "version.h"

/* A JVM has some 30 threads, and more for every pool. */
#define FEW_TASKS 1024

static const char usage[] = "usage: thump doctor [--json]\n"
			    "\n"
			    "Say what this machine and user allow, why, and what follows from it.\n"
			    "\n"
			    "      --json       print one JSON object on stdout\n"
			    "  -v, --verbose    say on stderr who asks, and which kernel\n"
			    "  -h, --help       print this\n"
			    "      --version    print thump's version\n"
			    "\n"
			    "Exit codes: 0 checkpoint and restore work here; 1 failed; 2 usage; 3 "
			    "they cannot work here.\n";

enum grade { GRADE_OK, GRADE_LIMITED, GRADE_BAD };

struct finding {
	const char *name;  /* stable, for --json */
	const char *title; /* for people */
	enum grade grade;
	char found[240];       /* what came out, and why */
	char consequence[240]; /* what it means for checkpoint and restore */
};

struct doctor {
	struct thump_common common;
	struct thump_abilities can;
	struct finding findings[16];
	size_t count;
};

static struct finding *add(struct doctor *doctor, const char *name, const char *title,
			   enum grade grade)
{
	struct finding *finding = &doctor->findings[doctor->count++];

	*finding = (struct finding){ .name = name, .title = title, .grade = grade };
	return finding;
}

#define FOUND(finding, ...)                                                                        \
	((void)snprintf((finding)->found, sizeof((finding)->found), __VA_ARGS__))
#define MEANS(finding, ...)                                                                        \
	((void)snprintf((finding)->consequence, sizeof((finding)->consequence), __VA_ARGS__))

/* ---- how pids are kept -------------------------------------------------------------------- */

static void examine_set_tid(struct doctor *doctor)
{
	bool good = doctor->can.set_tid;
	struct finding *finding =
		add(doctor, "set_tid", "setting pids (way 1)", good ? GRADE_OK : GRADE_LIMITED);

	FOUND(finding, "%s%s",
	      good ? "yes: clone3 with set_tid" : "no: ", good ? "" : doctor->can.set_tid_reason);
	MEANS(finding, "%s",
	      good ? "restored programs get their pids here, among all other processes"
		   : "pids are kept in a namespace or by spinning, where those work");
}

static void examine_namespaces(struct doctor *doctor)
{
	const struct thump_abilities *can = &doctor->can;
	bool good = can->user_namespace;
	struct finding *finding = add(doctor, "namespaces", "fresh namespaces (way 2)",
				      good ? GRADE_OK : GRADE_LIMITED);

	if (good)
		FOUND(finding, "yes: %spid and mount namespaces, pids below %u",
		      can->needs_user_namespace ? "user, " : "", can->namespace_pid_max);
	else
		FOUND(finding, "no: %s", can->user_namespace_reason);
	MEANS(finding, "%s",
	      good ? "any number of restores of one image at once, each with the same pids inside"
		   : "one restore of an image at a time, but for JVMs (way 4), and none of a "
		     "program "
		     "that was pid 1");
	if (!good)
		return;
	finding = add(doctor, "own_proc", "a /proc of its own",
		      can->mount_proc ? GRADE_OK : GRADE_LIMITED);
	FOUND(finding, "%s%s", can->mount_proc ? "yes" : "no: ", can->mount_proc_reason);
	MEANS(finding, "%s",
	      can->mount_proc ? "programs restored in a namespace find themselves in /proc"
			      : "spinning is tried before a namespace; in a namespace /proc/PID is "
				"not the program's (/proc/self is)");
}

static void examine_clock(struct doctor *doctor)
{
	const struct thump_abilities *can = &doctor->can;
	bool good = can->user_namespace && can->time_namespace;
	struct finding *finding =
		add(doctor, "time_namespace", "time namespace", good ? GRADE_OK : GRADE_LIMITED);

	FOUND(finding, "%s%s", good ? "yes" : "no: ",
	      good		    ? ""
	      : can->user_namespace ? can->time_namespace_reason
				    : "comes only with fresh namespaces");
	MEANS(finding, "%s",
	      good ? "CLOCK_MONOTONIC goes on where it stopped, in a namespace"
		   : "an image of a machine that has been up for longer is refused, but for JVMs "
		     "with the agent and with --allow-clock-jump");
}

static void examine_spinning(struct doctor *doctor)
{
	const struct thump_abilities *can = &doctor->can;
	bool small = can->last_pid > 0 && can->last_pid < THUMP_RESERVED_PIDS * 4;
	struct finding *finding =
		add(doctor, "spin", "spinning (way 3)", small ? GRADE_OK : GRADE_LIMITED);

	FOUND(finding, "last pid %u of %u", can->last_pid, can->pid_max);
	MEANS(finding, "%s",
	      small ? "pids a little above come up quickly (start the program with `thump run`)"
		    : "works only for pids a little above the last one");
}

/* It is up to the program. */
static void examine_other(struct doctor *doctor)
{
	struct finding *finding = add(doctor, "other", "other pids (way 4)", GRADE_OK);

	FOUND(finding, "yes, for programs whose runtime vouches for it (`thump inspect` says so)");
	MEANS(finding, "any number of restores of a JVM at once, where its pids cannot be kept");
}

/* ---- tracing ------------------------------------------------------------------------------ */

static void examine_ptrace(struct doctor *doctor)
{
	static const char *const scopes[] = {
		"any process of the same user can be checkpointed",
		("only what `thump run` or `thump restore` started can be checkpointed without "
		 "CAP_SYS_PTRACE"),
		"only with CAP_SYS_PTRACE can anything be checkpointed",
		"nothing can be checkpointed or restored until a reboot",
	};
	const struct thump_abilities *can = &doctor->can;
	struct finding *finding =
		add(doctor, "ptrace", "tracing", can->ptrace ? GRADE_OK : GRADE_BAD);
	int scope = can->yama_scope;

	FOUND(finding, "%s%s",
	      can->ptrace ? "yes: a process of our own can be traced" : "no: ", can->ptrace_reason);
	MEANS(finding, "%s",
	      can->ptrace ? "restore works" : "neither checkpoint nor restore can work here");
	finding = add(doctor, "yama_ptrace_scope", "yama ptrace scope",
		      scope <= 0   ? GRADE_OK
		      : scope == 3 ? GRADE_BAD
				   : GRADE_LIMITED);
	if (scope < 0)
		FOUND(finding, "no yama in this kernel");
	else
		FOUND(finding, "%d", scope);
	MEANS(finding, "%s", scopes[scope < 0 || scope > 3 ? 0 : scope]);
}

static void examine_pagemap(struct doctor *doctor)
{
	bool good = doctor->can.pagemap_scan;
	struct finding *finding =
		add(doctor, "pagemap_scan", "PAGEMAP_SCAN", good ? GRADE_OK : GRADE_LIMITED);

	FOUND(finding, "%s", good ? "yes" : "no: a kernel before 6.7, or not allowed");
	MEANS(finding, "%s",
	      good ? "a checkpoint finds the pages to be saved at once"
		   : "a checkpoint reads /proc/PID/pagemap page by page: slower for large "
		     "programs");
}

static void examine_fd_sharing(struct doctor *doctor)
{
	const struct thump_abilities *can = &doctor->can;
	bool good = can->kcmp && can->pidfd_getfd;
	struct finding *finding =
		add(doctor, "descriptors", "kcmp, pidfd_getfd", good ? GRADE_OK : GRADE_LIMITED);

	FOUND(finding, "kcmp %s, pidfd_getfd %s", can->kcmp ? "yes" : "no",
	      can->pidfd_getfd ? "yes" : "no");
	MEANS(finding, "%s",
	      good ? "descriptors are compared and looked into from outside"
		   : "shared descriptors are told, and sockets looked into, by remote calls");
}

/* ---- the CPU ------------------------------------------------------------------------------ */

static void examine_cpu(struct doctor *doctor)
{
	int level = thump_cpu_level();
	struct finding *finding = add(doctor, "cpu", "level of the CPU", GRADE_OK);

	FOUND(finding, "x86-64-v%d", level);
	MEANS(finding,
	      "images of programs that ran with --cpu x86-64-v%d or lower fit; others need each "
	      "feature of their CPU",
	      level);
}

/* ---- memory and limits -------------------------------------------------------------------- */

static void examine_thp(struct doctor *doctor)
{
	auto_free char *text = NULL;
	const char *mode = "not in this kernel";
	struct finding *finding;
	bool good;

	if (thump_slurp(AT_FDCWD, "/sys/kernel/mm/transparent_hugepage/enabled", &text, NULL) ==
	    0) {
		text[strcspn(text, "\n")] = '\0';
		mode = text;
	}
	good = text && !strstr(text, "[never]");
	finding = add(doctor, "thp", "transparent huge pages", good ? GRADE_OK : GRADE_LIMITED);
	FOUND(finding, "%s", mode);
	MEANS(finding, "%s",
	      good ? "large memory is restored in huge pages"
		   : "large memory is restored in pages of 4 KiB, about twice as slowly");
}

static void examine_files(struct doctor *doctor)
{
	struct rlimit limit = { 0 };
	struct finding *finding;
	bool good;

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	good = limit.rlim_max >= 1024;
	finding = add(doctor, "nofile", "open files", good ? GRADE_OK : GRADE_LIMITED);
	FOUND(finding, "at most %llu (ulimit -Hn)", (unsigned long long)limit.rlim_max);
	MEANS(finding, "%s",
	      good ? "enough for most programs"
		   : "a program with more descriptors than that cannot be restored");
}

static void examine_memory_limit(struct doctor *doctor)
{
	uint64_t limit = thump_cgroup_own_limit("memory", "memory.max", "memory.limit_in_bytes");
	bool limited = limit != UINT64_MAX;
	struct finding *finding = add(doctor, "memory_limit", "memory of the container",
				      limited ? GRADE_LIMITED : GRADE_OK);

	if (limited)
		FOUND(finding, "at most %" PRIu64 " MB (control group)", limit / 1000000);
	else
		FOUND(finding, "no limit");
	MEANS(finding, "%s",
	      limited ? "a restored program counts as it did before, eagerly read memory at once"
		      : "only the machine's own memory limits programs");
}

static void examine_tasks_limit(struct doctor *doctor)
{
	uint64_t limit = thump_cgroup_own_limit("pids", "pids.max", "pids.max");
	struct rlimit nproc = { .rlim_cur = RLIM_INFINITY };
	bool of_user, limited;
	struct finding *finding;

	(void)getrlimit(RLIMIT_NPROC, &nproc);
	of_user = geteuid() != 0 && nproc.rlim_cur < limit;
	limit = of_user ? nproc.rlim_cur : limit;
	limited = limit < FEW_TASKS;
	finding = add(doctor, "tasks_limit", "threads and processes",
		      limited ? GRADE_LIMITED : GRADE_OK);
	if (limit == UINT64_MAX)
		FOUND(finding, "no limit");
	else
		FOUND(finding, "at most %" PRIu64 " (%s)", limit,
		      of_user ? "of this user, ulimit -u" : "control group");
	MEANS(finding, "%s",
	      limited ? "programs with more threads than that, other processes included, cannot be "
			"restored"
		      : "enough for most programs");
}

/* ---- printing ----------------------------------------------------------------------------- */

/* What all findings depend on; a report of a problem should have it. */
static void print_verbose(void)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_status status;
	struct thump_arena arena;
	struct utsname name;

	thump_arena_init(&arena);
	if (uname(&name) == 0)
		fprintf(stderr, "thump doctor: thump %s, Linux %s %s, CPU level x86-64-v%d\n",
			THUMP_VERSION, name.release, name.machine, thump_cpu_level());
	if (thump_status_read(AT_FDCWD, "/proc/self/status", &arena, &status, &err) == 0)
		fprintf(stderr,
			"thump doctor: uid %u, gid %u, effective capabilities %#" PRIx64
			", no_new_privs %d, %u seccomp filters\n",
			status.uid[1], status.gid[1], status.cap_effective, status.no_new_privs,
			status.seccomp_filters);
	thump_arena_deinit(&arena);
}

static const char *grade_word(enum grade grade)
{
	static const char *const words[] = { "ok", "limited", "bad" };

	return words[grade];
}

static int print_json(const struct doctor *doctor, int status)
{
	json_t *list = json_array();

	for (size_t i = 0; i < doctor->count; i++) {
		const struct finding *finding = &doctor->findings[i];

		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:o, s:o}", "name", finding->name,
						"grade", grade_word(finding->grade), "found",
						thump_json_text(finding->found), "consequence",
						thump_json_text(finding->consequence)));
	}
	return thump_print_json(
		json_pack("{s:b, s:o}", "works", status == THUMP_OK, "findings", list), status);
}

static void print_table(const struct doctor *doctor)
{
	static const char *const marks[] = { "+", "~", "-" };

	for (size_t i = 0; i < doctor->count; i++) {
		const struct finding *finding = &doctor->findings[i];

		printf("%s %-26s %s\n  %-26s -> %s\n", marks[finding->grade], finding->title,
		       finding->found, "", finding->consequence);
	}
}

static int examine(struct doctor *doctor)
{
	thump_probe_abilities(&doctor->can);
	examine_set_tid(doctor);
	examine_namespaces(doctor);
	examine_clock(doctor);
	examine_spinning(doctor);
	examine_other(doctor);
	examine_ptrace(doctor);
	examine_pagemap(doctor);
	examine_fd_sharing(doctor);
	examine_cpu(doctor);
	examine_thp(doctor);
	examine_files(doctor);
	examine_memory_limit(doctor);
	examine_tasks_limit(doctor);
	for (size_t i = 0; i < doctor->count; i++)
		if (doctor->findings[i].grade == GRADE_BAD)
			return THUMP_REFUSED;
	return THUMP_OK;
}

static int verb_doctor(int argc, char **argv)
{
	static const struct option options[] = { THUMP_COMMON_OPTIONS, { 0 } };
	struct doctor doctor = { .common = { .verb = "doctor", .usage = usage } };
	int status = thump_parse_options(&doctor.common, argc, argv, ":hv", options,
					 thump_common_option, &doctor.common);

	if (status < 0 && optind < argc)
		status = thump_usage_error(&doctor.common, "no argument is expected: %s",
					   argv[optind]);
	if (status >= 0)
		return status;
	status = examine(&doctor);
	if (doctor.common.verbose)
		print_verbose();
	if (doctor.common.json)
		return print_json(&doctor, status);
	print_table(&doctor);
	return thump_end_of_output(status);
}

const struct thump_verb thump_verb_doctor = {
	.name = "doctor",
	.summary = "say what this machine and user allow",
	.run = verb_doctor,
};
