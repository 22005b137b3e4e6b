/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/team.h"

#include <sched.h>

#include "base/thread.h"

/* A member holds some 4 MiB. */
#define MAX_MEMBERS 32u

struct duty {
	struct pack_team *team;
	int (*member)(void *ctx, struct thump_err *err);
	void *ctx;
};

void pack_team_fail(struct pack_team *team, const struct thump_err *err)
{
	if (!team->failed)
		*team->err = *err;
	team->failed = true;
	pthread_cond_broadcast(&team->changed);
}

static void *serve(void *arg)
{
	struct duty *duty = arg;
	struct pack_team *team = duty->team;
	struct thump_err err = THUMP_ERR_INIT;

	if (duty->member(duty->ctx, &err) == 0)
		return NULL;
	pthread_mutex_lock(&team->lock);
	pack_team_fail(team, &err);
	pthread_mutex_unlock(&team->lock);
	return NULL;
}

uint32_t pack_team_size(uint64_t nr_tasks)
{
	cpu_set_t set;
	uint64_t count = 2;

	/* EINVAL: more processors than the set has bits. */
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		count = (uint64_t)CPU_COUNT(&set);
	return (uint32_t)thump_min_u64(thump_min_u64(count, nr_tasks), MAX_MEMBERS);
}

int pack_team_run(struct pack_team *team, uint64_t nr_tasks,
		  int (*member)(void *ctx, struct thump_err *err), void *ctx, struct thump_err *err)
{
	struct duty duty = { .team = team, .member = member, .ctx = ctx };
	pthread_t threads[MAX_MEMBERS];
	uint32_t wanted = pack_team_size(nr_tasks), started = 0;

	pthread_mutex_init(&team->lock, NULL);
	pthread_cond_init(&team->changed, NULL);
	team->err = err;
	team->failed = false;
	/* With fewer threads it only takes longer. */
	while (started + 1 < wanted && thump_thread_start(&threads[started], serve, &duty) == 0)
		started++;
	(void)serve(&duty);
	while (started > 0)
		pthread_join(threads[--started], NULL);
	pthread_cond_destroy(&team->changed);
	pthread_mutex_destroy(&team->lock);
	return team->failed ? -1 : 0;
}
