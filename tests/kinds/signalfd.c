/* SPDX-License-Identifier: Apache-2.0 */
/* A signalfd with its mask, read after a signal that was pending meanwhile. */
#include "workload.h"

#include <sys/signalfd.h>

int main(void)
{
	struct signalfd_siginfo info;
	sigset_t set;
	int fd;

	workload_init();
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGRTMIN + 1);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	fd = (int)MUST(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
	MUST(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 4711 }));

	workload_checkpoint();

	must_read(fd, &info, sizeof(info));
	CHECK_EQ(info.ssi_signo, SIGRTMIN + 1);
	CHECK_EQ(info.ssi_int, 4711);
	CHECK_EQ(read(fd, &info, sizeof(info)), -1);
	CHECK_EQ(errno, EAGAIN);
	MUST(raise(SIGWINCH));
	must_read(fd, &info, sizeof(info));
	CHECK_EQ(info.ssi_signo, SIGWINCH);
	workload_pass();
}
