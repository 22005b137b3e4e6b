/* SPDX-License-Identifier: Apache-2.0 */
/* Standard streams as the launcher made them: the restored program's are those of the restoring
 * command; the null device stays the null device, closed ones stay closed. */
#include "workload.h"

#include <sys/stat.h>

int main(int argc, char **argv)
{
	struct stat before, after;
	bool no_stdin = argc > 1 && strcmp(argv[1], "closed-stdin") == 0;

	workload_init();
	if (no_stdin)
		MUST(close(STDIN_FILENO));
	else
		MUST(fstat(STDIN_FILENO, &before));

	workload_checkpoint();

	if (no_stdin) {
		CHECK_EQ(fcntl(STDIN_FILENO, F_GETFD), -1);
	} else {
		MUST(fstat(STDIN_FILENO, &after));
		CHECK_EQ(after.st_rdev, before.st_rdev);
	}
	CHECK_EQ(fcntl(STDOUT_FILENO, F_GETFD), 0);
	must_write(STDOUT_FILENO, "verified\n", 9);
	must_write(STDERR_FILENO, "verified\n", 9);
	workload_pass();
}
