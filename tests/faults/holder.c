/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holder PID [ROUNDS]: stops a process, makes it run system calls in several threads, lets it go.
 * This is what a checkpoint does to a process, without the checkpoint.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "trace/target.h"

/* Threads that make calls, besides the best one; each takes another path through enter and leave.
 */
#define NR_CALLERS 4

static int call_in_threads(struct thump_target *target, struct thump_err *err)
{
	const size_t step = target->nr_threads / NR_CALLERS + 1;
	const uint64_t no_args[6] = { 0 };
	long result;

	for (size_t i = 0; i < target->nr_threads; i += step) {
		if (thump_remote_syscall_in(target, i, SYS_gettid, no_args, &result, err) != 0)
			return -1;
		if (result != target->threads[i].tid)
			return thump_fail(err, "gettid gave %ld in thread %d", result,
					  target->threads[i].tid);
	}
	return 0;
}

static int call_with_area(struct thump_target *target, struct thump_err *err)
{
	struct remote_addr area;
	char name[16] = { 0 };
	uint64_t args[6] = { PR_GET_NAME };
	long result;

	if (thump_remote_area(target, &area, err) != 0)
		return -1;
	args[1] = area.addr;
	if (thump_remote_syscall(target, SYS_prctl, args, &result, err) != 0 ||
	    thump_target_read(target, area, name, sizeof(name), err) != 0)
		return -1;
	return result == 0 && name[0] != '\0' ? 0 : thump_fail(err, "PR_GET_NAME: %ld", result);
}

static int hold_once(pid_t pid, struct thump_err *err)
{
	struct thump_target *target = NULL;
	int result;

	if (thump_target_stop(pid, 1000, &target, err) != 0)
		return -1;
	result = call_in_threads(target, err);
	if (result == 0)
		result = call_with_area(target, err);
	thump_target_resume(target);
	thump_target_destroy(target);
	return result;
}

int main(int argc, char **argv)
{
	struct thump_err err = THUMP_ERR_INIT;
	const long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : 1;

	if (argc < 2) {
		(void)fprintf(stderr, "usage: holder PID [ROUNDS]\n");
		return 2;
	}
	for (long i = 0; i < rounds; i++) {
		if (hold_once((pid_t)strtol(argv[1], NULL, 10), &err) != 0) {
			(void)fprintf(stderr, "holder: round %ld: %s\n", i, err.text);
			return 1;
		}
	}
	return 0;
}
