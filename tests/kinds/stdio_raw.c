/* SPDX-License-Identifier: Apache-2.0 */
/* A program that has made its terminal raw, as editors and shells do, and never puts it back. */
#include "workload.h"

#include <termios.h>

int main(void)
{
	struct termios before, raw, after;

	workload_init();
	MUST(tcgetattr(STDIN_FILENO, &before));
	raw = before;
	cfmakeraw(&raw);
	raw.c_cc[VMIN] = 7;
	MUST(tcsetattr(STDIN_FILENO, TCSANOW, &raw));

	workload_checkpoint();

	MUST(tcgetattr(STDIN_FILENO, &after));
	CHECK_EQ(after.c_iflag, raw.c_iflag);
	CHECK_EQ(after.c_oflag, raw.c_oflag);
	CHECK_EQ(after.c_lflag, raw.c_lflag);
	CHECK(memcmp(after.c_cc, raw.c_cc, sizeof(raw.c_cc)) == 0);
	workload_pass();
}
