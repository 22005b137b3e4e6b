/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libthump/library.h"

void round_add_reason(struct round *round, const char *text)
{
	size_t used = strlen(round->reasons);
	size_t room = sizeof(round->reasons) - used;
	size_t len = strlen(text);

	if (len + 2 > room)
		return; /* there are reasons enough */
	memcpy(round->reasons + used, text, len);
	memcpy(round->reasons + used + len, "\n", 2);
}

void round_end(struct library *lib, struct thump_registration **hooks, size_t nr_hooks)
{
	(void)pthread_mutex_lock(&lib->lock);
	lib->busy = false;
	lib->has_hook_thread = false;
	lib->hook_tid = 0;
	for (size_t i = 0; i < nr_hooks; i++) {
		hooks[i]->in_round = false;
		if (hooks[i]->removed)
			free(hooks[i]);
	}
	(void)pthread_cond_broadcast(&lib->idle);
	(void)pthread_mutex_unlock(&lib->lock);
	free(hooks);
}

/* Concurrent before single-threaded, high before low, later before earlier. */
static int compare(const void *a, const void *b)
{
	const struct thump_registration *left = *(struct thump_registration *const *)a;
	const struct thump_registration *right = *(struct thump_registration *const *)b;

	if (left->mode != right->mode)
		return left->mode == THUMP_CONCURRENT ? -1 : 1;
	if (left->priority != right->priority)
		return left->priority > right->priority ? -1 : 1;
	return left->number > right->number ? -1 : 1;
}

static int list_hooks_locked(const struct library *lib, struct round *round)
{
	size_t count = 0;

	for (struct thump_registration *hook = lib->hooks; hook; hook = hook->next)
		count++;
	round->hooks = calloc(count + 1, sizeof(struct thump_registration *));
	if (!round->hooks)
		return ENOMEM;
	for (struct thump_registration *hook = lib->hooks; hook; hook = hook->next) {
		round->hooks[round->nr_hooks++] = hook;
		round->nr_concurrent += hook->mode == THUMP_CONCURRENT;
		hook->called = false;
	}
	qsort(round->hooks, round->nr_hooks, sizeof(struct thump_registration *), compare);
	return 0;
}

static int begin_locked(struct library *lib, struct round *round)
{
	int error;

	if (library_is_hook_thread_locked(lib))
		return EDEADLK;
	if (lib->busy)
		return EBUSY;
	error = list_hooks_locked(lib, round);
	if (error)
		return error;
	round->caller = hook_caller_create(lib);
	if (!round->caller) {
		error = errno;
		free(round->hooks);
		round->hooks = NULL;
		return error;
	}
	for (size_t i = 0; i < round->nr_hooks; i++)
		round->hooks[i]->in_round = true;
	lib->busy = true;
	lib->hook_thread = hook_caller_thread(round->caller);
	lib->has_hook_thread = true;
	return 0;
}

/* False: somebody cannot be held. */
static bool hold_others(const struct library *lib, struct round *round)
{
	const pid_t own[] = { lib->server_tid, lib->watch_tid, lib->hook_tid };
	char why[160];

	round->parked = park_all(own, sizeof(own) / sizeof(own[0]), why, sizeof(why));
	if (!round->parked)
		round_add_reason(round, why);
	return round->parked;
}

static size_t table_size_bytes(const struct round *round)
{
	return (round->nr_ranges + 1) * sizeof(*round->ranges);
}

/* A copy for the engine: what concurrent hooks have told is in it. */
static void take_ranges(struct library *lib, struct round *round)
{
	void *table;

	(void)pthread_mutex_lock(&lib->lock);
	round->nr_ranges = lib->nr_ranges;
	table = mmap(NULL, table_size_bytes(round), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (table == MAP_FAILED) {
		round->nr_ranges = 0;
		round_add_reason(round, "there is no memory for the list of ranges");
	} else {
		round->ranges = table;
		if (lib->nr_ranges)
			memcpy(table, lib->ranges, lib->nr_ranges * sizeof(*lib->ranges));
	}
	(void)pthread_mutex_unlock(&lib->lock);
}

/* What was refused is in round->reasons; thump then says what else stands in the way. */
static void call_before(struct library *lib, struct round *round)
{
	const bool has_single = round->nr_concurrent < round->nr_hooks;
	const bool agreed = hooks_before(round, 0, round->nr_concurrent, false);

	take_ranges(lib, round);
	if (agreed && has_single && hold_others(lib, round))
		(void)hooks_before(round, round->nr_concurrent, round->nr_hooks, true);
}

static void call_after(struct round *round, enum thump_outcome outcome)
{
	/* Those who hold locks of generators may be held themselves. */
	const bool renew = outcome == THUMP_RESTORED;

	hooks_after(round, round->nr_concurrent, round->nr_hooks, outcome);
	if (round->parked)
		park_release();
	round->parked = false;
	if (renew)
		(void)generators_renew();
	hooks_after(round, 0, round->nr_concurrent, outcome);
}

/* Hooks are called when thump has found nothing that none of them can cure. One that asks for a
 * checkpoint has looked before; another engine has rules of its own. */
static bool calls_hooks(struct library *lib, struct round *round)
{
	if (!round->only_look && !round->request)
		return true;
	return round_look(lib, round) && !round->only_look;
}

int round_run(struct library *lib, struct round *round, enum thump_outcome *outcome_ret)
{
	int error;

	(void)pthread_mutex_lock(&lib->lock);
	error = begin_locked(lib, round);
	(void)pthread_mutex_unlock(&lib->lock);
	if (error)
		return error;
	*outcome_ret = THUMP_NOT_SAVED;
	if (calls_hooks(lib, round)) {
		call_before(lib, round);
		*outcome_ret = round_capture(lib, round);
		if (round->ranges)
			(void)munmap(round->ranges, table_size_bytes(round));
		call_after(round, *outcome_ret);
	}
	/* Else a hook that did not return ends the round some time. */
	if (round->caller) {
		hook_caller_destroy(round->caller);
		round_end(lib, round->hooks, round->nr_hooks);
	}
	return 0;
}
