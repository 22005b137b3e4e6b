/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children that never outlive their test. One that does keeps the test's stdout and stderr open,
 * and the runner then waits for end of file on them until its time limit, whatever the test said.
 */
#ifndef THUMP_TESTS_TIED_FORK_H
#define THUMP_TESTS_TIED_FORK_H

#include <signal.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

/*
 * Ends this process when its parent does. The parent may have ended before the first instruction
 * of ours: a signal for that never comes, so the parent is looked at afterwards. To be called again
 * after a change of ids, which clears it (PR_SET_PDEATHSIG(2const)).
 */
static inline void tie_to(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent)
		_exit(98);
}

/* fork(2), the child tied to the calling thread. */
static inline pid_t tied_fork(void)
{
	const pid_t parent = getpid();
	const pid_t pid = fork();

	if (pid == 0)
		tie_to(parent);
	return pid;
}

#endif
