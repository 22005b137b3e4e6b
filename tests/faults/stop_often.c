/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stop_often VICTIM HOLDER ROUNDS: the victim sits through many stops, with system calls made in
 * its threads, and sees neither an EINTR nor a timeout that is early or does not come.
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drive.h"

static int run_holder(const char *path, pid_t victim_pid, const char *rounds)
{
	char number[16];
	int status = -1;
	pid_t pid;

	(void)snprintf(number, sizeof(number), "%d", victim_pid);
	pid = fork();
	if (pid == 0) {
		(void)execl(path, path, number, rounds, (char *)NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("wait for the holder");
	return status;
}

int main(int argc, char **argv)
{
	struct victim victim;
	int held;

	if (argc != 4) {
		(void)fprintf(stderr, "usage: stop_often VICTIM HOLDER ROUNDS\n");
		return 2;
	}
	victim = start_victim(argv[1], false);
	held = run_holder(argv[2], victim.pid, argv[3]);
	if (held != 0)
		(void)fprintf(stderr, "the holder ended with wait status 0x%x\n", (unsigned)held);
	return ask(&victim, 'p') == 0 && ask(&victim, 'q') == 0 && held == 0 && victim.late == 0
		       ? 0
		       : 1;
}
