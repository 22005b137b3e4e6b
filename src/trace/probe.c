/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/probe.h"

#include <errno.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

bool thump_probe_ptrace(void)
{
	pid_t pid = fork();
	int status = 0;

	if (pid < 0)
		return false;
	if (pid == 0)
		_exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : errno);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EPERM; /* killed: by a seccomp filter */
	return false;
}
