/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/sched.h"

#include <limits.h>
#include <string.h>

#include "proc/text.h"

#define NS_PER_MS ((uint64_t)1000000)

/* Fields of proc_pid_stat(5). */
#define FIELD_COMM	2
#define FIELD_PROCESSOR 39

bool thump_sched_parse(const char *text, struct thump_sched *sched_ret)
{
	const char *at = thump_text_value(text, "se.exec_start");
	uint64_t ms, fraction, nr_switches;

	/* Milliseconds with six digits behind the point. */
	if (!at || !thump_text_u64(&at, 10, &ms) || !thump_text_char(&at, '.') ||
	    !thump_text_u64(&at, 10, &fraction) ||
	    !thump_text_value_u64(text, "nr_switches", 10, &nr_switches) ||
	    (ms == 0 && fraction == 0))
		return false;
	sched_ret->exec_start_ns = ms * NS_PER_MS + fraction;
	sched_ret->nr_switches = nr_switches;
	return true;
}

int thump_sched_cpu_asleep(const char *stat)
{
	const char *at = strrchr(stat, ')');
	uint64_t cpu;

	if (!at || strncmp(at, ") S ", 4) != 0)
		return -1;
	for (int field = FIELD_COMM; field < FIELD_PROCESSOR; field++) {
		at = strchr(at, ' ');
		if (!at)
			return -1;
		at++;
	}
	return thump_text_u64(&at, 10, &cpu) && cpu <= INT_MAX ? (int)cpu : -1;
}
