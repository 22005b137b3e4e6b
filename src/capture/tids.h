/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside src/capture: where a piece of memory remembers the tid of a thread, as the C library and a
 * runtime do. Pure: memory is handed in, what is found is handed out.
 */
#ifndef THUMP_CAPTURE_TIDS_H
#define THUMP_CAPTURE_TIDS_H

#include "base/err.h"

struct thump_tid_thread {
	uint64_t self; /* its pthread_t */
	int32_t tid;
};

enum thump_tid_holder {
	THUMP_TID_SELF,	  /* the thread's pthread_t, which a runtime's record of it may hold */
	THUMP_TID_MUTEX,  /* a lock that the thread holds, and that tells its owner by its tid */
	THUMP_TID_RWLOCK, /* the same */
};

struct thump_tid_search {
	struct thump_tid_thread *by_self, *by_tid; /* the same threads, in both orders */
	size_t nr_threads;
	int (*found)(void *ctx, enum thump_tid_holder holder, uint64_t addr,
		     const struct thump_tid_thread *thread, struct thump_err *err);
	void *ctx;
};

/* What is found may be as long as this: so much of the next piece belongs to a piece. */
#define THUMP_TID_LOOKAHEAD ((size_t)56)

/* Sorts the threads, which are the same in both lists. */
void thump_tid_search_init(struct thump_tid_search *search);

/*
 * Finds what begins in the first size_bytes of `bytes`, which is the memory at `addr`; both are
 * multiples of 8. What does not end within readable_bytes is not found.
 */
THUMP_MUST_CHECK int thump_tid_search(const struct thump_tid_search *search, uint64_t addr,
				      const unsigned char *bytes, size_t size_bytes,
				      size_t readable_bytes, struct thump_err *err);

#endif
