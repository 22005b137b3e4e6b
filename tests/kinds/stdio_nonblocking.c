/* SPDX-License-Identifier: Apache-2.0 */
/* Standard input that the program made non-blocking is so for it after a restore. */
#include "workload.h"

int main(void)
{
	int flags;
	char byte;

	workload_init();
	flags = (int)MUST(fcntl(STDIN_FILENO, F_GETFL));
	MUST(fcntl(STDIN_FILENO, F_SETFL, flags | O_NONBLOCK));

	workload_checkpoint();

	CHECK(MUST(fcntl(STDIN_FILENO, F_GETFL)) & O_NONBLOCK);
	CHECK_EQ(read(STDIN_FILENO, &byte, 1), -1);
	CHECK_EQ(errno, EAGAIN);
	workload_pass();
}
