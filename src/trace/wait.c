/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/wait.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS (THUMP_NS_PER_S / 1000)

/* A system call of a tracee, from stop to stop, takes 5 to 15 us. */
#define SPIN_NS ((uint64_t)40 * 1000)

/* waitid(2) knows no error that passes, but EINTR; who filters system calls may. */
enum { LOOKS_MAX = 3 };

static sigset_t only_sigchld(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	return set;
}

/* With one processor, looking keeps the tracee from running. */
static bool has_processors_to_spare(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 1;
}

int thump_waiter_create(struct thump_waiter **waiter_ret, struct thump_err *err)
{
	/* SIG_IGN and SA_NOCLDSTOP would keep the kernel from sending it: see
	 * do_notify_parent_cldstop() in kernel/signal.c. A blocked signal stays pending even
	 * though SIG_DFL ignores it. */
	const struct sigaction action = { .sa_handler = SIG_DFL };
	const sigset_t set = only_sigchld();
	struct thump_waiter *waiter = calloc(1, sizeof(*waiter));

	if (!waiter)
		return thump_fail_errno(err, "wait for stops");
	if (pthread_sigmask(SIG_BLOCK, &set, &waiter->old_mask) != 0 ||
	    sigaction(SIGCHLD, &action, &waiter->old_action) != 0) {
		free(waiter);
		return thump_fail_errno(err, "block SIGCHLD");
	}
	waiter->awaited = set;
	waiter->spin_ns = has_processors_to_spare() ? SPIN_NS : 0;
	*waiter_ret = waiter;
	return 0;
}

void thump_waiter_destroy(struct thump_waiter *waiter)
{
	if (!waiter)
		return;
	if (waiter->swallowed)
		(void)kill(getpid(), SIGCHLD);
	(void)sigaction(SIGCHLD, &waiter->old_action, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &waiter->old_mask, NULL);
	free(waiter);
}

bool thump_is_end(const siginfo_t *info)
{
	return info->si_code == CLD_EXITED || info->si_code == CLD_KILLED ||
	       info->si_code == CLD_DUMPED;
}

uint64_t thump_deadline_ns(unsigned timeout_ms)
{
	return timeout_ms == 0 ? UINT64_MAX : thump_now_ns() + timeout_ms * NS_PER_MS;
}

static void note_signal(struct thump_waiter *waiter, int signo)
{
	if (signo == SIGCHLD)
		waiter->swallowed = true;
	else if (signo > 0)
		waiter->given_up_on = signo;
}

void thump_waiter_give_up_on(struct thump_waiter *waiter, const sigset_t *signals)
{
	const struct timespec now = { 0 };

	(void)sigorset(&waiter->awaited, &waiter->awaited, signals);
	/* One that is here already counts, even if nothing has to be waited for. */
	note_signal(waiter, sigtimedwait(signals, NULL, &now));
}

bool thump_wait_any(struct thump_waiter *waiter, uint64_t deadline_ns)
{
	const uint64_t now_ns = thump_now_ns();
	struct timespec left;

	if (now_ns >= deadline_ns)
		return false;
	if (deadline_ns == UINT64_MAX) {
		note_signal(waiter, sigwaitinfo(&waiter->awaited, NULL));
		return true;
	}
	left.tv_sec = (time_t)((deadline_ns - now_ns) / THUMP_NS_PER_S);
	left.tv_nsec = (long)((deadline_ns - now_ns) % THUMP_NS_PER_S);
	/* Time over and EINTR come back as true: the caller looks once more before giving up. */
	note_signal(waiter, sigtimedwait(&waiter->awaited, NULL, &left));
	return true;
}

/* 1 and the status, 0 when nothing has changed, -1 with errno. */
static int look(pid_t tid, int *status_ret)
{
	siginfo_t info = { 0 };

	/* __WALL: threads other than the leader are "clone children". */
	if (waitid(P_PID, (id_t)tid, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL) != 0)
		return -1;
	if (info.si_pid != tid)
		return 0;
	if (thump_is_end(&info))
		return waitpid(tid, status_ret, __WALL) == tid ? 1 : -1;
	*status_ret = (int)((unsigned)info.si_status << 8 | 0x7f);
	return 1;
}

int thump_wait_tid(struct thump_waiter *waiter, pid_t tid, uint64_t deadline_ns, int *status_ret)
{
	const uint64_t spin_end_ns = thump_min_u64(deadline_ns, thump_now_ns() + waiter->spin_ns);
	int nr_failures = 0;

	for (;;) {
		int got = look(tid, status_ret);

		while (got == 0 && thump_now_ns() < spin_end_ns)
			got = look(tid, status_ret);
		if (waiter->given_up_on) {
			errno = ECANCELED;
			return -1;
		}
		if (got > 0)
			return 1;
		if (got < 0 && (errno == ECHILD || ++nr_failures == LOOKS_MAX))
			return -1;
		if (got < 0)
			continue; /* a tracee that seems gone but is not would be left in a call */
		if (!thump_wait_any(waiter, deadline_ns))
			return 0;
	}
}

bool thump_wait_end(struct thump_waiter *waiter, pid_t tid, uint64_t deadline_ns)
{
	for (;;) {
		siginfo_t info = { 0 };

		if (waitid(P_PID, (id_t)tid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0)
			return false;
		if (info.si_pid == tid && thump_is_end(&info))
			return true;
		if (!thump_wait_any(waiter, deadline_ns))
			return false;
	}
}
