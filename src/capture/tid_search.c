/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks of glibc by their looks. That is enough to say that one is held: every field but the owner
 * has few values, and all of them must be right at once.
 *
 * Layouts are part of glibc's binary interface, as programs make locks by static initialisers:
 * bits/struct_mutex.h and bits/struct_rwlock.h; the kinds are in nptl/pthreadP.h.
 */
#include <linux/futex.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "capture/tids.h"

struct mutex {
	uint32_t lock, count;
	int32_t owner;
	uint32_t nr_users;
	uint32_t kind;
	uint32_t spins; /* and elision */
	uint64_t previous, next;
};

struct rwlock {
	uint32_t readers, writers, phase, writers_futex, pad[2];
	int32_t writer;
	uint32_t shared;
	uint64_t pad2[2];
	uint32_t flags, pad3;
};

_Static_assert(sizeof(struct mutex) == 40 && sizeof(struct rwlock) == THUMP_TID_LOOKAHEAD,
	       "bits/pthreadtypes-arch.h");

enum {
	KIND_TYPE = 3, /* normal, recursive, error-checking, adaptive */
	KIND_RECURSIVE = 1,
	KIND_ERROR_CHECKING = 2,
	KIND_INHERITS_PRIORITY = 32,
	KIND_SHARED = 128,
	KIND_ELISION = 0x300, /* wanted, not wanted */
	/* Robust ones are listed, and with priority protection nothing is where it is here. */
	KIND_KNOWN = KIND_TYPE | KIND_INHERITS_PRIORITY | KIND_SHARED | KIND_ELISION,
};

/* Bits of readers; more of it counts them. */
enum { RWLOCK_WRITE_PHASE = 1, RWLOCK_WRITE_LOCKED = 2 };
/* A futex that is on may say that somebody waits in it. */
enum { RWLOCK_FUTEX_ON = 1, RWLOCK_FUTEX_USED = 2 };

#define MOST_USERS ((uint32_t)1 << 16)

/* Held, and its owner is compared with a tid. */
static bool is_held_mutex(const struct mutex *mutex)
{
	uint32_t type = mutex->kind & KIND_TYPE, owner = (uint32_t)mutex->owner;
	bool counted = type == KIND_RECURSIVE ? mutex->count > 0 && mutex->count < MOST_USERS
					      : mutex->count == 0;

	if ((mutex->kind & ~(uint32_t)KIND_KNOWN) || mutex->nr_users == 0 ||
	    mutex->nr_users > MOST_USERS || mutex->spins || mutex->next || mutex->previous)
		return false;
	/* Tables of numbers have runs of the same one. */
	if (mutex->lock == owner && mutex->count == owner && mutex->nr_users == owner)
		return false;
	if (mutex->kind & KIND_INHERITS_PRIORITY)
		return (mutex->lock & FUTEX_TID_MASK) == owner &&
		       (type == KIND_RECURSIVE ? counted : mutex->count == 1);
	return (mutex->lock == 1 || mutex->lock == 2) && counted &&
	       (type == KIND_RECURSIVE || type == KIND_ERROR_CHECKING);
}

static bool is_on(uint32_t futex)
{
	return (futex & ~(uint32_t)RWLOCK_FUTEX_USED) == RWLOCK_FUTEX_ON;
}

/* Whoever unlocks it is the writer, or a reader, by the tid (pthread_rwlock_unlock.c). */
static bool is_held_rwlock(const struct rwlock *rwlock)
{
	const uint32_t written = RWLOCK_WRITE_PHASE | RWLOCK_WRITE_LOCKED;

	return (rwlock->readers & written) == written && rwlock->readers < MOST_USERS &&
	       rwlock->writers < MOST_USERS && is_on(rwlock->phase) &&
	       is_on(rwlock->writers_futex) && rwlock->pad[0] == 0 && rwlock->pad[1] == 0 &&
	       rwlock->shared <= 1 && rwlock->pad2[0] == 0 && rwlock->pad2[1] == 0 &&
	       rwlock->flags <= 2;
}

static int compare_selves(const void *a, const void *b)
{
	const struct thump_tid_thread *x = a, *y = b;

	return (x->self > y->self) - (x->self < y->self);
}

static int compare_tids(const void *a, const void *b)
{
	const struct thump_tid_thread *x = a, *y = b;

	return (x->tid > y->tid) - (x->tid < y->tid);
}

void thump_tid_search_init(struct thump_tid_search *search)
{
	qsort(search->by_self, search->nr_threads, sizeof(*search->by_self), compare_selves);
	qsort(search->by_tid, search->nr_threads, sizeof(*search->by_tid), compare_tids);
}

/* Most words are none: the bounds are looked at first. */
static const struct thump_tid_thread *find_self(const struct thump_tid_search *search,
						uint64_t self)
{
	const struct thump_tid_thread *first = search->by_self;
	const struct thump_tid_thread key = { .self = self };

	if (self < first->self || self > first[search->nr_threads - 1].self)
		return NULL;
	return bsearch(&key, first, search->nr_threads, sizeof(key), compare_selves);
}

/* The thread whose tid is at `bytes`. */
static inline const struct thump_tid_thread *find_tid(const struct thump_tid_search *search,
						      const unsigned char *bytes)
{
	const struct thump_tid_thread *first = search->by_tid;
	struct thump_tid_thread key = { 0 };

	memcpy(&key.tid, bytes, sizeof(key.tid));
	if (key.tid < first->tid || key.tid > first[search->nr_threads - 1].tid)
		return NULL;
	return bsearch(&key, first, search->nr_threads, sizeof(key), compare_tids);
}

static int search_mutex(const struct thump_tid_search *search, uint64_t addr,
			const unsigned char *bytes, struct thump_err *err)
{
	const struct thump_tid_thread *owner =
		find_tid(search, bytes + offsetof(struct mutex, owner));
	struct mutex mutex;

	if (!owner)
		return 0;
	memcpy(&mutex, bytes, sizeof(mutex));
	return is_held_mutex(&mutex) ? search->found(search->ctx, THUMP_TID_MUTEX, addr, owner, err)
				     : 0;
}

static int search_rwlock(const struct thump_tid_search *search, uint64_t addr,
			 const unsigned char *bytes, struct thump_err *err)
{
	const struct thump_tid_thread *writer =
		find_tid(search, bytes + offsetof(struct rwlock, writer));
	struct rwlock rwlock;

	if (!writer)
		return 0;
	memcpy(&rwlock, bytes, sizeof(rwlock));
	return is_held_rwlock(&rwlock)
		       ? search->found(search->ctx, THUMP_TID_RWLOCK, addr, writer, err)
		       : 0;
}

int thump_tid_search(const struct thump_tid_search *search, uint64_t addr,
		     const unsigned char *bytes, size_t size_bytes, size_t readable_bytes,
		     struct thump_err *err)
{
	for (size_t at = 0; at < size_bytes; at += sizeof(uint64_t)) {
		const struct thump_tid_thread *thread;
		uint64_t word;

		memcpy(&word, bytes + at, sizeof(word));
		/* Neither a pthread_t nor a lock that is held begins with zeros: most of memory. */
		if ((uint32_t)word == 0)
			continue;
		thread = find_self(search, word);
		if (thread &&
		    search->found(search->ctx, THUMP_TID_SELF, addr + at, thread, err) < 0)
			return -1;
		if (readable_bytes - at >= sizeof(struct mutex) &&
		    search_mutex(search, addr + at, bytes + at, err) < 0)
			return -1;
		if (readable_bytes - at >= sizeof(struct rwlock) &&
		    search_rwlock(search, addr + at, bytes + at, err) < 0)
			return -1;
	}
	return 0;
}
