/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System.nanoTime() goes on where it was, on any machine and without a time namespace: libjvm.so
 * calls clock_gettime(2) and pthread_cond_timedwait(3) through slots of its own (slots.c), which
 * here are made to point to functions that know how much the clock is ahead of the program's. The
 * engine adds to that number before the restored process runs (coord/abi.h); it is 0 before.
 *
 * From the very beginning, not only after a restore: a thread that waits across the checkpoint
 * waits with a time of the machine's clock that lies in our frame. The engine moves that one; the
 * caller's own copy stays in the program's time.
 *
 * No other library of the JDK asks for monotonic time (libjava, libnio, libnet: none imports these
 * functions).
 */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "agent.h"

#define NS_PER_S INT64_C(1000000000)

static int64_t ahead_ns(void)
{
	return __atomic_load_n(&agent_get()->clock_ahead_ns, __ATOMIC_RELAXED);
}

static struct timespec moved(const struct timespec *time, int64_t ns)
{
	struct timespec sum = { .tv_sec = time->tv_sec + ns / NS_PER_S,
				.tv_nsec = time->tv_nsec + ns % NS_PER_S };

	if (sum.tv_nsec < 0) {
		sum.tv_nsec += NS_PER_S;
		sum.tv_sec--;
	} else if (sum.tv_nsec >= NS_PER_S) {
		sum.tv_nsec -= NS_PER_S;
		sum.tv_sec++;
	}
	return sum;
}

static int own_clock_gettime(clockid_t clock, struct timespec *now)
{
	int rc = clock_gettime(clock, now);
	int64_t ahead = ahead_ns();

	if (ahead != 0 && rc == 0 && clock == CLOCK_MONOTONIC)
		*now = moved(now, -ahead);
	return rc;
}

/* Bit 1 of __wrefs: the condition variable has CLOCK_MONOTONIC (nptl/pthread_cond_common.c; since
 * glibc 2.25, and public in the type). */
#define COND_IS_MONOTONIC 2u

static int own_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
			      const struct timespec *until)
{
	struct timespec here;

	if (!(__atomic_load_n(&cond->__data.__wrefs, __ATOMIC_RELAXED) & COND_IS_MONOTONIC))
		return pthread_cond_timedwait(cond, mutex, until);
	here = moved(until, ahead_ns());
	if (here.tv_sec < 0)
		here = (struct timespec){ 0 }; /* in the past, but a valid time */
	return pthread_cond_timedwait(cond, mutex, &here);
}

void clock_stood_since(struct agent *agent, uint64_t since_ns)
{
	int64_t passed_ns = (int64_t)(agent_now_ns(CLOCK_MONOTONIC) - since_ns);

	if (agent->has_clock)
		__atomic_store_n(&agent->clock_ahead_ns, agent->clock_ahead_ns + passed_ns,
				 __ATOMIC_RELAXED);
}

bool clock_take_over(struct agent *agent)
{
	const struct slot slots[] = {
		{ "clock_gettime", (uintptr_t)own_clock_gettime },
		{ "pthread_cond_timedwait", (uintptr_t)own_cond_timedwait },
	};

	return slots_point(agent, slots, 2) == 2;
}
