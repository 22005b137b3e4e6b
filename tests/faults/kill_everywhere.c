/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill_everywhere [-k EVERY] [-s SEED] [-i IMAGE] VICTIM COMMAND [ARG...]: starts VICTIM once, then
 * COMMAND on it again and again (an argument PID is the victim's), and kills with SIGKILL whatever
 * process of COMMAND's makes the 1st, 2nd, 3rd ... system call that changes the victim (ptrace,
 * writes to its memory or anywhere), at the entry and at the exit of the call. The victim must not
 * notice.
 *
 * -k kills at every so manieth call only, beginning with one that SEED chooses (a random one, which
 * is printed). -i tells that COMMAND is a `thump checkpoint` of the victim into IMAGE, which is
 * whole or absent each time, and leaves the victim without children; then the victim leaves out
 * what no image can hold.
 *
 * One thing cannot be helped: from the PTRACE_INTERRUPT of a thread to the PTRACE_SETREGSET that
 * corrects it, the result of its system call is EINTR. There, and only there, one EINTR per kill is
 * counted but forgiven. thump's tracer is a process of its own with all signals blocked, so that a
 * kill -9 of thump does not reach it. Nor can a dead tracer shorten a timeout that starts over:
 * timeouts that are late are not looked at here.
 */
#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drive.h"

#define SYSCALL_STOP (SIGTRAP | 0x80)
#define MAX_WORDS    32

struct options {
	long every;
	unsigned seed;
	const char *image;  /* NULL: COMMAND makes none */
	const char *victim; /* path */
	char *command[MAX_WORDS];
};

/* ---- one run of the command ---------------------------------------------------------------- */

/* A process of the command's; -1 as pid: none. */
struct tracee {
	pid_t pid;
	bool counted; /* the call that it is in */
	unsigned long long nr, args[2];
};

struct run {
	struct tracee tracees[4]; /* thump, its worker, and children of that; [0] is the command */
	int status;		  /* of the command, once it has ended */
	long counted;		  /* calls that change the victim, so far */
	pid_t uncorrected;	  /* thread between PTRACE_INTERRUPT and PTRACE_SETREGSET, or 0 */
	bool killed;
	char last[64]; /* for messages */
};

static struct tracee *tracee_of(struct run *run, pid_t pid)
{
	for (size_t i = 0; i < sizeof(run->tracees) / sizeof(run->tracees[0]); i++)
		if (run->tracees[i].pid == pid)
			return &run->tracees[i];
	return NULL;
}

static void start_command(struct run *run, const struct options *options, pid_t victim_pid)
{
	const unsigned traced = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL;
	char number[16], *argv[MAX_WORDS + 1] = { 0 };
	int status;
	pid_t pid;

	(void)snprintf(number, sizeof(number), "%d", victim_pid);
	for (size_t i = 0; i < MAX_WORDS && options->command[i]; i++)
		argv[i] = strcmp(options->command[i], "PID") == 0 ? number : options->command[i];
	pid = fork();
	if (pid == 0) {
		/* It says at each kill that it was killed. */
		if (options->image && !freopen("/dev/null", "w", stderr))
			_exit(126);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0)
			_exit(126);
		(void)execv(argv[0], argv);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(uintptr_t)traced) != 0 ||
	    ptrace(PTRACE_SYSCALL, pid, NULL, NULL) != 0)
		die("start the command");
	for (size_t i = 0; i < sizeof(run->tracees) / sizeof(run->tracees[0]); i++)
		run->tracees[i].pid = -1;
	run->tracees[0].pid = pid;
}

/* Does this system call change the victim? Notes what it is. */
static bool is_counted(struct run *run, const struct tracee *tracee)
{
	if (tracee->nr == SYS_pwrite64 || tracee->nr == SYS_process_vm_writev)
		(void)snprintf(run->last, sizeof(run->last), "system call %llu", tracee->nr);
	else if (tracee->nr == SYS_ptrace)
		(void)snprintf(run->last, sizeof(run->last), "ptrace request 0x%llx of thread %llu",
			       tracee->args[0], tracee->args[1]);
	else
		return false;
	return true;
}

static void follow_window(struct run *run, const struct tracee *tracee)
{
	if (tracee->nr != SYS_ptrace)
		return;
	if (tracee->args[0] == PTRACE_INTERRUPT)
		run->uncorrected = (pid_t)tracee->args[1];
	if (tracee->args[0] == PTRACE_SETREGSET && (pid_t)tracee->args[1] == run->uncorrected)
		run->uncorrected = 0;
}

/* A system call's entry or exit; whether this is where the process is to be killed. */
static bool take_call(struct run *run, struct tracee *tracee, long at, bool at_exit)
{
	struct __ptrace_syscall_info info;
	bool entry;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tracee->pid, (void *)sizeof(info), &info) <= 0)
		die("read a system call of the command");
	entry = info.op == PTRACE_SYSCALL_INFO_ENTRY;
	if (entry) {
		tracee->nr = info.entry.nr;
		tracee->args[0] = info.entry.args[0];
		tracee->args[1] = info.entry.args[1];
		tracee->counted = is_counted(run, tracee);
		run->counted += tracee->counted;
	} else if (tracee->counted) {
		follow_window(run, tracee);
	}
	return tracee->counted && run->counted == at && entry == !at_exit;
}

/* A stop of a process of the command's; it goes on, or is killed. */
static void take_stop(struct run *run, pid_t pid, int status, long at, bool at_exit)
{
	struct tracee *tracee = tracee_of(run, pid);
	int signo = WSTOPSIG(status);

	if (!tracee) { /* the SIGSTOP of one that was just forked */
		tracee = tracee_of(run, -1);
		if (!tracee)
			die("the command has too many processes");
		tracee->pid = pid;
		signo = 0;
	} else if (signo == SYSCALL_STOP) {
		signo = 0;
		if (!run->killed && take_call(run, tracee, at, at_exit)) {
			run->killed = true;
			(void)kill(pid, SIGKILL);
			return;
		}
	} else if (signo == SIGTRAP) { /* its exec or fork */
		signo = 0;
	}
	/* ESRCH: the end of its parent has killed it. */
	if (ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)signo) != 0 && errno != ESRCH)
		die("let the command go on");
}

/* Runs the command, with a kill at entry or exit of call `at`; false when there was no such. */
static bool run_and_kill(struct run *run, pid_t victim_pid, long at, bool at_exit)
{
	size_t nr_left = 1;
	int status;

	while (nr_left > 0) {
		const pid_t pid = waitpid(-1, &status, __WALL);

		if (pid < 0 || pid == victim_pid)
			die("the victim has ended, or nobody is left");
		if (WIFSTOPPED(status)) {
			nr_left += !tracee_of(run, pid);
			take_stop(run, pid, status, at, at_exit);
			continue;
		}
		nr_left--;
		if (pid == run->tracees[0].pid)
			run->status = status;
		else
			tracee_of(run, pid)->pid = -1;
	}
	if (!run->killed && run->status != 0)
		die("the command failed");
	return run->killed;
}

/* ---- all of them --------------------------------------------------------------------------- */

/* There is none, or a whole one: the kill came after it had got its name. */
static bool has_no_half_image(const struct options *options)
{
	int status = 0;
	pid_t pid;

	if (!options->image || access(options->image, F_OK) != 0)
		return true;
	pid = fork();
	if (pid == 0) {
		(void)execl(options->command[0], "thump", "verify", options->image, (char *)NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && status == 0 && unlink(options->image) == 0;
}

/* Of any of its threads. */
static bool has_children(pid_t pid)
{
	char pattern[48];
	bool found = false;
	glob_t files;

	(void)snprintf(pattern, sizeof(pattern), "/proc/%d/task/*/children", pid);
	if (glob(pattern, 0, NULL, &files) != 0)
		die("list the threads of the victim");
	for (size_t i = 0; i < files.gl_pathc; i++) {
		FILE *file = fopen(files.gl_pathv[i], "r");

		found |= file && fgetc(file) != EOF;
		if (file)
			(void)fclose(file);
	}
	globfree(&files);
	return found;
}

static bool survives(struct victim *victim, const struct options *options, const struct run *run,
		     bool at_exit)
{
	const int eintrs = ask(victim, 'p');
	const char *what = eintrs < 0 ? "the victim is broken" : "EINTR";

	if (eintrs == 0 || (eintrs == 1 && run->uncorrected != 0)) {
		if (options->image && has_children(victim->pid))
			what = "a copy of the victim is left";
		else if (has_no_half_image(options))
			return true;
		else
			what = "the image is there, but not whole";
	}
	(void)fprintf(stderr, "killed at the %s of call %ld (%s): %s\n", at_exit ? "exit" : "entry",
		      run->counted, run->last, what);
	return false;
}

static void usage(void)
{
	(void)fprintf(stderr, "usage: kill_everywhere [-k EVERY] [-s SEED] [-i IMAGE] VICTIM "
			      "COMMAND [ARG...]\n");
	exit(2);
}

static struct options parse(int argc, char **argv)
{
	struct options options = { .every = 1 };
	int opt;

	if (getrandom(&options.seed, sizeof(options.seed), 0) != sizeof(options.seed))
		die("getrandom");
	while ((opt = getopt(argc, argv, "+k:s:i:")) != -1) {
		if (opt == 'k')
			options.every = strtol(optarg, NULL, 10);
		else if (opt == 's')
			options.seed = (unsigned)strtoul(optarg, NULL, 10);
		else if (opt == 'i')
			options.image = optarg;
		else
			usage();
	}
	if (argc - optind < 2 || argc - optind > MAX_WORDS || options.every < 1)
		usage();
	options.victim = argv[optind];
	for (int i = optind + 1; i < argc; i++)
		options.command[i - optind - 1] = argv[i];
	return options;
}

int main(int argc, char **argv)
{
	const struct options options = parse(argc, argv);
	struct victim victim = start_victim(options.victim, options.image != NULL);
	bool ended = false, good = true;
	long kills = 0, last = 0, forgiven;

	if (options.every > 1)
		(void)printf("seed %u\n", options.seed);
	for (long at = 1 + options.seed % options.every; !ended && good; at += options.every) {
		for (int at_exit = 0; at_exit < 2 && !ended && good; at_exit++) {
			struct run run = { 0 };

			start_command(&run, &options, victim.pid);
			ended = !run_and_kill(&run, victim.pid, at, at_exit != 0);
			kills += !ended;
			last = run.counted;
			good = survives(&victim, &options, &run, at_exit != 0);
		}
	}
	forgiven = victim.eintrs;
	good = ask(&victim, 'q') == 0 && good;
	(void)printf("%ld kills, %ld of them between a stop and its correction made EINTR; %ld "
		     "calls in the last run\n",
		     kills, forgiven, last);
	/* A checkpoint of so many threads makes more than a thousand. */
	return good && kills >= 2 * (last / options.every) && last > 100 ? 0 : 1;
}
