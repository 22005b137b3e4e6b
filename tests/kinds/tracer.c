/* SPDX-License-Identifier: Apache-2.0 */
/* Traces process PID until its standard input ends, without ever stopping it; usage: tracer PID */
#include "workload.h"

#include <sys/ptrace.h>

int main(int argc, char **argv)
{
	char byte;

	CHECK_EQ(argc, 2);
	if (ptrace(PTRACE_SEIZE, atoi(argv[1]), NULL, NULL) != 0)
		workload_skip("ptrace: %s", strerror(errno));
	must_write(STDOUT_FILENO, "ready\n", 6);
	CHECK_EQ(read(STDIN_FILENO, &byte, 1), 0);
	/* The tracee goes on by itself when its tracer ends. */
	return 0;
}
