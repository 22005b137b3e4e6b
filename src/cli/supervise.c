/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/beside.h"
#include "base/fd.h"
#include "base/forward.h"
#include "base/note.h"
#include "rebuild/template.h"

/* These report faults of our own; blocked, they would end us without a trace of why. */
static const int own_faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT };

static sigset_t ending_signals(void)
{
	static const int all[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	struct sigaction action;
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(all); i++)
		if (sigaction(all[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			(void)sigaddset(&set, all[i]);
	return set;
}

int thump_supervisor_init(struct thump_supervise *sup, bool wants_continue, struct thump_err *err)
{
	sigset_t all;

	*sup = (struct thump_supervise)THUMP_SUPERVISE_INIT;
	sup->reap_all = getpid() == 1;
	sup->ending = ending_signals();
	(void)sigfillset(&all);
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(own_faults); i++)
		(void)sigdelset(&all, own_faults[i]);
	if (sigprocmask(SIG_BLOCK, &all, &sup->outer_mask) < 0)
		return thump_fail_errno(err, "block signals");
	/* An ignored SIGCHLD would have the kernel reap for us, and the status would be lost. */
	sup->outer_sigchld = signal(SIGCHLD, SIG_DFL);
	/* Blocked signals are queued even where they are ignored: this only shows in SigIgn. */
	sup->outer_note = signal(THUMP_NOTE_SIGNAL, wants_continue ? SIG_IGN : SIG_DFL);
	if (sup->outer_sigchld == SIG_ERR || sup->outer_note == SIG_ERR)
		return thump_fail_errno(err, "set signal dispositions");
	sup->signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (sup->signal_fd < 0)
		return thump_fail_errno(err, "signalfd");
	return 0;
}

void thump_supervisor_deinit(struct thump_supervise *sup)
{
	thump_close_fd(&sup->signal_fd);
	thump_close_fd(&sup->control_fd);
	thump_close_fd(&sup->keeper_fd);
	thump_close_fd(&sup->program_fd);
}

void thump_supervisor_release_child(const struct thump_supervise *sup)
{
	(void)signal(SIGCHLD, sup->outer_sigchld);
	(void)signal(THUMP_NOTE_SIGNAL, sup->outer_note);
	(void)sigprocmask(SIG_SETMASK, &sup->outer_mask, NULL);
}

int thump_supervisor_fork_beside(const struct thump_supervise *sup, const char *name)
{
	const int result = thump_fork_beside();

	if (result == 0) {
		thump_supervisor_release_child(sup);
		(void)prctl(PR_SET_NAME, name);
	}
	return result;
}

/* ---- forwarding --------------------------------------------------------------------------- */

/*
 * What the terminal's driver sends goes to a whole process group (tty_ioctl(4), N_TTY), and the
 * program is in ours. Only a hang-up goes to the session leader alone: then we pass it on.
 */
static bool program_has_it(const struct thump_supervise *sup, const struct signalfd_siginfo *info)
{
	/* A clone leads a session of its own. */
	if (info->ssi_code != SI_KERNEL || sup->keeper_fd >= 0)
		return false;
	switch ((int)info->ssi_signo) {
	case SIGINT:
	case SIGQUIT:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
	case SIGWINCH:
		return true;
	case SIGHUP:
	case SIGCONT:
		return getsid(0) != getpid();
	default:
		return false;
	}
}

/* Whether the program is stopped: the state in /proc/PID/stat, after the name in parentheses. */
static bool program_is_stopped(const struct thump_supervise *sup)
{
	char path[64];
	auto_free char *stat = NULL;
	const char *name_end;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)sup->program);
	if (thump_slurp(AT_FDCWD, path, &stat, NULL) < 0)
		return true; /* cannot be seen: one SIGCONT too many does no harm */
	name_end = strrchr(stat, ')');
	return name_end && name_end[1] == ' ' && name_end[2] == 'T';
}

/*
 * A signal to a group is sent to one member after the other under the kernel's tasklist_lock.
 * setpgid(2) takes that lock for writing, so after it such a sending is over.
 */
static void wait_for_group_signals(void)
{
	(void)setpgid(0, getpgrp());
}

/*
 * Whether the SIGCONT that woke us was for us alone. fg and bg of a shell send it to the whole
 * group, and a second one could come when the program has just been stopped again.
 */
static bool continued_alone(const struct thump_supervise *sup)
{
	sigset_t pending;

	wait_for_group_signals();
	if (!program_is_stopped(sup))
		return false;
	wait_for_group_signals();
	(void)sigpending(&pending);
	return !sigismember(&pending, SIGTSTP) && !sigismember(&pending, SIGTTIN) &&
	       !sigismember(&pending, SIGTTOU);
}

static void end_program(const struct thump_supervise *sup)
{
	if (sup->program_fd >= 0)
		(void)pidfd_send_signal(sup->program_fd, SIGKILL, NULL, 0);
	else if (sup->program > 0)
		(void)kill(sup->program, SIGKILL);
}

static void handle_signal(struct thump_supervise *sup, const struct signalfd_siginfo *info)
{
	int signo = (int)info->ssi_signo;

	if (signo == SIGCHLD || info->ssi_pid == (uint32_t)getpid() || program_has_it(sup, info))
		return;
	if (thump_is_note(info, THUMP_NOTE_CHECKPOINTED)) {
		sup->note_seen = true;
		end_program(sup);
		return;
	}
	if (signo == SIGCONT && sup->stopped_by_us) {
		sup->stopped_by_us = false;
		if (!continued_alone(sup))
			return;
	}
	if (sup->program > 0)
		thump_forward_signal(info, sup->program, sup->program_fd);
}

/* One at a time: what is not read yet is still pending (see continued_alone). */
static void drain_signals(struct thump_supervise *sup)
{
	struct signalfd_siginfo info;

	while (read(sup->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		handle_signal(sup, &info);
}

/* ---- job control -------------------------------------------------------------------------- */

static bool have_terminal(void)
{
	auto_close int fd = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	return fd >= 0;
}

/*
 * Stops us as the program was stopped. A SIGSTOP is followed only under a terminal, where a shell
 * can wake us: elsewhere whoever stopped the program wakes only the program. In an orphaned group
 * the kernel ignores the others, and we go on, as the program does. pid 1 cannot be stopped.
 */
static void stop_like_program(struct thump_supervise *sup, int signo)
{
	sigset_t set, before;
	void (*old_handler)(int);

	if (getpid() == 1 || (signo == SIGSTOP && !have_terminal()))
		return;
	sup->stopped_by_us = true;
	if (signo == SIGSTOP) {
		(void)raise(SIGSTOP);
		return;
	}
	old_handler = signal(signo, SIG_DFL);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, signo);
	(void)raise(signo);
	/* Delivered here; we stand still inside this call. */
	(void)sigprocmask(SIG_UNBLOCK, &set, &before);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	(void)signal(signo, old_handler);
}

/* ---- waiting ------------------------------------------------------------------------------ */

static int status_of(const siginfo_t *info)
{
	return info->si_code == CLD_EXITED ? info->si_status : 128 + info->si_status;
}

/* Reaps all there is. Returns 1 when our child ended, with *status_ret; 0 when not yet. */
static int reap(struct thump_supervise *sup, int *status_ret, struct thump_err *err)
{
	for (;;) {
		siginfo_t info = { .si_pid = 0 };

		if (waitid(sup->reap_all ? P_ALL : P_PID, (id_t)sup->child, &info,
			   WEXITED | WSTOPPED | WNOHANG) < 0)
			return thump_fail_errno(err, "wait for process %d", (int)sup->child);
		if (info.si_pid == 0)
			return 0;
		if (info.si_pid != sup->child)
			continue;
		if (info.si_code == CLD_STOPPED) {
			/* The program, not our init, which cannot be stopped by others' job
			 * control. */
			if (sup->control_fd < 0)
				stop_like_program(sup, info.si_status);
			continue;
		}
		if (info.si_code == CLD_TRAPPED)
			continue;
		*status_ret = status_of(&info);
		return 1;
	}
}

/* What our init of a pid namespace tells. Its end of file comes with its SIGCHLD. */
static void drain_control(struct thump_supervise *sup, bool ended)
{
	struct thump_init_event event;
	ssize_t got;

	while ((got = recv(sup->control_fd, &event, sizeof(event), MSG_DONTWAIT)) ==
	       (ssize_t)sizeof(event)) {
		if (event.what == THUMP_INIT_CHECKPOINTED)
			sup->note_seen = true;
		else if (event.what == THUMP_INIT_STOPPED && !ended)
			stop_like_program(sup, event.value);
		else if (event.what == THUMP_INIT_FAILED)
			fprintf(stderr,
				"thump: the init of the program's pid namespace has failed, and "
				"the program has ended with it: %s\n",
				strerror(event.value));
	}
	if (got == 0)
		thump_close_fd(&sup->control_fd);
}

/* As reap(), for a clone. */
static int hear_keeper(struct thump_supervise *sup, int *status_ret, struct thump_err *err)
{
	struct thump_clone_end end;
	const ssize_t got = recv(sup->keeper_fd, &end, sizeof(end), MSG_DONTWAIT);

	while (sup->reap_all && waitpid(-1, NULL, WNOHANG) > 0)
		continue;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got != (ssize_t)sizeof(end))
		return thump_fail(err, "the template's keeper has gone before the program: its "
				       "exit status will not be known");
	/* Ends by itself, as the program was all that it was for. */
	if (sup->child > 0 && !sup->reap_all)
		while (waitpid(sup->child, NULL, 0) < 0 && errno == EINTR)
			continue;
	*status_ret = end.status;
	return 1;
}

static int wait_for_end(struct thump_supervise *sup, int *status_ret, struct thump_err *err)
{
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = sup->signal_fd, .events = POLLIN },
			{ .fd = sup->control_fd, .events = POLLIN },
			{ .fd = sup->keeper_fd, .events = POLLIN },
		};
		int ended;

		/* EINTR and ENOMEM pass; what there is to see is looked for all the same. */
		(void)poll(fds, THUMP_ARRAY_SIZE(fds), -1);
		/* Reaping comes after reading signals, as that may take a SIGCHLD. */
		drain_signals(sup);
		if (sup->control_fd >= 0)
			drain_control(sup, false);
		ended = sup->keeper_fd >= 0 ? hear_keeper(sup, status_ret, err)
					    : reap(sup, status_ret, err);
		if (ended < 0)
			return -1;
		if (!ended)
			continue;
		/* Reaped: its pid may mean another process from now on. */
		sup->program = 0;
		/* A note about this end was queued before it. */
		drain_signals(sup);
		if (sup->control_fd >= 0)
			drain_control(sup, true);
		return 0;
	}
}

int thump_supervise(struct thump_supervise *sup, pid_t child, pid_t program, int control_fd,
		    struct thump_outcome *outcome_ret, struct thump_err *err)
{
	int status;

	sup->child = child;
	sup->program = program;
	sup->control_fd = control_fd;
	sup->note_seen = false;
	sup->program_fd = pidfd_open(program, 0);
	/* Our init has reaped it already. */
	if (sup->program_fd < 0 && errno == ESRCH)
		sup->program = 0;
	if (wait_for_end(sup, &status, err) < 0)
		return -1;
	thump_close_fd(&sup->program_fd);
	thump_close_fd(&sup->control_fd);
	thump_close_fd(&sup->keeper_fd);
	outcome_ret->checkpointed = sup->note_seen && status == 128 + SIGKILL;
	outcome_ret->status = outcome_ret->checkpointed ? 0 : status;
	return 0;
}
