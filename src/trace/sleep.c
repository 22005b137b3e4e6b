/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long has a thread been asleep? The kernel does not say, but se.exec_start in
 * /proc/PID/task/TID/sched is the reading of its CPU's scheduler clock when it last left the CPU.
 * These clocks differ between CPUs (they leave out stolen time), so the reading of now is taken on
 * the same CPU: from our own exec_start after moving there. Stolen time makes the result too small,
 * never too large: a timeout then ends late, as after any stop.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "proc/sched.h"
#include "proc/text.h"
#include "trace/internal.h"

static bool read_sched(int dir_fd, const char *path, struct thump_sched *facts_ret)
{
	auto_free char *text = NULL;

	return thump_slurp(dir_fd, path, &text, NULL) == 0 && thump_sched_parse(text, facts_ret);
}

static bool read_sched_of(int proc_fd, pid_t tid, struct thump_sched *facts_ret)
{
	char path[48];

	(void)snprintf(path, sizeof(path), "task/%d/sched", tid);
	return read_sched(proc_fd, path, facts_ret);
}

/* The call a thread is blocked in, from /proc/PID/task/TID/syscall: "7 0x.. 0x.. ...". */
static uint32_t waits_in(int proc_fd, pid_t tid)
{
	auto_free char *text = NULL;
	char path[48];
	const char *at;
	uint64_t nr;

	(void)snprintf(path, sizeof(path), "task/%d/syscall", tid);
	if (thump_slurp(proc_fd, path, &text, NULL) != 0)
		return THUMP_NO_SYSCALL;
	at = text;
	return thump_text_u64(&at, 10, &nr) && nr < THUMP_NO_SYSCALL ? (uint32_t)nr
								     : THUMP_NO_SYSCALL;
}

/* -1 when it does not sleep, or that cannot be told. */
static int cpu_asleep(int proc_fd, pid_t tid)
{
	auto_free char *text = NULL;
	char path[48];

	(void)snprintf(path, sizeof(path), "task/%d/stat", tid);
	return thump_slurp(proc_fd, path, &text, NULL) == 0 ? thump_sched_cpu_asleep(text) : -1;
}

/* The scheduler clock of `cpu`, now; moves the calling thread there. */
static bool clock_of_cpu(int cpu, uint64_t *ns_ret)
{
	struct thump_sched facts;
	cpu_set_t set;

	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return false;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		return false;
	(void)sched_yield(); /* brings our own exec_start up to date */
	if (!read_sched(AT_FDCWD, "/proc/thread-self/sched", &facts))
		return false;
	*ns_ret = facts.exec_start_ns;
	return true;
}

/*
 * When it fell asleep, and by the clock of which CPU. It may wake up, and be moved to another CPU,
 * between any two looks; what was the same before and after holds for the time in between. Without
 * that, a thread that was just being woken gave a sleep as long as the machine was up.
 */
static bool fell_asleep(int proc_fd, pid_t tid, struct thump_sched *asleep_ret, int *cpu_ret)
{
	struct thump_sched before, after;
	int cpu;

	if (!read_sched_of(proc_fd, tid, &before))
		return false;
	cpu = cpu_asleep(proc_fd, tid);
	if (cpu < 0 || !read_sched_of(proc_fd, tid, &after) ||
	    after.exec_start_ns != before.exec_start_ns || after.nr_switches != before.nr_switches)
		return false;
	*asleep_ret = after;
	*cpu_ret = cpu;
	return true;
}

static void look_at_clock(int proc_fd, struct thump_sleeper *sleeper)
{
	struct thump_sched asleep;
	uint64_t now_ns;
	int cpu;

	if (!fell_asleep(proc_fd, sleeper->tid, &asleep, &cpu) || !clock_of_cpu(cpu, &now_ns) ||
	    now_ns <= asleep.exec_start_ns)
		return;
	sleeper->slept_ns = now_ns - asleep.exec_start_ns;
	sleeper->nr_switches = asleep.nr_switches;
	sleeper->looked_at_ns = thump_now_ns();
}

static void look_at_wchan(int proc_fd, struct thump_sleeper *sleeper)
{
	auto_free char *wchan = NULL;
	char path[48];

	(void)snprintf(path, sizeof(path), "task/%d/wchan", sleeper->tid);
	if (thump_slurp(proc_fd, path, &wchan, NULL) == 0)
		(void)snprintf(sleeper->wchan, sizeof(sleeper->wchan), "%s", wchan);
}

static void look_at(int proc_fd, pid_t tid, struct thump_sleepers *sleepers)
{
	const uint32_t nr = waits_in(proc_fd, tid);
	struct thump_sleeper *grown;

	if (!thump_arch_timeout_in_register(nr) && !thump_arch_is_restart_syscall(nr))
		return;
	grown = realloc(sleepers->list, (sleepers->count + 1) * sizeof(*grown));
	if (!grown)
		return;
	sleepers->list = grown;
	grown[sleepers->count] = (struct thump_sleeper){ .tid = tid };
	if (thump_arch_is_restart_syscall(nr))
		look_at_wchan(proc_fd, &grown[sleepers->count]);
	look_at_clock(proc_fd, &grown[sleepers->count]);
	sleepers->count++;
}

void thump_sleepers_look(int proc_fd, pid_t pid, struct thump_sleepers *sleepers)
{
	auto_free pid_t *tids = NULL;
	struct thump_err ignored;
	cpu_set_t own;
	size_t count;

	if (sched_getaffinity(0, sizeof(own), &own) != 0 ||
	    thump_list_tasks(proc_fd, pid, &tids, &count, &ignored) != 0)
		return;
	for (size_t i = 0; i < count; i++)
		look_at(proc_fd, tids[i], sleepers);
	(void)sched_setaffinity(0, sizeof(own), &own);
}

/* Stopping it made it leave its CPU once more; had it run in between, it would be twice. */
static bool slept_until_stopped(int proc_fd, const struct thump_sleeper *sleeper)
{
	struct thump_sched facts;

	return read_sched_of(proc_fd, sleeper->tid, &facts) &&
	       facts.nr_switches <= sleeper->nr_switches + 1;
}

const struct thump_sleeper *thump_sleeper_of(const struct thump_sleepers *sleepers, pid_t tid)
{
	for (size_t i = 0; i < sleepers->count; i++) {
		if (sleepers->list[i].tid == tid)
			return &sleepers->list[i];
	}
	return NULL;
}

uint64_t thump_slept_ns(int proc_fd, const struct thump_sleeper *sleeper, uint64_t until_ns)
{
	if (!sleeper || sleeper->slept_ns == 0 || !slept_until_stopped(proc_fd, sleeper))
		return 0;
	return sleeper->slept_ns + (until_ns - sleeper->looked_at_ns);
}

void thump_sleepers_deinit(struct thump_sleepers *sleepers)
{
	free(sleepers->list);
	*sleepers = (struct thump_sleepers){ 0 };
}
