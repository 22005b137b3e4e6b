/* SPDX-License-Identifier: Apache-2.0 */
/* Dispositions: handlers with masks and flags, ignored and default signals; and that they work. */
#include "workload.h"

static volatile sig_atomic_t seen_signo, seen_value, seen_blocked;

static void handler(int signo)
{
	sigset_t now;

	seen_signo = signo;
	MUST(sigprocmask(SIG_BLOCK, NULL, &now));
	seen_blocked = sigismember(&now, SIGWINCH);
}

static void info_handler(int signo, siginfo_t *info, void *context)
{
	(void)context;
	seen_signo = signo;
	seen_value = info->si_value.sival_int;
}

static void set(int signo, void (*action)(int), int flags, int also_masked)
{
	struct sigaction sa = { .sa_handler = action, .sa_flags = flags };

	sigemptyset(&sa.sa_mask);
	if (also_masked)
		sigaddset(&sa.sa_mask, also_masked);
	MUST(sigaction(signo, &sa, NULL));
}

static void expect(int signo, void (*action)(int), int flags, int also_masked)
{
	struct sigaction sa;

	MUST(sigaction(signo, NULL, &sa));
	CHECK(sa.sa_handler == action);
	CHECK_EQ(sa.sa_flags & ~0x04000000, flags); /* SA_RESTORER is glibc's */
	for (int other = 1; other <= SIGRTMAX; other++)
		if (sigismember(&sa.sa_mask, other) != (other == also_masked))
			FAIL("signal %d: mask bit %d is wrong", signo, other);
}

int main(void)
{
	union sigval value = { .sival_int = 4711 };
	void (*info_action)(int) = (void (*)(int))(uintptr_t)info_handler;

	workload_init();
	set(SIGHUP, handler, SA_RESTART, SIGWINCH);
	set(SIGALRM, handler, SA_NODEFER | SA_ONSTACK, 0);
	set(SIGCHLD, SIG_DFL, SA_NOCLDSTOP | SA_NOCLDWAIT, 0);
	set(SIGPIPE, SIG_IGN, 0, 0);
	set(SIGRTMIN + 1, info_action, SA_SIGINFO, SIGRTMAX);
	set(SIGRTMAX, handler, SA_RESETHAND, 0);

	workload_checkpoint();

	expect(SIGHUP, handler, SA_RESTART, SIGWINCH);
	expect(SIGALRM, handler, SA_NODEFER | SA_ONSTACK, 0);
	expect(SIGCHLD, SIG_DFL, SA_NOCLDSTOP | SA_NOCLDWAIT, 0);
	expect(SIGPIPE, SIG_IGN, 0, 0);
	expect(SIGRTMIN + 1, info_action, SA_SIGINFO, SIGRTMAX);
	expect(SIGRTMAX, handler, SA_RESETHAND, 0);
	expect(SIGTERM, SIG_DFL, 0, 0);
	MUST(raise(SIGPIPE));
	MUST(raise(SIGHUP));
	CHECK_EQ(seen_signo, SIGHUP);
	CHECK_EQ(seen_blocked, 1);
	MUST(sigqueue(getpid(), SIGRTMIN + 1, value));
	CHECK_EQ(seen_signo, SIGRTMIN + 1);
	CHECK_EQ(seen_value, 4711);
	MUST(raise(SIGRTMAX));
	CHECK_EQ(seen_signo, SIGRTMAX);
	expect(SIGRTMAX, SIG_DFL, SA_RESETHAND, 0);
	workload_pass();
}
