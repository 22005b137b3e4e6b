/* SPDX-License-Identifier: Apache-2.0 */
/* Locks of the C library that this test is linked with, which threads of it really hold. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "capture/tids.h"

#define OTHER_TID  33 /* as a kind: recursive, and inherits priority */
#define OTHER_SELF UINT64_C(0x7f0000001000)

struct seen {
	struct thump_tid_thread by_self[2], by_tid[2];
	int nr_selves, nr_mutexes, nr_rwlocks;
	uint64_t addr;
	int32_t tid;
};

static int take(void *ctx, enum thump_tid_holder holder, uint64_t addr,
		const struct thump_tid_thread *thread, struct thump_err *err)
{
	struct seen *seen = ctx;

	(void)err;
	seen->nr_selves += holder == THUMP_TID_SELF;
	seen->nr_mutexes += holder == THUMP_TID_MUTEX;
	seen->nr_rwlocks += holder == THUMP_TID_RWLOCK;
	seen->addr = addr;
	seen->tid = thread->tid;
	return 0;
}

/* Ourselves, and somebody who holds nothing. */
static struct seen look(const void *bytes, size_t size_bytes, size_t readable_bytes)
{
	struct seen seen = {
		.by_self = { { (uint64_t)pthread_self(), gettid() }, { OTHER_SELF, OTHER_TID } },
	};
	struct thump_tid_search search = {
		.by_self = seen.by_self,
		.by_tid = seen.by_tid,
		.nr_threads = 2,
		.found = take,
		.ctx = &seen,
	};
	struct thump_err err;

	memcpy(seen.by_tid, seen.by_self, sizeof(seen.by_tid));
	thump_tid_search_init(&search);
	assert_int_equal(thump_tid_search(&search, (uintptr_t)bytes, bytes, size_bytes,
					  readable_bytes, &err),
			 0);
	return seen;
}

/* A lock somewhere among other things. */
struct place {
	uint64_t before[3];
	union {
		pthread_mutex_t mutex;
		pthread_rwlock_t rwlock;
	};
	uint64_t after[9];
};

static struct seen look_at(const struct place *place)
{
	return look(place, sizeof(*place), sizeof(*place));
}

static void init_mutex(pthread_mutex_t *mutex, int type, int robust, int protocol)
{
	pthread_mutexattr_t attr;

	assert_int_equal(pthread_mutexattr_init(&attr), 0);
	assert_int_equal(pthread_mutexattr_settype(&attr, type), 0);
	assert_int_equal(pthread_mutexattr_setrobust(&attr, robust), 0);
	assert_int_equal(pthread_mutexattr_setprotocol(&attr, protocol), 0);
	assert_int_equal(pthread_mutex_init(mutex, &attr), 0);
}

static void mutexes_that_know_their_owner_are_found_while_they_are_held(void **state)
{
	static const int kinds[][3] = {
		{ PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_NONE },
		{ PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_NONE },
		{ PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_INHERIT },
		{ PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_INHERIT },
		{ PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_INHERIT },
	};

	(void)state;
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(kinds); i++) {
		struct place place = { .before = { 1, 1, 1 } };
		struct seen seen;

		init_mutex(&place.mutex, kinds[i][0], kinds[i][1], kinds[i][2]);
		assert_int_equal(look_at(&place).nr_mutexes, 0);
		assert_int_equal(pthread_mutex_lock(&place.mutex), 0);
		seen = look_at(&place);
		assert_int_equal(seen.nr_mutexes, 1);
		assert_int_equal(seen.addr, (uintptr_t)&place.mutex);
		assert_int_equal(seen.tid, gettid());
		assert_int_equal(pthread_mutex_unlock(&place.mutex), 0);
		assert_int_equal(look_at(&place).nr_mutexes, 0);
	}
}

/* Nobody asks those whose they are. */
static void normal_and_adaptive_mutexes_are_nothing(void **state)
{
	static const int types[] = { PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ADAPTIVE_NP };

	(void)state;
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(types); i++) {
		struct place place = { 0 };

		init_mutex(&place.mutex, types[i], PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_NONE);
		assert_int_equal(pthread_mutex_lock(&place.mutex), 0);
		assert_int_equal(look_at(&place).nr_mutexes, 0);
		assert_int_equal(pthread_mutex_unlock(&place.mutex), 0);
	}
}

static void rwlocks_are_found_while_they_are_held_for_writing(void **state)
{
	struct place place = { .before = { 3, 3, 3 } };
	struct seen seen;

	(void)state;
	assert_int_equal(pthread_rwlock_init(&place.rwlock, NULL), 0);
	assert_int_equal(pthread_rwlock_rdlock(&place.rwlock), 0);
	assert_int_equal(look_at(&place).nr_rwlocks, 0);
	assert_int_equal(pthread_rwlock_unlock(&place.rwlock), 0);
	assert_int_equal(pthread_rwlock_wrlock(&place.rwlock), 0);
	seen = look_at(&place);
	assert_int_equal(seen.nr_rwlocks, 1);
	assert_int_equal(seen.addr, (uintptr_t)&place.rwlock);
	assert_int_equal(pthread_rwlock_unlock(&place.rwlock), 0);
	assert_int_equal(look_at(&place).nr_rwlocks, 0);
}

/* Numbers of threads are small in a container, and so are many others. */
static void small_numbers_are_no_locks(void **state)
{
	const uint32_t numbers[14] = { 3, 0, 2, 1, 0, 0, OTHER_TID, 0 };
	const uint32_t others[14] = { 3, 0, 0, 0, 0, 0, OTHER_TID, 0 };

	(void)state;
	assert_int_equal(look(numbers, sizeof(numbers), sizeof(numbers)).nr_rwlocks, 0);
	assert_int_equal(look(others, sizeof(others), sizeof(others)).nr_rwlocks, 0);
	for (uint32_t number = 1; number < 1024; number++) {
		const uint32_t run[14] = { number, number, number, number, number };

		assert_int_equal(look(run, sizeof(run), sizeof(run)).nr_mutexes, 0);
	}
}

static void what_runs_into_the_next_piece_is_found_once(void **state)
{
	struct place place = { 0 };
	const unsigned char *bytes = (const unsigned char *)&place;

	(void)state;
	init_mutex(&place.mutex, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_NONE);
	assert_int_equal(pthread_mutex_lock(&place.mutex), 0);
	for (size_t cut = 8; cut < sizeof(place); cut += 8) {
		size_t readable = cut + THUMP_TID_LOOKAHEAD;

		if (readable > sizeof(place))
			readable = sizeof(place);
		assert_int_equal(look(bytes, cut, readable).nr_mutexes +
					 look(bytes + cut, sizeof(place) - cut, sizeof(place) - cut)
						 .nr_mutexes,
				 1);
	}
	assert_int_equal(pthread_mutex_unlock(&place.mutex), 0);
}

static void threads_are_found_by_their_pthread_t(void **state)
{
	uint64_t words[] = { 0, (uint64_t)pthread_self(), 4711, OTHER_SELF, OTHER_SELF + 8 };
	struct seen seen;

	(void)state;
	assert_int_equal(look(words, sizeof(words), sizeof(words)).nr_selves, 2);
	seen = look(words, 16, 16);
	assert_int_equal(seen.nr_selves, 1);
	assert_int_equal(seen.addr, (uintptr_t)&words[1]);
	assert_int_equal(seen.tid, gettid());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mutexes_that_know_their_owner_are_found_while_they_are_held),
		cmocka_unit_test(normal_and_adaptive_mutexes_are_nothing),
		cmocka_unit_test(rwlocks_are_found_while_they_are_held_for_writing),
		cmocka_unit_test(small_numbers_are_no_locks),
		cmocka_unit_test(what_runs_into_the_next_piece_is_found_once),
		cmocka_unit_test(threads_are_found_by_their_pthread_t),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
