/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/status.h"

#include <string.h>

#include "base/fd.h"
#include "proc/text.h"

static void get_i32(const char *text, const char *key, int32_t *value_ret)
{
	uint64_t value;

	if (thump_text_value_u64(text, key, 10, &value) && value <= INT32_MAX)
		*value_ret = (int32_t)value;
}

static void get_u32(const char *text, const char *key, unsigned base, uint32_t *value_ret)
{
	uint64_t value;

	if (thump_text_value_u64(text, key, base, &value) && value <= UINT32_MAX)
		*value_ret = (uint32_t)value;
}

static void get_hex(const char *text, const char *key, uint64_t *value_ret)
{
	(void)thump_text_value_u64(text, key, 16, value_ret);
}

/* The last number of a list of pid namespaces, outermost first. Returns how many there are. */
static uint32_t get_innermost(const char *text, const char *key, int32_t *value_ret)
{
	const char *at = thump_text_value(text, key);
	uint32_t levels = 0;
	uint64_t value;

	while (at && thump_text_u64(&at, 10, &value) && value <= INT32_MAX) {
		*value_ret = (int32_t)value;
		levels++;
		thump_text_blanks(&at);
	}
	return levels;
}

static bool get_ids(const char *text, const char *key, uint32_t ids[4])
{
	const char *at = thump_text_value(text, key);

	for (size_t i = 0; i < 4; i++) {
		uint64_t value;

		if (!at || !thump_text_u64(&at, 10, &value) || value > UINT32_MAX)
			return false;
		ids[i] = (uint32_t)value;
		thump_text_blanks(&at);
	}
	return true;
}

static bool get_groups(const char *text, struct thump_arena *arena, struct thump_status *status)
{
	const char *at = thump_text_value(text, "Groups");
	uint64_t value;

	while (at && thump_text_u64(&at, 10, &value)) {
		uint32_t *groups =
			thump_arena_grow(arena, status->groups, status->nr_groups, sizeof(*groups));

		if (!groups || value > UINT32_MAX)
			return false;
		groups[status->nr_groups++] = (uint32_t)value;
		status->groups = groups;
		thump_text_blanks(&at);
	}
	return true;
}

static const char *get_line(const char *text, const char *key, struct thump_arena *arena)
{
	const char *at = thump_text_value(text, key);

	return at ? thump_arena_strndup(arena, at, (size_t)(strchrnul(at, '\n') - at)) : "";
}

static void get_signals_and_caps(const char *text, struct thump_status *status)
{
	get_hex(text, "SigPnd", &status->sigpending);
	get_hex(text, "ShdPnd", &status->shared_pending);
	get_hex(text, "SigBlk", &status->sigblocked);
	get_hex(text, "SigIgn", &status->sigignored);
	get_hex(text, "SigCgt", &status->sigcaught);
	get_hex(text, "CapInh", &status->cap_inheritable);
	get_hex(text, "CapPrm", &status->cap_permitted);
	get_hex(text, "CapEff", &status->cap_effective);
	get_hex(text, "CapBnd", &status->cap_bounding);
	get_hex(text, "CapAmb", &status->cap_ambient);
}

static void get_features(const char *text, struct thump_arena *arena, struct thump_status *status)
{
	uint32_t flag = 0;
	const char *features;

	get_u32(text, "NoNewPrivs", 10, &flag);
	status->no_new_privs = flag != 0;
	flag = 0;
	get_u32(text, "Kthread", 10, &flag);
	status->kernel_thread = flag != 0;
	flag = 1;
	get_u32(text, "THP_enabled", 10, &flag);
	status->thp_enabled = flag != 0;
	get_u32(text, "Seccomp", 10, &status->seccomp);
	get_u32(text, "Seccomp_filters", 10, &status->seccomp_filters);
	get_u32(text, "Threads", 10, &status->threads);
	(void)thump_text_value_u64(text, "VmLck", 10, &status->locked_kib);
	(void)thump_text_value_u64(text, "HugetlbPages", 10, &status->hugetlb_kib);
	(void)thump_text_value_u64(text, "RssShmem", 10, &status->rss_shmem_kib);
	features = get_line(text, "x86_Thread_features", arena);
	status->shadow_stack = features && strstr(features, "shstk");
	status->speculation_store_bypass = get_line(text, "Speculation_Store_Bypass", arena);
	status->speculation_indirect_branch = get_line(text, "SpeculationIndirectBranch", arena);
}

static void get_pids(const char *text, struct thump_status *status)
{
	get_i32(text, "Tgid", &status->tgid);
	get_i32(text, "Pid", &status->pid);
	get_i32(text, "PPid", &status->ppid);
	get_i32(text, "TracerPid", &status->tracer_pid);
	status->nspid_levels = get_innermost(text, "NSpid", &status->ns_pid);
	(void)get_innermost(text, "NStgid", &status->ns_tgid);
	(void)get_innermost(text, "NSpgid", &status->ns_pgid);
	(void)get_innermost(text, "NSsid", &status->ns_sid);
	if (status->nspid_levels == 0) { /* CONFIG_PID_NS is off */
		status->ns_pid = status->pid;
		status->ns_tgid = status->tgid;
		status->nspid_levels = 1;
	}
}

int thump_status_parse(const char *text, struct thump_arena *arena, struct thump_status *status_ret,
		       struct thump_err *err)
{
	struct thump_status status = { .umask = UINT32_MAX };
	const char *state = thump_text_value(text, "State");

	if (!state || *state == '\0' || *state == '\n')
		return thump_fail(err, "/proc/PID/status has no State");
	status.state = *state;
	get_u32(text, "Umask", 8, &status.umask);
	get_pids(text, &status);
	if (status.pid == 0)
		return thump_fail(err, "/proc/PID/status has no Pid");
	if (!get_ids(text, "Uid", status.uid) || !get_ids(text, "Gid", status.gid))
		return thump_fail(err, "/proc/PID/status has no four user and group ids");
	if (!get_groups(text, arena, &status))
		return thump_fail(err, "/proc/PID/status: malformed Groups");
	get_signals_and_caps(text, &status);
	get_features(text, arena, &status);
	if (!status.speculation_store_bypass || !status.speculation_indirect_branch)
		return thump_fail(err, "out of memory while reading /proc/PID/status");
	*status_ret = status;
	return 0;
}

int thump_status_read(int dir_fd, const char *path, struct thump_arena *arena,
		      struct thump_status *status_ret, struct thump_err *err)
{
	auto_free char *text = NULL;

	if (thump_slurp(dir_fd, path, &text, NULL) != 0)
		return thump_fail_errno(err, "read %s", path);
	return thump_status_parse(text, arena, status_ret, err);
}

#define FIRST_FIELD 4 /* after the state */
#define LAST_FIELD  51

/* Field `number` of proc(5); negative ones are kept in two's complement. */
static uint64_t field(const uint64_t *fields, unsigned number)
{
	return fields[number - FIRST_FIELD];
}

static bool take_fields(const char *at, uint64_t fields[LAST_FIELD - FIRST_FIELD + 1])
{
	for (unsigned i = 0; i <= LAST_FIELD - FIRST_FIELD; i++) {
		bool negative;

		if (!thump_text_char(&at, ' '))
			return false;
		negative = thump_text_char(&at, '-');
		if (!thump_text_u64(&at, 10, &fields[i]))
			return false;
		if (negative)
			fields[i] = -fields[i];
	}
	return true;
}

static void set_fields(struct thump_stat *stat, const uint64_t *fields)
{
	stat->ppid = (int32_t)field(fields, 4);
	stat->pgrp = (int32_t)field(fields, 5);
	stat->session = (int32_t)field(fields, 6);
	stat->tty_nr = (int32_t)field(fields, 7);
	stat->flags = field(fields, 9);
	stat->priority = (int64_t)field(fields, 18);
	stat->nice = (int64_t)field(fields, 19);
	stat->num_threads = (int64_t)field(fields, 20);
	stat->start_time_ticks = field(fields, 22);
	stat->start_code = field(fields, 26);
	stat->end_code = field(fields, 27);
	stat->start_stack = field(fields, 28);
	stat->exit_signal = (int64_t)field(fields, 38);
	stat->rt_priority = field(fields, 40);
	stat->policy = field(fields, 41);
	stat->start_data = field(fields, 45);
	stat->end_data = field(fields, 46);
	stat->start_brk = field(fields, 47);
	stat->arg_start = field(fields, 48);
	stat->arg_end = field(fields, 49);
	stat->env_start = field(fields, 50);
	stat->env_end = field(fields, 51);
}

int thump_stat_parse(const char *text, struct thump_stat *stat_ret, struct thump_err *err)
{
	uint64_t fields[LAST_FIELD - FIRST_FIELD + 1];
	struct thump_stat stat = { 0 };
	const char *at = text, *end = strrchr(text, ')');
	uint64_t pid;
	size_t len;

	if (!thump_text_u64(&at, 10, &pid) || pid > INT32_MAX || !thump_text_char(&at, ' ') ||
	    !thump_text_char(&at, '(') || !end || end < at || end[1] != ' ' || end[2] == '\0')
		return thump_fail(err, "malformed /proc/PID/stat: %.60s", text);
	stat.pid = (int32_t)pid;
	len = thump_min_u64((uint64_t)(end - at), sizeof(stat.comm) - 1);
	memcpy(stat.comm, at, len);
	stat.state = end[2];
	if (!take_fields(end + 3, fields))
		return thump_fail(err, "malformed /proc/PID/stat: %.60s", text);
	set_fields(&stat, fields);
	*stat_ret = stat;
	return 0;
}
