/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transparent parent, each time in a process of its own ("thump") with a program below it that
 * tells through a pipe what reaches it. A test that waits for what never comes is ended by alarm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/note.h"
#include "cli/supervise.h"

#include "../lib/tied_fork.h"

#define PATIENCE_S 15

/* What the program tells. */
struct told {
	int32_t signo, value, sender;
	pid_t program;
};

typedef int (*program_fn)(int told_fd);

/* ---- processes ---------------------------------------------------------------------------- */

static int be_thump(program_fn program, int told_fd)
{
	struct thump_supervise sup;
	struct thump_outcome outcome = { 0 };
	struct thump_err err;
	pid_t pid;

	(void)alarm(PATIENCE_S);
	if (thump_supervisor_init(&sup, false, &err) < 0)
		return 121;
	pid = tied_fork();
	if (pid == 0) {
		thump_supervisor_release_child(&sup);
		_exit(program(told_fd));
	}
	(void)close(told_fd);
	if (pid < 0 || thump_supervise(&sup, pid, pid, -1, &outcome, &err) < 0)
		return 121;
	thump_supervisor_deinit(&sup);
	return outcome.checkpointed ? 100 : outcome.status;
}

static pid_t start_thump(program_fn program, int *told_fd_ret)
{
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = tied_fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(fds[0]);
		_exit(be_thump(program, fds[1]));
	}
	(void)close(fds[1]);
	*told_fd_ret = fds[0];
	return pid;
}

static void tell(int told_fd, int signo, int value, int sender)
{
	const struct told told = { signo, value, sender, getpid() };

	if (write(told_fd, &told, sizeof(told)) != (ssize_t)sizeof(told))
		_exit(99);
}

static struct told listen_to(int told_fd)
{
	struct told told = { 0 };

	assert_int_equal(read(told_fd, &told, sizeof(told)), sizeof(told));
	return told;
}

static int status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* ---- programs ----------------------------------------------------------------------------- */

static int exits_with_7(int told_fd)
{
	(void)told_fd;
	return 7;
}

static int ends_by_signal(int told_fd)
{
	(void)told_fd;
	(void)raise(SIGTERM);
	return 0;
}

static int waits(int told_fd)
{
	tell(told_fd, 0, 0, 0);
	while (pause() < 0)
		continue;
	return 0;
}

static int continued_fd;

static void tell_continued(int signo)
{
	tell(continued_fd, signo, 0, 0);
}

static int tells_when_continued(int told_fd)
{
	continued_fd = told_fd;
	(void)signal(SIGCONT, tell_continued);
	return waits(told_fd);
}

/* Tells every signal that comes; SIGTERM is the last one. */
static int tells_signals(int told_fd)
{
	siginfo_t info = { 0 };
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, NULL);
	tell(told_fd, 0, 0, 0);
	while (info.si_signo != SIGTERM) {
		if (sigwaitinfo(&all, &info) < 0)
			continue;
		tell(told_fd, info.si_signo, info.si_code == SI_QUEUE ? info.si_value.sival_int : 0,
		     info.si_pid);
	}
	return 0;
}

/* Leaves an orphan to pid 1 and waits until it has been reaped. */
static int leaves_an_orphan(int told_fd)
{
	int fds[2], pidfd;
	pid_t orphan = 0;

	(void)told_fd;
	if (pipe(fds) < 0)
		return 1;
	if (fork() == 0) {
		orphan = fork();
		if (orphan == 0) {
			char byte;

			(void)close(fds[1]);
			_exit(read(fds[0], &byte, 1) < 0);
		}
		_exit(write(fds[1], &orphan, 0) != 0 ? 1 : orphan);
	}
	/* pids are small here: the one in between passes it on as its status */
	if (waitpid(-1, &orphan, 0) < 0)
		return 2;
	pidfd = pidfd_open(WEXITSTATUS(orphan), 0);
	if (pidfd < 0)
		return 3;
	(void)close(fds[1]); /* end of file ends the orphan */
	while (pidfd_send_signal(pidfd, 0, NULL, 0) == 0)
		(void)sched_yield();
	return errno == ESRCH ? 42 : 4;
}

/* ---- tests -------------------------------------------------------------------------------- */

static void status_is_passed_on(void **state)
{
	int told_fd;

	(void)state;
	assert_int_equal(status_of(start_thump(exits_with_7, &told_fd)), 7);
	(void)close(told_fd);
	assert_int_equal(status_of(start_thump(ends_by_signal, &told_fd)), 128 + SIGTERM);
	(void)close(told_fd);
}

static bool is_forwarded(int signo)
{
	static const int others[] = { SIGKILL, SIGSTOP, SIGCHLD, SIGTERM, SIGSEGV, SIGBUS, SIGFPE,
				      SIGILL,  SIGTRAP, SIGSYS,	 SIGABRT, SIGALRM, 32,	   33 };

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(others); i++)
		if (signo == others[i])
			return false;
	return true;
}

static void every_signal_is_forwarded(void **state)
{
	int told_fd;
	pid_t thump = start_thump(tells_signals, &told_fd);

	(void)state;
	(void)listen_to(told_fd);
	for (int signo = 1; signo <= SIGRTMAX; signo++) {
		if (!is_forwarded(signo))
			continue;
		assert_int_equal(kill(thump, signo), 0);
		assert_int_equal(listen_to(told_fd).signo, signo);
	}
	assert_int_equal(kill(thump, SIGTERM), 0);
	assert_int_equal(listen_to(told_fd).signo, SIGTERM);
	assert_int_equal(status_of(thump), 0);
	(void)close(told_fd);
}

static void queued_values_and_senders_are_kept(void **state)
{
	const union sigval value = { .sival_int = 4711 };
	struct told told;
	int told_fd;
	pid_t thump = start_thump(tells_signals, &told_fd);

	(void)state;
	(void)listen_to(told_fd);
	assert_int_equal(sigqueue(thump, SIGRTMIN + 3, value), 0);
	told = listen_to(told_fd);
	assert_int_equal(told.signo, SIGRTMIN + 3);
	assert_int_equal(told.value, 4711);
	assert_int_equal(told.sender, getpid());
	assert_int_equal(kill(thump, SIGTERM), 0);
	assert_int_equal(status_of(thump), 0);
	(void)close(told_fd);
}

/* Also when whoever announced it was killed before it could do it itself. */
static void an_announced_end_comes_and_is_none(void **state)
{
	const union sigval value = { .sival_int = THUMP_NOTE_CHECKPOINTED };
	int told_fd;
	pid_t thump = start_thump(waits, &told_fd);

	(void)state;
	(void)listen_to(told_fd);
	assert_int_equal(sigqueue(thump, THUMP_NOTE_SIGNAL, value), 0);
	assert_int_equal(status_of(thump), 100);
	(void)close(told_fd);
}

static void an_end_without_notice_is_one(void **state)
{
	int told_fd;
	pid_t thump = start_thump(waits, &told_fd);

	(void)state;
	assert_int_equal(kill(listen_to(told_fd).program, SIGKILL), 0);
	assert_int_equal(status_of(thump), 128 + SIGKILL);
	(void)close(told_fd);
}

/* Without a terminal whoever stops the program continues only the program. */
static void a_stop_without_a_terminal_is_not_followed(void **state)
{
	int told_fd, status;
	pid_t session, program;

	(void)state;
	session = tied_fork();
	assert_true(session >= 0);
	if (session == 0) {
		pid_t thump;

		(void)setsid();
		thump = start_thump(waits, &told_fd);
		program = listen_to(told_fd).program;
		if (kill(program, SIGSTOP) < 0 || kill(thump, SIGUSR1) < 0 ||
		    kill(program, SIGCONT) < 0)
			_exit(1);
		_exit(waitpid(thump, &status, WUNTRACED) == thump && WIFEXITED(status)
			      ? WEXITSTATUS(status)
			      : 2);
	}
	assert_int_equal(status_of(session), 128 + SIGUSR1);
}

static void as_pid_1_orphans_are_reaped(void **state)
{
	const unsigned long flags = CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD;
	pid_t thump = (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);

	(void)state;
	if (thump == 0)
		_exit(be_thump(leaves_an_orphan, open("/dev/null", O_WRONLY | O_CLOEXEC)));
	if (thump < 0)
		skip(); /* no user namespaces here */
	assert_int_equal(status_of(thump), 42);
}

/* ---- with a terminal ---------------------------------------------------------------------- */

struct terminal {
	int master_fd;
	pid_t shell;
	int told_fd;  /* of the program */
	int shell_fd; /* of the shell */
};

/*
 * A shell: leads the session of a terminal, runs thump in a foreground group of its own, tells
 * when thump stops, continues the group when it gets SIGUSR1, and tells that, too.
 */
_Noreturn static void be_shell(const char *tty_name, program_fn program, int told_fd, int shell_fd)
{
	sigset_t usr1;
	pid_t thump;
	int status, tty_fd, signo;

	(void)alarm(PATIENCE_S);
	(void)sigemptyset(&usr1);
	(void)sigaddset(&usr1, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &usr1, NULL);
	(void)setsid();
	tty_fd = open(tty_name, O_RDWR | O_CLOEXEC); /* becomes the controlling terminal */
	thump = tied_fork();
	if (thump == 0) {
		(void)setpgid(0, 0);
		(void)signal(SIGTTOU, SIG_IGN);
		(void)tcsetpgrp(tty_fd, getpid());
		(void)signal(SIGTTOU, SIG_DFL);
		(void)sigprocmask(SIG_UNBLOCK, &usr1, NULL);
		_exit(be_thump(program, told_fd));
	}
	(void)close(told_fd);
	tell(shell_fd, 0, 0, thump);
	while (waitpid(thump, &status, WUNTRACED) == thump && WIFSTOPPED(status)) {
		tell(shell_fd, WSTOPSIG(status), 0, thump);
		(void)sigwait(&usr1, &signo);
		(void)kill(-thump, SIGCONT);
		(void)waitpid(thump, &status, WCONTINUED);
		tell(shell_fd, SIGCONT, 0, thump);
	}
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
}

static void terminal_open(struct terminal *terminal, program_fn program)
{
	int told[2], shell[2];
	const char *tty_name;

	terminal->master_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(terminal->master_fd >= 0);
	assert_int_equal(grantpt(terminal->master_fd), 0);
	assert_int_equal(unlockpt(terminal->master_fd), 0);
	tty_name = ptsname(terminal->master_fd);
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	assert_int_equal(pipe2(shell, O_CLOEXEC), 0);
	terminal->shell = tied_fork();
	assert_true(terminal->shell >= 0);
	if (terminal->shell == 0) {
		(void)close(told[0]);
		(void)close(shell[0]);
		be_shell(tty_name, program, told[1], shell[1]);
	}
	(void)close(told[1]);
	(void)close(shell[1]);
	terminal->told_fd = told[0];
	terminal->shell_fd = shell[0];
}

static void terminal_close(struct terminal *terminal)
{
	(void)close(terminal->told_fd);
	(void)close(terminal->shell_fd);
	(void)close(terminal->master_fd);
}

static void the_terminal_s_signals_come_once(void **state)
{
	struct terminal terminal;
	pid_t thump;

	(void)state;
	terminal_open(&terminal, tells_signals);
	thump = listen_to(terminal.shell_fd).sender;
	(void)listen_to(terminal.told_fd);
	/* thump stands still until the program has had its signal: a second one cannot be merged
	 * with the first. */
	assert_int_equal(kill(thump, SIGSTOP), 0);
	assert_int_equal(listen_to(terminal.shell_fd).signo, SIGSTOP);
	assert_int_equal(write(terminal.master_fd, "\003", 1), 1);
	assert_int_equal(listen_to(terminal.told_fd).signo, SIGINT);
	assert_int_equal(kill(thump, SIGTERM), 0);
	assert_int_equal(kill(terminal.shell, SIGUSR1), 0);
	for (struct told told = { 0 }; told.signo != SIGTERM;) {
		told = listen_to(terminal.told_fd);
		assert_int_not_equal(told.signo, SIGINT);
	}
	assert_int_equal(status_of(terminal.shell), 0);
	terminal_close(&terminal);
}

static void we_stop_and_continue_with_the_program(void **state)
{
	struct terminal terminal;
	pid_t thump;

	(void)state;
	terminal_open(&terminal, tells_when_continued);
	thump = listen_to(terminal.shell_fd).sender;
	(void)listen_to(terminal.told_fd);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(write(terminal.master_fd, "\032", 1), 1);
		assert_int_equal(listen_to(terminal.shell_fd).signo, SIGTSTP);
		assert_int_equal(kill(terminal.shell, SIGUSR1), 0);
		assert_int_equal(listen_to(terminal.shell_fd).signo, SIGCONT);
		assert_int_equal(listen_to(terminal.told_fd).signo, SIGCONT);
	}
	assert_int_equal(kill(thump, SIGUSR2), 0);
	assert_int_equal(status_of(terminal.shell), 128 + SIGUSR2);
	terminal_close(&terminal);
}

static void a_stop_sent_to_us_stops_the_program(void **state)
{
	struct terminal terminal;
	pid_t thump;

	(void)state;
	terminal_open(&terminal, waits);
	thump = listen_to(terminal.shell_fd).sender;
	(void)listen_to(terminal.told_fd);
	assert_int_equal(kill(thump, SIGTSTP), 0);
	assert_int_equal(listen_to(terminal.shell_fd).signo, SIGTSTP);
	assert_int_equal(kill(terminal.shell, SIGUSR1), 0);
	assert_int_equal(kill(thump, SIGTERM), 0);
	assert_int_equal(status_of(terminal.shell), 128 + SIGTERM);
	terminal_close(&terminal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_is_passed_on),
		cmocka_unit_test(every_signal_is_forwarded),
		cmocka_unit_test(queued_values_and_senders_are_kept),
		cmocka_unit_test(an_announced_end_comes_and_is_none),
		cmocka_unit_test(an_end_without_notice_is_one),
		cmocka_unit_test(a_stop_without_a_terminal_is_not_followed),
		cmocka_unit_test(as_pid_1_orphans_are_reaped),
		cmocka_unit_test(the_terminal_s_signals_come_once),
		cmocka_unit_test(we_stop_and_continue_with_the_program),
		cmocka_unit_test(a_stop_sent_to_us_stops_the_program),
	};

	(void)alarm(2 * PATIENCE_S);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
