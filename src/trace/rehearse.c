/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trying system calls before a target makes them. A seccomp filter may end whoever makes a call
 * that it does not know (SystemCallFilter= of systemd.exec(5) does), and the filter of a service is
 * made for what its program needs, not for what a checkpoint asks. Filters cannot be read without
 * CAP_SYS_ADMIN; but a child of ours has those that we have.
 *
 * Filters see numbers and arguments alone, so neither the result of a rehearsed call matters nor
 * that descriptors and addresses mean something else in the child. What thump makes targets call
 * only asks.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "trace/internal.h"

/* A filter may also have a supervisor that never answers (SECCOMP_RET_USER_NOTIF). */
#define ANSWER_PATIENCE_MS 2000

struct request {
	int64_t nr;
	uint64_t args[6];
};

/* What filters tell calls apart by, as far as thump's calls differ in it. */
struct known {
	int64_t nr;
	uint64_t selector;
};

struct thump_rehearsal {
	pid_t pid;
	int fd; /* SOCK_SEQPACKET; the child ends with it */
	bool ended;
	struct known *known; /* harmless */
	size_t nr_known;
};

/* ---- in the child -------------------------------------------------------------------------- */

static void do_nothing(int signo)
{
	(void)signo;
}

/* What brings a thread back should we be killed is rt_sigreturn(2). */
static void return_from_handler(void)
{
	const struct sigaction action = { .sa_handler = do_nothing };
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigaction(SIGUSR1, &action, NULL);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	(void)raise(SIGUSR1);
}

_Noreturn static void serve(int fd)
{
	struct request request;
	char answer = 0;

	/* Descriptors that a call names must not be thump's: F_SETFL works on what is shared. */
	if (fd > 0)
		(void)close_range(0, (unsigned)fd - 1, 0);
	(void)close_range((unsigned)fd + 1, UINT_MAX, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it may hang in a call */
	return_from_handler();
	while (recv(fd, &request, sizeof(request), 0) == (ssize_t)sizeof(request)) {
		(void)syscall(request.nr, request.args[0], request.args[1], request.args[2],
			      request.args[3], request.args[4], request.args[5]);
		if (send(fd, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

/* ---- in thump ------------------------------------------------------------------------------ */

int thump_rehearsal_create(struct thump_rehearsal **rehearsal_ret, struct thump_err *err)
{
	struct thump_rehearsal *rehearsal = calloc(1, sizeof(*rehearsal));
	int fds[2];

	if (!rehearsal)
		return thump_fail_errno(err, "rehearse system calls");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
		free(rehearsal);
		return thump_fail_errno(err, "rehearse system calls: socketpair");
	}
	rehearsal->fd = fds[0];
	rehearsal->pid = fork();
	if (rehearsal->pid == 0) {
		(void)close(fds[0]);
		serve(fds[1]);
	}
	(void)close(fds[1]);
	if (rehearsal->pid < 0) {
		(void)thump_fail_errno(err, "rehearse system calls: fork");
		rehearsal->ended = true;
		thump_rehearsal_destroy(rehearsal);
		return -1;
	}
	*rehearsal_ret = rehearsal;
	return 0;
}

static void reap(struct thump_rehearsal *rehearsal)
{
	while (!rehearsal->ended && waitpid(rehearsal->pid, NULL, 0) < 0 && errno == EINTR)
		;
	rehearsal->ended = true;
}

void thump_rehearsal_destroy(struct thump_rehearsal *rehearsal)
{
	if (!rehearsal)
		return;
	/* A child that hangs in a call does not see the end of file. */
	if (!rehearsal->ended)
		(void)kill(rehearsal->pid, SIGKILL);
	thump_close_fd(&rehearsal->fd);
	reap(rehearsal);
	free(rehearsal->known);
	free(rehearsal);
}

static struct known key_of(const struct request *request)
{
	const bool by_option = request->nr == SYS_prctl || request->nr == SYS_arch_prctl;
	const bool by_command = request->nr == SYS_fcntl || request->nr == SYS_ioctl;

	return (struct known){
		.nr = request->nr,
		.selector = by_option	 ? request->args[0]
			    : by_command ? request->args[1]
					 : 0,
	};
}

static bool is_known(const struct thump_rehearsal *rehearsal, const struct known *key)
{
	for (size_t i = 0; i < rehearsal->nr_known; i++) {
		if (rehearsal->known[i].nr == key->nr &&
		    rehearsal->known[i].selector == key->selector)
			return true;
	}
	return false;
}

/* One that cannot be remembered is rehearsed again. */
static void remember(struct thump_rehearsal *rehearsal, const struct known *key)
{
	struct known *grown = realloc(rehearsal->known, (rehearsal->nr_known + 1) * sizeof(*grown));

	if (!grown)
		return;
	rehearsal->known = grown;
	grown[rehearsal->nr_known++] = *key;
}

static bool answers(const struct thump_rehearsal *rehearsal, const struct request *request)
{
	struct pollfd answer = { .fd = rehearsal->fd, .events = POLLIN };
	int ready;
	char byte;

	if (send(rehearsal->fd, request, sizeof(*request), MSG_NOSIGNAL) < 0)
		return false;
	do
		ready = poll(&answer, 1, ANSWER_PATIENCE_MS);
	while (ready < 0 && errno == EINTR);
	return ready > 0 && recv(rehearsal->fd, &byte, sizeof(byte), MSG_DONTWAIT) == 1;
}

int thump_rehearse(struct thump_rehearsal *rehearsal, long nr, const uint64_t args[6],
		   uint64_t area, struct thump_err *err)
{
	struct request request = { .nr = nr };
	const struct known key =
		key_of(&(struct request){ .nr = nr, .args = { args[0], args[1] } });

	if (is_known(rehearsal, &key))
		return 0;
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(request.args); i++) {
		const uint64_t offset = args[i] - area;

		request.args[i] = area != 0 && offset < THUMP_REMOTE_AREA_SIZE ? 0 : args[i];
	}
	if (!rehearsal->ended && answers(rehearsal, &request)) {
		remember(rehearsal, &key);
		return 0;
	}
	return thump_refuse(err,
			    "the seccomp filter that it shares with thump ends, or holds, whoever "
			    "makes system call %ld (%lu, %lu), which a checkpoint needs",
			    nr, (unsigned long)args[0], (unsigned long)args[1]);
}
