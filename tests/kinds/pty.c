/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudoterminals with both ends in the process: modes, size, packets, two descriptions of one end,
 * the terminal of the session; one that is locked, and one that has hung up. */
#include "workload.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static int open_master(void)
{
	int master = (int)MUST(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));

	MUST(unlockpt(master));
	return master;
}

static int open_other_end(int master, int flags)
{
	return (int)MUST(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC | flags));
}

static void set_up(int master)
{
	const struct winsize window = { .ws_row = 43, .ws_col = 117, .ws_xpixel = 7 };
	const int on = 1;
	struct termios modes;

	MUST(tcgetattr(master, &modes));
	modes.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	modes.c_oflag |= OPOST | OLCUC;
	modes.c_cc[VMIN] = 3;
	MUST(tcsetattr(master, TCSANOW, &modes));
	MUST(ioctl(master, TIOCSWINSZ, &window));
	MUST(ioctl(master, TIOCPKT, &on));
}

static void check_set_up(int terminal)
{
	struct winsize window;
	struct termios modes;

	MUST(tcgetattr(terminal, &modes));
	CHECK_EQ(modes.c_lflag & (ICANON | ECHO), 0);
	CHECK_EQ(modes.c_oflag & (OPOST | OLCUC), OPOST | OLCUC);
	CHECK_EQ(modes.c_cc[VMIN], 3);
	MUST(ioctl(terminal, TIOCGWINSZ, &window));
	CHECK_EQ(window.ws_row, 43);
	CHECK_EQ(window.ws_col, 117);
	CHECK_EQ(window.ws_xpixel, 7);
}

static void check_talk(int master, int terminal, int second)
{
	char bytes[8];

	/* VMIN bytes are there at once. */
	must_write(master, "abc", 3);
	must_read(terminal, bytes, 3);
	CHECK(memcmp(bytes, "abc", 3) == 0);
	CHECK_EQ(read(second, bytes, 1), -1);
	CHECK_EQ(errno, EAGAIN);
	must_write(second, "xyz", 3);
	/* A packet begins with what it is. */
	must_read(master, bytes, 4);
	CHECK(memcmp(bytes, "\0XYZ", 4) == 0);
}

/* `held`: /dev/tty, open since before. */
static void check_session(int terminal, int held)
{
	int tty = (int)MUST(open("/dev/tty", O_RDWR | O_CLOEXEC));

	CHECK_EQ(tcgetsid(held), getpid());
	CHECK_EQ(tcgetsid(terminal), getpid());
	CHECK_EQ(tcgetpgrp(terminal), getpgrp());
	MUST(close(tty));
}

static void check_locked(int locked)
{
	CHECK_EQ(ioctl(locked, TIOCGPTPEER, O_RDWR | O_NOCTTY), -1);
	CHECK_EQ(errno, EIO);
	MUST(unlockpt(locked));
	MUST(close(open_other_end(locked, 0)));
}

static void check_hung_up(int hung_up)
{
	struct pollfd pollfd = { .fd = hung_up };
	char byte;

	CHECK_EQ(poll(&pollfd, 1, 0), 1);
	CHECK_EQ(pollfd.revents, POLLHUP);
	CHECK_EQ(read(hung_up, &byte, 1), -1);
	CHECK_EQ(errno, EIO);
	MUST(close(open_other_end(hung_up, 0)));
}

int main(void)
{
	int master, terminal, second, held, locked, hung_up;

	workload_init();
	MUST(setsid());
	master = open_master();
	set_up(master);
	terminal = open_other_end(master, 0);
	second = open_other_end(master, O_NONBLOCK);
	MUST(ioctl(terminal, TIOCSCTTY, 0));
	held = (int)MUST(open("/dev/tty", O_RDWR | O_CLOEXEC));
	locked = (int)MUST(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
	hung_up = open_master();
	MUST(close(open_other_end(hung_up, 0)));

	workload_checkpoint();

	check_set_up(terminal);
	check_talk(master, terminal, second);
	check_session(terminal, held);
	check_locked(locked);
	check_hung_up(hung_up);
	workload_pass();
}
