/* SPDX-License-Identifier: Apache-2.0 */
#include "base/beside.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

int thump_fork_beside(void)
{
	const pid_t child = fork();

	if (child < 0)
		return -1;
	if (child == 0) {
		if (fork() != 0)
			_exit(0);
		return 0;
	}
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		continue;
	return 1;
}
