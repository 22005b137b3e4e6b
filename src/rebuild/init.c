/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pid 1 of a restored program's pid namespace: a copy of thump that has done its work and stays,
 * because the namespace ends with it. It holds nothing: no descriptor but its socket to thump, no
 * directory, no terminal, no capability.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/forward.h"
#include "base/note.h"
#include "rebuild/spawn.h"

struct init {
	pid_t program;
	int program_fd; /* pidfd of a clone, which is no child of ours; else -1 */
	int control_fd; /* -1 once thump has gone */
	int signal_fd;
};

/* 0, 1 and 2 keep no pipe or terminal of the caller open; everything else but *control_fd goes. */
static void let_go(int *control_fd)
{
	const struct thump_caps none = { 0 };
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), moved;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (null_fd >= 0)
			(void)dup2(null_fd, fd);
		else
			(void)close(fd);
	}
	moved = dup3(*control_fd, STDERR_FILENO + 1, O_CLOEXEC);
	if (moved >= 0)
		*control_fd = moved;
	if (*control_fd == STDERR_FILENO + 1)
		(void)close_range(STDERR_FILENO + 2, ~0U, 0);
	if (chdir("/") < 0)
		return; /* then we hold the directory; nothing else depends on it */
	(void)prctl(PR_SET_NAME, "thump-init");
	(void)!thump_caps_set(&none);
}

static void tell(const struct init *init, enum thump_init_event_what what, int value)
{
	const struct thump_init_event event = { .what = what, .value = value };

	/* thump may be gone; its end of file tells that. */
	if (init->control_fd >= 0)
		(void)send(init->control_fd, &event, sizeof(event), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void handle_signal(const struct init *init, const struct signalfd_siginfo *info)
{
	/* What the kernel sends (SIGCHLD, a terminal) is for us; the program has its own. */
	if (info->ssi_signo == SIGCHLD || info->ssi_code == SI_KERNEL)
		return;
	/* Too late: the program runs, and the signal that is the reason will come. */
	if (thump_is_note(info, THUMP_NOTE_GIVE_UP))
		return;
	if (thump_is_note(info, THUMP_NOTE_CHECKPOINTED)) {
		tell(init, THUMP_INIT_CHECKPOINTED, 0);
		(void)kill(init->program, SIGKILL);
		return;
	}
	thump_forward_signal(info, init->program, -1);
}

static void drain_signals(const struct init *init)
{
	struct signalfd_siginfo info;

	while (read(init->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		handle_signal(init, &info);
}

/* The kernel ends the program with us. */
_Noreturn static void fail(const struct init *init)
{
	tell(init, THUMP_INIT_FAILED, errno);
	_exit(THUMP_PASSTHROUGH_BASE + THUMP_FAILED);
}

/* Reaps all there is; ends us when the program ended. */
static void reap(const struct init *init)
{
	for (;;) {
		siginfo_t info = { .si_pid = 0 };

		if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG) < 0) {
			if (errno == ECHILD && init->program_fd >= 0)
				return;
			fail(init); /* ECHILD: nothing to stay for */
		}
		if (info.si_pid == 0)
			return;
		if (info.si_pid != init->program)
			continue;
		if (info.si_code == CLD_STOPPED) {
			tell(init, THUMP_INIT_STOPPED, info.si_status);
			continue;
		}
		if (info.si_code == CLD_TRAPPED)
			continue;
		/* A note about this end was queued before it. */
		drain_signals(init);
		_exit(info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status);
	}
}

/* thump said nothing and never will: end of file means that it has gone. The program goes on, as
 * everywhere when its parent has been killed. */
static void handle_control(struct init *init)
{
	char byte;
	ssize_t got = recv(init->control_fd, &byte, sizeof(byte), MSG_DONTWAIT);

	if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	thump_close_fd(&init->control_fd);
}

/* Its status is told by whoever is its parent. */
static void open_clone(struct init *init)
{
	init->program_fd = (int)syscall(SYS_pidfd_open, init->program, 0);
	if (init->program_fd < 0 && errno == ESRCH)
		_exit(THUMP_OK);
	if (init->program_fd < 0)
		fail(init);
}

_Noreturn void thump_init_serve(pid_t program, bool is_clone, int control_fd)
{
	struct init init = { .program = program, .program_fd = -1, .control_fd = control_fd };
	sigset_t all;

	let_go(&init.control_fd);
	if (is_clone)
		open_clone(&init);
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	init.signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (init.signal_fd < 0)
		fail(&init);
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = init.signal_fd, .events = POLLIN },
			{ .fd = init.control_fd, .events = POLLIN },
			{ .fd = init.program_fd, .events = POLLIN },
		};

		drain_signals(&init);
		reap(&init);
		/* poll(2), ENOMEM and EINTR pass; the program must not end for them. */
		if (poll(fds, THUMP_ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[1].revents)
			handle_control(&init);
		if (fds[2].revents)
			_exit(THUMP_OK);
	}
}
