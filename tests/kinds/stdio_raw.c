/* SPDX-License-Identifier: Apache-2.0 */
/* A program that has made its terminal raw, as editors and shells do, and never puts it back. With
 * an argument: the terminal of the restored program has another size, which a signal tells. */
#include "workload.h"

#include <sys/ioctl.h>
#include <termios.h>

int main(int argc, char **argv)
{
	struct winsize window;
	sigset_t resized;
	struct termios before, raw, after;

	(void)argv;
	workload_init();
	(void)sigemptyset(&resized);
	(void)sigaddset(&resized, SIGWINCH);
	(void)sigprocmask(SIG_BLOCK, &resized, NULL);
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
	if (argc > 1) {
		CHECK_EQ(sigwaitinfo(&resized, NULL), SIGWINCH);
		MUST(ioctl(STDIN_FILENO, TIOCGWINSZ, &window));
		CHECK_EQ(window.ws_row, 60);
	}
	workload_pass();
}
