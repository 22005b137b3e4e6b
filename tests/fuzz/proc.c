/* SPDX-License-Identifier: Apache-2.0 */
/* The parsers of /proc: much of its text is chosen by programs (names, paths, arguments). An input
 * is a letter for the parser, and the text. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "proc/fdinfo.h"
#include "proc/identity.h"
#include "proc/maps.h"
#include "proc/process.h"
#include "proc/sched.h"
#include "proc/status.h"
#include "proc/text.h"

static void parse_maps(const char *text, struct thump_arena *arena, struct thump_err *err)
{
	struct thump_maps maps;

	thump_maps_init(&maps, arena);
	(void)!thump_maps_parse(&maps, text, err);
}

static void parse_fdinfo(const char *text, struct thump_arena *arena, struct thump_err *err)
{
	struct thump_epoll_target *targets;
	struct thump_timerfd_info timer;
	struct thump_fdinfo info;
	size_t count;

	(void)!thump_fdinfo_parse(text, &info, err);
	(void)!thump_epoll_fdinfo_parse(text, arena, &targets, &count, err);
	(void)!thump_timerfd_fdinfo_parse(text, &timer, err);
}

static void parse_status(const char *text, struct thump_arena *arena, struct thump_err *err)
{
	struct thump_status status;

	(void)!thump_status_parse(text, arena, &status, err);
}

static void parse_stat(const char *text, struct thump_arena *arena, struct thump_err *err)
{
	struct thump_sched sched;
	struct thump_stat stat;
	uint64_t ns;

	(void)arena;
	(void)!thump_stat_parse(text, &stat, err);
	(void)thump_sched_cpu_asleep(text);
	(void)thump_sched_parse(text, &sched);
	(void)thump_sched_ns(text, "se.exec_start", &ns);
}

static void parse_limits(const char *text, struct thump_arena *arena, struct thump_err *err)
{
	struct thump_rlimit limits[THUMP_NR_RLIMITS];
	struct thump_posix_timer *timers;
	int64_t monotonic_ns, boottime_ns;
	int32_t *pids;
	size_t count;

	(void)!thump_limits_parse(text, limits, err);
	(void)!thump_timers_parse(text, arena, &timers, &count, err);
	(void)!thump_children_parse(text, arena, &pids, &count, err);
	(void)!thump_timens_parse(text, &monotonic_ns, &boottime_ns, err);
}

static void parse_bytes(const char *text, size_t size)
{
	unsigned char build_id[64];
	uint64_t value;

	(void)thump_auxv_find(text, size, 3, &value);
	(void)thump_auxv_size(text, size);
	(void)thump_environ_find(text, size, "PATH");
	(void)thump_build_id_of_notes((const unsigned char *)text, size, build_id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(const char *, struct thump_arena *, struct thump_err *) = {
		parse_maps, parse_fdinfo, parse_status, parse_stat, parse_limits,
	};
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_arena arena;
	char *text;

	if (size < 1)
		return 0;
	text = malloc(size);
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	thump_arena_init(&arena);
	if (data[0] >= 'a' && (size_t)(data[0] - 'a') < sizeof(parsers) / sizeof(parsers[0])) {
		text[size - 1] = '\0';
		parsers[data[0] - 'a'](text, &arena, &err);
	} else if (data[0] == 'z') {
		/* Moved to the end of what was allocated: these have a size, and no NUL. */
		memmove(text + 1, text, size - 1);
		parse_bytes(text + 1, size - 1);
	}
	thump_arena_deinit(&arena);
	free(text);
	return 0;
}
