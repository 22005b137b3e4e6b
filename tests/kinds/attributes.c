/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of process and thread that no descriptor and no mapping shows. */
#include "workload.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define NICE_VALUE 17 /* upwards, as for the OOM score, also when the tests run under nice(1) */

static const struct {
	const char *name;
	int option;
	long value; /* for the matching PR_SET_* */
	int set_option;
} prctls[] = {
	{ "dumpable", PR_GET_DUMPABLE, 1, PR_SET_DUMPABLE },
	{ "timerslack", PR_GET_TIMERSLACK, 123456, PR_SET_TIMERSLACK },
	{ "thp disable", PR_GET_THP_DISABLE, 1, PR_SET_THP_DISABLE },
	{ "no_new_privs", PR_GET_NO_NEW_PRIVS, 1, PR_SET_NO_NEW_PRIVS },
};

static void expect_subreaper(int want)
{
	int have = -1;

	MUST(prctl(PR_GET_CHILD_SUBREAPER, &have));
	CHECK_EQ(have, want);
}

static void expect_parent_death_signal(int want)
{
	int have = -1;

	MUST(prctl(PR_GET_PDEATHSIG, &have));
	CHECK_EQ(have, want);
}

static int oom_score(void)
{
	FILE *file = fopen("/proc/self/oom_score_adj", "r");
	int score = -1;

	CHECK(file && fscanf(file, "%d", &score) == 1);
	CHECK_EQ(fclose(file), 0);
	return score;
}

/* Upwards: that needs no privilege. */
static void raise_oom_score(int score)
{
	FILE *file = fopen("/proc/self/oom_score_adj", "w");

	CHECK(file && fprintf(file, "%d", score) > 0);
	CHECK_EQ(fclose(file), 0);
}

static void set_all(void)
{
	struct rlimit nofile = { 200, 300 }, core = { 0, 4096 };
	cpu_set_t one;

	for (size_t i = 0; i < NR_OF(prctls); i++)
		MUST(prctl(prctls[i].set_option, prctls[i].value, 0, 0, 0));
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	MUST(prctl(PR_SET_PDEATHSIG, SIGWINCH)); /* which is ignored */
	(void)umask(0137);
	MUST(setpriority(PRIO_PROCESS, 0, NICE_VALUE));
	MUST(personality(ADDR_NO_RANDOMIZE));
	MUST(setrlimit(RLIMIT_NOFILE, &nofile));
	MUST(setrlimit(RLIMIT_CORE, &core));
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	MUST(sched_setaffinity(0, sizeof(one), &one));
	MUST(sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 }));
	MUST(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 6)); /* IOPRIO_WHO_PROCESS, best effort 6 */
}

int main(void)
{
	struct rlimit limit;
	cpu_set_t before, after;
	pid_t group, session, parent;
	int score;

	workload_init();
	score = oom_score() + 7;
	raise_oom_score(score);
	set_all();
	MUST(sched_getaffinity(0, sizeof(before), &before));
	group = getpgrp();
	session = getsid(0);
	parent = getppid();

	if (workload_checkpoint() == WORKLOAD_ORIGINAL) {
		CHECK_EQ(getpgrp(), group);
		CHECK_EQ(getsid(0), session);
		CHECK_EQ(getppid(), parent);
	}

	for (size_t i = 0; i < NR_OF(prctls); i++)
		if (prctl(prctls[i].option, 0, 0, 0, 0) != prctls[i].value)
			FAIL("%s is not %ld", prctls[i].name, prctls[i].value);
	expect_subreaper(1);
	expect_parent_death_signal(SIGWINCH);
	CHECK_EQ(oom_score(), score);
	CHECK_EQ(umask(0), 0137);
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), NICE_VALUE);
	CHECK_EQ(personality(0xffffffff), ADDR_NO_RANDOMIZE);
	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	CHECK(limit.rlim_cur == 200 && limit.rlim_max == 300);
	MUST(getrlimit(RLIMIT_CORE, &limit));
	CHECK(limit.rlim_cur == 0 && limit.rlim_max == 4096);
	MUST(sched_getaffinity(0, sizeof(after), &after));
	CHECK(CPU_EQUAL(&before, &after));
	CHECK_EQ(sched_getscheduler(0), SCHED_BATCH);
	CHECK_EQ(syscall(SYS_ioprio_get, 1, 0), 2 << 13 | 6);
	workload_pass();
}
