/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calling hooks: on a thread of its own for each checkpoint, so that one that does not return can
 * be left behind. The thread is made before others are held, because pthread_create(3) allocates.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libthump/library.h"

enum { WHY_SIZE = 512 };

enum order { ORDER_NONE, ORDER_BEFORE, ORDER_AFTER, ORDER_END };

struct hook_caller {
	struct library *lib;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum order order; /* ORDER_NONE: done */
	struct thump_registration *hook;
	enum thump_outcome outcome;
	int result;
	char why[WHY_SIZE];
	/* The hook is left behind: its thread ends the round. */
	bool abandoned;
	struct thump_registration **hooks;
	size_t nr_hooks;
};

/* ---- the thread ---------------------------------------------------------------------------- */

static void call(struct hook_caller *caller)
{
	struct thump_registration *hook = caller->hook;

	if (hook->removed)
		return;
	if (caller->order == ORDER_AFTER) {
		hook->called = false;
		if (hook->after)
			hook->after(hook->ctx, caller->outcome);
		return;
	}
	hook->called = true;
	caller->why[0] = '\0';
	caller->result = hook->before ? hook->before(hook->ctx, caller->why, WHY_SIZE) : 0;
	caller->why[WHY_SIZE - 1] = '\0';
}

/* Nobody waits any more: the second calls that are due, and the end of the round. */
static void finish_round(struct hook_caller *caller)
{
	caller->order = ORDER_AFTER;
	for (size_t i = caller->nr_hooks; i-- > 0;) {
		caller->hook = caller->hooks[i];
		if (caller->hook->called)
			call(caller);
	}
	round_end(caller->lib, caller->hooks, caller->nr_hooks);
	(void)pthread_detach(caller->thread);
	free(caller);
}

static void *caller_main(void *arg)
{
	struct hook_caller *caller = arg;
	bool abandoned;

	(void)pthread_setname_np(pthread_self(), "thump-hooks");
	(void)pthread_mutex_lock(&caller->lock);
	while (caller->order != ORDER_END && !caller->abandoned) {
		if (caller->order == ORDER_NONE) {
			(void)pthread_cond_wait(&caller->changed, &caller->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&caller->lock);
		call(caller);
		(void)pthread_mutex_lock(&caller->lock);
		caller->order = ORDER_NONE;
		(void)pthread_cond_broadcast(&caller->changed);
	}
	abandoned = caller->abandoned;
	(void)pthread_mutex_unlock(&caller->lock);
	if (abandoned)
		finish_round(caller);
	return NULL;
}

/* ---- who waits for it ---------------------------------------------------------------------- */

struct hook_caller *hook_caller_create(struct library *lib)
{
	struct hook_caller *caller = calloc(1, sizeof(*caller));
	pthread_condattr_t monotonic;
	int error;

	if (!caller)
		return NULL;
	caller->lib = lib;
	(void)pthread_mutex_init(&caller->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&caller->changed, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	error = library_start_thread(&caller->thread, &lib->hook_tid, caller_main, caller);
	if (error == 0)
		return caller;
	free(caller);
	errno = error;
	return NULL;
}

void hook_caller_destroy(struct hook_caller *caller)
{
	if (!caller || caller->abandoned)
		return;
	(void)pthread_mutex_lock(&caller->lock);
	caller->order = ORDER_END;
	(void)pthread_cond_broadcast(&caller->changed);
	(void)pthread_mutex_unlock(&caller->lock);
	(void)pthread_join(caller->thread, NULL);
	(void)pthread_cond_destroy(&caller->changed);
	(void)pthread_mutex_destroy(&caller->lock);
	free(caller);
}

pthread_t hook_caller_thread(const struct hook_caller *caller)
{
	return caller->thread;
}

/* False: it has not returned within its limit. */
static bool order_and_wait(struct hook_caller *caller, enum order order,
			   struct thump_registration *hook)
{
	struct timespec end;
	bool done;
	int rc = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += hook->limit_ms / 1000;
	end.tv_nsec += (long)(hook->limit_ms % 1000) * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_nsec -= 1000000000;
		end.tv_sec++;
	}
	(void)pthread_mutex_lock(&caller->lock);
	caller->hook = hook;
	caller->order = order;
	(void)pthread_cond_broadcast(&caller->changed);
	while (caller->order == order && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&caller->changed, &caller->lock, &end);
	done = caller->order != order;
	(void)pthread_mutex_unlock(&caller->lock);
	return done;
}

static void say_late(struct round *round, const struct thump_registration *hook, const char *what)
{
	char text[160];

	(void)snprintf(text, sizeof(text), "hook %s has not returned within %.3g s %s", hook->name,
		       (double)hook->limit_ms / 1000, what);
	round_add_reason(round, text);
}

static void say_refused(struct round *round, const struct thump_registration *hook, const char *why)
{
	char text[WHY_SIZE + 100];

	(void)snprintf(text, sizeof(text), "hook %s: %s", hook->name,
		       why[0] ? why : "it refuses, and does not say why");
	round_add_reason(round, text);
}

/* From here on the caller's thread has the hooks, and the end of the round. */
static void abandon(struct round *round, enum thump_outcome outcome)
{
	struct hook_caller *caller = round->caller;

	if (round->parked)
		park_release();
	round->parked = false;
	(void)pthread_mutex_lock(&caller->lock);
	caller->outcome = outcome;
	caller->hooks = round->hooks;
	caller->nr_hooks = round->nr_hooks;
	caller->abandoned = true;
	round->hooks = NULL;
	round->nr_hooks = 0;
	round->caller = NULL;
	/* It may have returned just now: then its thread waits for an order. */
	(void)pthread_cond_broadcast(&caller->changed);
	(void)pthread_mutex_unlock(&caller->lock);
}

bool hooks_before(struct round *round, size_t from, size_t to, bool stop_at_first)
{
	bool agreed = true;

	for (size_t i = from; i < to && (agreed || !stop_at_first); i++) {
		struct thump_registration *hook = round->hooks[i];

		if (!order_and_wait(round->caller, ORDER_BEFORE, hook)) {
			say_late(round, hook, "before the checkpoint");
			abandon(round, THUMP_NOT_SAVED);
			return false;
		}
		if (round->caller->result != 0) {
			say_refused(round, hook, round->caller->why);
			agreed = false;
		}
	}
	return agreed;
}

void hooks_after(struct round *round, size_t from, size_t to, enum thump_outcome outcome)
{
	for (size_t i = to; round->caller && i-- > from;) {
		struct thump_registration *hook = round->hooks[i];

		if (!hook->called)
			continue;
		round->caller->outcome = outcome;
		if (!order_and_wait(round->caller, ORDER_AFTER, hook)) {
			say_late(round, hook, "after the checkpoint");
			abandon(round, outcome);
		}
	}
}
