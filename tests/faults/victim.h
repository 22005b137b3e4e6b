/* SPDX-License-Identifier: Apache-2.0 */
/*
 * victim [savable]: a program that checks itself all the time, for tests that stop it and kill who
 * stopped it. Threads of two sorts: waiters sit in one system call for ever and must never see it
 * end; workers do something over and over and compare the result. With `savable` it leaves out what
 * no image can hold. Linked with libthump, it takes part in its checkpoints.
 *
 * It obeys bytes on its standard input and answers with lines on its standard output:
 *     (start)  "ready"
 *     p        every worker has made progress, every waiter is in its call: "N errors N eintrs N
 * late" q        every waiter gets what it waits for: the same answer, then exit 0 or 1
 */
#ifndef THUMP_TESTS_FAULTS_VICTIM_H
#define THUMP_TESTS_FAULTS_VICTIM_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define AN_HOUR_MS 3600000
#define AN_HOUR_S  3600

/* ---- errors (victim.c) --------------------------------------------------------------------- */

void victim_error(const char *who, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* EINTR where no handler ran: counted apart, because a tracer killed between a stop and its
 * correction cannot but cause one. */
void victim_eintr(const char *who);
/* A timeout that came far too late. */
void victim_late(const char *who);
void victim_must(bool good, const char *what); /* set-up: ends the program */

/* ---- waiters (waiters.c) ------------------------------------------------------------------- */

struct waiter_state {
	pid_t tid;
	int fd, other_fd, id;
	uint32_t futex_word;
	sigset_t set;
	struct timespec timeout;
	char path[64];
	char buf[256];
};

struct waiter {
	const char *name;
	long nr; /* the system call that it sits in */
	void (*set_up)(struct waiter_state *state);
	long (*wait)(struct waiter_state *state); /* -1 with errno, else the result */
	void (*wake)(struct waiter_state *state);
	long want;
};

extern const struct waiter victim_waiters[];
extern const size_t victim_nr_waiters;

/* ---- workers (workers.c) -------------------------------------------------------------------- */

struct worker {
	const char *name;
	void (*set_up)(void); /* in the thread; may be NULL */
	void (*round)(void);
	bool slow; /* rounds are long: p does not wait for one */
};

extern const struct worker victim_workers[];
extern const size_t victim_nr_workers;

#endif
