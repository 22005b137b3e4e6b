/* SPDX-License-Identifier: Apache-2.0 */
/* What fcntl(2) sets of an open file description: who gets a signal when it is ready (F_SETOWN_EX,
 * F_SETSIG, O_ASYNC), and, of a pipe, how much goes in (F_SETPIPE_SZ). A hint of how long data
 * lives (F_SET_RW_HINT) is the inode's, and a memfd is another one after a restore. */
#include "workload.h"

#include <sys/mman.h>
#include <sys/socket.h>

#define SIGNO 40

enum { PIPE_BYTES = 1 << 18 };

static void set_owner(int fd, int type, pid_t id, int signo)
{
	const struct f_owner_ex owner = { .type = type, .pid = id };

	MUST(fcntl(fd, F_SETOWN_EX, &owner));
	MUST(fcntl(fd, F_SETSIG, signo));
	MUST(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC));
}

static void check_owner(int fd, int type, pid_t id, int signo)
{
	struct f_owner_ex owner;

	MUST(fcntl(fd, F_GETOWN_EX, &owner));
	CHECK_EQ(owner.type, type);
	CHECK_EQ(owner.pid, id);
	CHECK_EQ(fcntl(fd, F_GETSIG), signo);
	CHECK(fcntl(fd, F_GETFL) & O_ASYNC);
}

/* Something to read makes the kernel send the signal. */
static void check_signal(int reader, int writer, int signo)
{
	siginfo_t info;
	sigset_t set;

	must_write(writer, "x", 1);
	sigemptyset(&set);
	sigaddset(&set, signo ? signo : SIGIO);
	CHECK_EQ(MUST(sigwaitinfo(&set, &info)), signo ? signo : SIGIO);
	if (signo)
		CHECK_EQ(info.si_fd, reader);
}

int main(void)
{
	uint64_t hint = RWH_WRITE_LIFE_SHORT;
	int ends[2], pair[2], memfd;
	enum workload_life life;
	sigset_t all;

	workload_init();
	sigfillset(&all);
	MUST(sigprocmask(SIG_BLOCK, &all, NULL));
	MUST(pipe2(ends, O_CLOEXEC));
	MUST(fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES));
	set_owner(ends[0], F_OWNER_PID, getpid(), SIGNO);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	set_owner(pair[0], F_OWNER_TID, sys_gettid(), 0);
	memfd = (int)MUST(memfd_create("hinted", MFD_CLOEXEC));
	MUST(fcntl(memfd, F_SET_RW_HINT, &hint));

	life = workload_checkpoint();

	MUST(fcntl(memfd, F_GET_RW_HINT, &hint));
	CHECK_EQ(hint, life == WORKLOAD_ORIGINAL ? RWH_WRITE_LIFE_SHORT : RWH_WRITE_LIFE_NOT_SET);
	CHECK_EQ(fcntl(ends[0], F_GETPIPE_SZ), PIPE_BYTES);
	check_owner(ends[0], F_OWNER_PID, getpid(), SIGNO);
	check_owner(pair[0], F_OWNER_TID, sys_gettid(), 0);
	check_signal(ends[0], ends[1], SIGNO);
	check_signal(pair[0], pair[1], 0);
	workload_pass();
}
