/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for ptrace-stops with a deadline and without polling: SIGCHLD, which the kernel sends to
 * the tracer at every stop and end of a tracee, is blocked and taken with sigtimedwait(2). It is
 * blocked before the event is provoked, so no wake-up is lost.
 *
 * A thread that makes a call for us is back within microseconds, and to be woken up from a sleep
 * takes longer than that: so the first microseconds are spent looking.
 */
#ifndef THUMP_TRACE_WAIT_H
#define THUMP_TRACE_WAIT_H

#include <signal.h>

#include "base/clock.h"
#include "base/err.h"

struct thump_waiter {
	sigset_t old_mask;
	struct sigaction old_action;
	bool swallowed;	  /* a SIGCHLD was taken that may have been meant for the caller */
	sigset_t awaited; /* SIGCHLD, and what ends all waiting */
	int given_up_on;  /* the one of these that came, or 0 */
	uint64_t spin_ns; /* for how long to look before sleeping; 0 with one processor */
};

THUMP_MUST_CHECK int thump_waiter_create(struct thump_waiter **waiter_ret, struct thump_err *err);
/* Puts mask and disposition back; sends the caller a SIGCHLD in place of those taken. */
void thump_waiter_destroy(struct thump_waiter *waiter);

/* From now on, when one of these signals comes, it is taken and waiting ends for good: with -1 and
 * ECANCELED. They are blocked already. */
void thump_waiter_give_up_on(struct thump_waiter *waiter, const sigset_t *signals);

uint64_t thump_deadline_ns(unsigned timeout_ms); /* 0 = never = UINT64_MAX */

/* Of waitid(2): has the task ended (and not stopped)? */
bool thump_is_end(const siginfo_t *info);

/*
 * Waits for a change of `tid`: 1 with its wait status, 0 when the deadline has passed, -1 with
 * errno (ECHILD: no tracee of ours any more; ECANCELED: see above). Ends are reaped. Stops are only
 * looked at (WNOWAIT): wait_task_stopped() in kernel/exit.c clears the exit code, which in a
 * signal-delivery-stop is the signal; had we taken it and died before passing it on, it would be
 * lost. So a stop is seen again until the thread goes on.
 */
THUMP_MUST_CHECK int thump_wait_tid(struct thump_waiter *waiter, pid_t tid, uint64_t deadline_ns,
				    int *status_ret);

/* Waits for the end of `tid`, which is not reaped; false when the deadline has passed, or nobody
 * can tell. */
THUMP_MUST_CHECK bool thump_wait_end(struct thump_waiter *waiter, pid_t tid, uint64_t deadline_ns);

/* Sleeps until any tracee changes; false when the deadline has passed. */
THUMP_MUST_CHECK bool thump_wait_any(struct thump_waiter *waiter, uint64_t deadline_ns);

#endif
