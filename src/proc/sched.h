/* SPDX-License-Identifier: Apache-2.0 */
/* What the scheduler tells of one thread. */
#ifndef THUMP_PROC_SCHED_H
#define THUMP_PROC_SCHED_H

#include <stdbool.h>
#include <stdint.h>

struct thump_sched {
	uint64_t exec_start_ns; /* of its CPU's scheduler clock, when it last came to run or left */
	uint64_t nr_switches;	/* how often it has left its CPU */
};

/*
 * /proc/PID/task/TID/sched; false when there is not enough in it. A thread that was moved to
 * another CPU and has not run there yet has an exec_start of 0 (enqueue_entity() or
 * migrate_task_rq_fair() in kernel/sched/fair.c): that is no reading of any clock.
 */
bool thump_sched_parse(const char *text, struct thump_sched *sched_ret);

/* /proc/PID/task/TID/stat: the CPU of a thread that sleeps (S); -1 when it does not. */
int thump_sched_cpu_asleep(const char *stat);

#endif
