/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transparent parent: what `thump run` and `thump restore` are while their program runs.
 *
 *  - Every signal that can be caught is forwarded to the program, with its value when it was
 *    queued (sigqueue). What the terminal sends to the whole foreground group is not: the program
 *    is in our group and has it already (siginfo's si_code tells: SI_KERNEL).
 *  - Job control: when the program is stopped we stop ourselves in the same way, so that the shell
 *    takes the terminal back; a SIGCONT wakes both.
 *  - The exit status is the program's, 128 + N when signal N ended it.
 *  - As pid 1 all orphans are reaped.
 *  - When `thump checkpoint` says that the image is complete (base/note.h), the program is ended,
 *    and that is no failure.
 *
 * Signals are blocked from thump_supervisor_init on and read from a signalfd, so none is lost
 * between the start of the program and the first poll. A program that is started must call
 * thump_supervisor_release_child() before it execs.
 */
#ifndef THUMP_CLI_SUPERVISE_H
#define THUMP_CLI_SUPERVISE_H

#include <signal.h>

#include "base/err.h"

struct thump_supervise {
	/* As thump got them: what a started program gets. */
	sigset_t outer_mask;
	void (*outer_sigchld)(int), (*outer_note)(int);
	/* Those that end a process and are not ignored: what a restore gives up on. */
	sigset_t ending;
	int signal_fd;
	int control_fd; /* of our init of a pid namespace, or -1; owned */
	/* A clone's status is told by its template's keeper, whose child it is: then the child that
	 * is waited for is our init, or 0. Set before thump_supervise(), else -1; owned. */
	int keeper_fd;
	pid_t child;	     /* what is waited for: the program or that init */
	pid_t program;	     /* what signals go to; 0 once it is gone */
	int program_fd;	     /* its pidfd, or -1 where there are none */
	bool reap_all;	     /* pid 1 */
	bool wants_continue; /* --then continue */
	bool note_seen;	     /* the program is to be ended on request */
	bool stopped_by_us;  /* we have just been continued after we stopped with the program */
};

/* Nothing is open. */
#define THUMP_SUPERVISE_INIT                                                                       \
	{                                                                                          \
		.signal_fd = -1, .control_fd = -1, .keeper_fd = -1, .program_fd = -1               \
	}

struct thump_outcome {
	int status;	   /* the exit status to pass on */
	bool checkpointed; /* it was ended by `thump checkpoint`: status is 0 */
};

/* Blocks signals and opens the signalfd. `wants_continue` is shown to `thump checkpoint`. */
THUMP_MUST_CHECK int thump_supervisor_init(struct thump_supervise *sup, bool wants_continue,
					   struct thump_err *err);
/* Closes what is open. Signals stay blocked: one that comes now must not replace the status. */
void thump_supervisor_deinit(struct thump_supervise *sup);

/* In a forked child before it execs a program: mask and dispositions as thump got them. */
void thump_supervisor_release_child(const struct thump_supervise *sup);

/*
 * thump_fork_beside(), with mask and dispositions as thump got them.
 */
THUMP_MUST_CHECK int thump_supervisor_fork_beside(const struct thump_supervise *sup,
						  const char *name);

/* Waits until `child` ends. `program` is what it stands for: itself, or behind our init the
 * process `program` as we see it. Takes control_fd (-1: none). */
THUMP_MUST_CHECK int thump_supervise(struct thump_supervise *sup, pid_t child, pid_t program,
				     int control_fd, struct thump_outcome *outcome_ret,
				     struct thump_err *err);

#endif
