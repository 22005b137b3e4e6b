/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill_everywhere VICTIM HOLDER [EVERY]: starts VICTIM once, then HOLDER on it again and again, and
 * kills HOLDER with SIGKILL at the entry and at the exit of its 1st, 2nd, 3rd ... system call that
 * changes the victim (ptrace, writes to its memory). The victim must not notice.
 *
 * One thing cannot be helped: from the PTRACE_INTERRUPT of a thread to the PTRACE_SETREGSET that
 * corrects it, the result of its system call is EINTR. There, and only there, one EINTR per kill is
 * counted but forgiven. thump's tracer is a process of its own with all signals blocked, so that a
 * kill -9 of thump does not reach it. Nor can a dead tracer shorten a timeout that starts over:
 * timeouts that are late are not looked at here.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drive.h"

#define SYSCALL_STOP (SIGTRAP | 0x80)

/* ---- one run of the holder
 * ---------------------------------------------------------------------------- */

struct run {
	pid_t pid;
	long counted;	   /* calls that change the victim, so far */
	pid_t uncorrected; /* thread between PTRACE_INTERRUPT and PTRACE_SETREGSET, or 0 */
	char last[64];	   /* for messages */
};

static pid_t start_holder(const char *path, pid_t victim_pid)
{
	char number[16];
	int status;
	pid_t pid;

	(void)snprintf(number, sizeof(number), "%d", victim_pid);
	pid = fork();
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0)
			_exit(126);
		(void)execl(path, path, number, (char *)NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) != 0)
		die("start the holder");
	return pid;
}

/* Does this system call change the victim? Notes what it is. */
static bool is_counted(struct run *run, const struct user_regs_struct *regs)
{
	if (regs->orig_rax == SYS_pwrite64)
		(void)snprintf(run->last, sizeof(run->last), "pwrite of %llu bytes", regs->rdx);
	else if (regs->orig_rax == SYS_ptrace)
		(void)snprintf(run->last, sizeof(run->last), "ptrace request 0x%llx of thread %llu",
			       regs->rdi, regs->rsi);
	else
		return false;
	return true;
}

static void follow_window(struct run *run, const struct user_regs_struct *regs)
{
	if (regs->orig_rax != SYS_ptrace)
		return;
	if (regs->rdi == PTRACE_INTERRUPT)
		run->uncorrected = (pid_t)regs->rsi;
	if (regs->rdi == PTRACE_SETREGSET && (pid_t)regs->rsi == run->uncorrected)
		run->uncorrected = 0;
}

/* 1 at an entry, 2 at an exit of a system call, 0 when it has ended. */
static int next_stop(struct run *run, bool inside, struct user_regs_struct *regs)
{
	int status, signo = 0;

	for (;;) {
		if (ptrace(PTRACE_SYSCALL, run->pid, NULL, (void *)(long)signo) != 0 ||
		    waitpid(run->pid, &status, 0) != run->pid)
			die("trace the holder");
		if (!WIFSTOPPED(status)) {
			if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
				die("the holder failed");
			return 0;
		}
		signo = WSTOPSIG(status);
		if (signo == SYSCALL_STOP)
			break;
		if (signo == SIGTRAP) /* its exec */
			signo = 0;
	}
	if (ptrace(PTRACE_GETREGS, run->pid, NULL, regs) != 0)
		die("read the holder's registers");
	return inside ? 2 : 1;
}

/* Runs the holder and kills it at entry or exit of call `at`; false when it ended before. */
static bool run_and_kill(struct run *run, long at, bool at_exit)
{
	struct user_regs_struct regs;
	bool inside = false, counted = false;
	int stop;

	while ((stop = next_stop(run, inside, &regs)) != 0) {
		inside = stop == 1;
		if (inside)
			counted = is_counted(run, &regs);
		run->counted += inside && counted;
		if (!inside && counted)
			follow_window(run, &regs);
		if (counted && run->counted == at && inside == !at_exit) {
			(void)kill(run->pid, SIGKILL);
			(void)waitpid(run->pid, &stop, 0);
			return true;
		}
	}
	return false;
}

/* ---- all of them
 * ----------------------------------------------------------------------------------------- */

static bool survives(struct victim *victim, const struct run *run, long at, bool at_exit)
{
	const int eintrs = ask(victim, 'p');

	if (eintrs == 0 || (eintrs == 1 && run->uncorrected != 0))
		return true;
	(void)fprintf(stderr, "killed at the %s of call %ld (%s): %s\n", at_exit ? "exit" : "entry",
		      at, run->last, eintrs < 0 ? "the victim is broken" : "EINTR");
	return false;
}

int main(int argc, char **argv)
{
	const long every = argc > 3 ? strtol(argv[3], NULL, 10) : 1;
	bool ended = false, good = true;
	struct victim victim;
	long kills = 0, forgiven;

	if (argc < 3 || every < 1) {
		(void)fprintf(stderr, "usage: kill_everywhere VICTIM HOLDER [EVERY]\n");
		return 2;
	}
	victim = start_victim(argv[1]);
	for (long at = 1; !ended && good; at += every) {
		for (int at_exit = 0; at_exit < 2 && !ended && good; at_exit++) {
			struct run run = { .pid = start_holder(argv[2], victim.pid) };

			ended = !run_and_kill(&run, at, at_exit != 0);
			kills += !ended;
			good = survives(&victim, &run, at, at_exit != 0);
		}
	}
	forgiven = victim.eintrs;
	good = ask(&victim, 'q') == 0 && good;
	(void)printf("%ld kills, %ld of them between a stop and its correction made EINTR\n", kills,
		     forgiven);
	if (!good)
		return 1;
	return kills > 100 ? 0 : 1;
}
