/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/process.h"

#include <string.h>
#include <sys/resource.h>

#include "proc/text.h"

/* Names as in fs/proc/base.c, lnames[]. */
static const char *const limit_names[THUMP_NR_RLIMITS] = {
	[RLIMIT_CPU] = "Max cpu time",
	[RLIMIT_FSIZE] = "Max file size",
	[RLIMIT_DATA] = "Max data size",
	[RLIMIT_STACK] = "Max stack size",
	[RLIMIT_CORE] = "Max core file size",
	[RLIMIT_RSS] = "Max resident set",
	[RLIMIT_NPROC] = "Max processes",
	[RLIMIT_NOFILE] = "Max open files",
	[RLIMIT_MEMLOCK] = "Max locked memory",
	[RLIMIT_AS] = "Max address space",
	[RLIMIT_LOCKS] = "Max file locks",
	[RLIMIT_SIGPENDING] = "Max pending signals",
	[RLIMIT_MSGQUEUE] = "Max msgqueue size",
	[RLIMIT_NICE] = "Max nice priority",
	[RLIMIT_RTPRIO] = "Max realtime priority",
	[RLIMIT_RTTIME] = "Max realtime timeout",
};

static bool take_limit(const char **at, uint64_t *value_ret)
{
	static const char unlimited[] = "unlimited";

	thump_text_blanks(at);
	if (strncmp(*at, unlimited, sizeof(unlimited) - 1) != 0)
		return thump_text_u64(at, 10, value_ret);
	*at += sizeof(unlimited) - 1;
	*value_ret = UINT64_MAX;
	return true;
}

static const char *find_line(const char *text, const char *start)
{
	const char *line;
	size_t len;

	while (thump_text_line(&text, &line, &len)) {
		if (strncmp(line, start, strlen(start)) == 0)
			return line + strlen(start);
	}
	return NULL;
}

int thump_limits_parse(const char *text, struct thump_rlimit limits_ret[THUMP_NR_RLIMITS],
		       struct thump_err *err)
{
	struct thump_rlimit limits[THUMP_NR_RLIMITS];

	for (size_t i = 0; i < THUMP_NR_RLIMITS; i++) {
		const char *at = find_line(text, limit_names[i]);

		if (!at || !take_limit(&at, &limits[i].soft) || !take_limit(&at, &limits[i].hard))
			return thump_fail(err, "/proc/PID/limits: no \"%s\"", limit_names[i]);
	}
	memcpy(limits_ret, limits, sizeof(limits));
	return 0;
}

/* "signal/pid.4711", "none/tid.4712" (fs/proc/base.c, show_timer) */
static bool take_notify(const char *at, struct thump_posix_timer *timer)
{
	static const struct {
		const char *name;
		int notify;
	} kinds[] = {
		{ "signal/", SIGEV_SIGNAL },
		{ "none/", SIGEV_NONE },
		{ "thread/", SIGEV_THREAD },
	};
	uint64_t tid;

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(kinds); i++) {
		size_t len = strlen(kinds[i].name);

		if (strncmp(at, kinds[i].name, len) != 0)
			continue;
		at += len;
		timer->notify = kinds[i].notify;
		if (strncmp(at, "pid.", 4) == 0)
			return true;
		if (strncmp(at, "tid.", 4) != 0)
			return false;
		at += 4;
		timer->notify |= SIGEV_THREAD_ID;
		if (!thump_text_u64(&at, 10, &tid) || tid > INT32_MAX)
			return false;
		timer->tid = (int32_t)tid;
		return true;
	}
	return false;
}

/* Takes the four lines of one timer that begin at *text. */
static bool take_timer(const char **text, struct thump_posix_timer *timer)
{
	const char *line;
	uint64_t id, signo;
	int64_t clock_id;
	size_t len;

	if (!thump_text_line(text, &line, &len) || strncmp(line, "ID: ", 4) != 0)
		return false;
	line += 4;
	if (!thump_text_u64(&line, 10, &id) || id > INT32_MAX)
		return false;
	if (!thump_text_line(text, &line, &len) || strncmp(line, "signal: ", 8) != 0)
		return false;
	line += 8;
	if (!thump_text_u64(&line, 10, &signo) || signo > THUMP_NR_SIGNALS ||
	    !thump_text_char(&line, '/') || !thump_text_u64(&line, 16, &timer->sigval))
		return false;
	if (!thump_text_line(text, &line, &len) || strncmp(line, "notify: ", 8) != 0 ||
	    !take_notify(line + 8, timer))
		return false;
	if (!thump_text_line(text, &line, &len) || strncmp(line, "ClockID: ", 9) != 0)
		return false;
	line += 9;
	if (!thump_text_i64(&line, &clock_id) || clock_id > INT32_MAX || clock_id < INT32_MIN)
		return false;
	timer->id = (int32_t)id;
	timer->signo = (int32_t)signo;
	timer->clock_id = (int32_t)clock_id;
	return true;
}

int thump_timers_parse(const char *text, struct thump_arena *arena,
		       struct thump_posix_timer **timers_ret, size_t *count_ret,
		       struct thump_err *err)
{
	struct thump_posix_timer *timers = NULL;
	size_t count = 0;

	while (*text) {
		struct thump_posix_timer timer = { 0 };

		if (!take_timer(&text, &timer))
			return thump_fail(err, "malformed /proc/PID/timers, timer %zu", count);
		timers = thump_arena_grow(arena, timers, count, sizeof(*timers));
		if (!timers)
			return thump_fail(err, "out of memory while reading timers");
		timers[count++] = timer;
	}
	*timers_ret = timers;
	*count_ret = count;
	return 0;
}

size_t thump_auxv_size(const void *auxv, size_t size_bytes)
{
	for (size_t at = 0; at + 16 <= size_bytes; at += 16) {
		uint64_t type;

		memcpy(&type, (const unsigned char *)auxv + at, sizeof(type));
		if (type == 0)
			return at + 16;
	}
	return 0;
}

bool thump_auxv_find(const void *auxv, size_t size_bytes, uint64_t type, uint64_t *value_ret)
{
	for (size_t at = 0; at + 16 <= size_bytes; at += 16) {
		uint64_t pair[2];

		memcpy(pair, (const unsigned char *)auxv + at, sizeof(pair));
		if (pair[0] == type) {
			*value_ret = pair[1];
			return true;
		}
		if (pair[0] == 0)
			return false;
	}
	return false;
}

bool thump_sched_ns(const char *text, const char *name, uint64_t *ns_ret)
{
	const char *at = thump_text_value(text, name), *digits;
	uint64_t ms, rest;

	if (!at || !thump_text_u64(&at, 10, &ms) || !thump_text_char(&at, '.'))
		return false;
	digits = at;
	if (!thump_text_u64(&at, 10, &rest) || at - digits != 6)
		return false;
	return !__builtin_mul_overflow(ms, (uint64_t)1000000U, ns_ret) &&
	       !__builtin_add_overflow(*ns_ret, rest, ns_ret);
}

int thump_children_parse(const char *text, struct thump_arena *arena, int32_t **pids_ret,
			 size_t *count_ret, struct thump_err *err)
{
	int32_t *pids = NULL;
	size_t count = 0;

	for (thump_text_blanks(&text); *text && *text != '\n'; thump_text_blanks(&text)) {
		uint64_t pid;

		if (!thump_text_u64(&text, 10, &pid) || pid > INT32_MAX)
			return thump_fail(err, "malformed list of children");
		pids = thump_arena_grow(arena, pids, count, sizeof(*pids));
		if (!pids)
			return thump_fail(err, "out of memory while reading children");
		pids[count++] = (int32_t)pid;
	}
	*pids_ret = pids;
	*count_ret = count;
	return 0;
}

static bool take_offset(const char *text, const char *clock, int64_t *ns_ret)
{
	const char *at = find_line(text, clock);
	int64_t seconds;
	uint64_t nanoseconds;

	if (!at)
		return false;
	thump_text_blanks(&at);
	if (!thump_text_i64(&at, &seconds))
		return false;
	thump_text_blanks(&at);
	if (!thump_text_u64(&at, 10, &nanoseconds) || nanoseconds >= 1000000000U)
		return false;
	return !__builtin_mul_overflow(seconds, (int64_t)1000000000, ns_ret) &&
	       !__builtin_add_overflow(*ns_ret, (int64_t)nanoseconds, ns_ret);
}

int thump_timens_parse(const char *text, int64_t *monotonic_ns_ret, int64_t *boottime_ns_ret,
		       struct thump_err *err)
{
	int64_t monotonic_ns, boottime_ns;

	if (!take_offset(text, "monotonic", &monotonic_ns) ||
	    !take_offset(text, "boottime", &boottime_ns))
		return thump_fail(err, "malformed /proc/PID/timens_offsets");
	*monotonic_ns_ret = monotonic_ns;
	*boottime_ns_ret = boottime_ns;
	return 0;
}

const char *thump_environ_find(const char *text, size_t size_bytes, const char *name)
{
	size_t name_len = strlen(name);

	for (size_t at = 0; at < size_bytes;) {
		size_t len = strnlen(text + at, size_bytes - at);

		if (at + len == size_bytes)
			return NULL; /* not terminated: cut off */
		if (len > name_len && memcmp(text + at, name, name_len) == 0 &&
		    text[at + name_len] == '=')
			return text + at + name_len + 1;
		at += len + 1;
	}
	return NULL;
}
