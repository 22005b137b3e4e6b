/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How `thump checkpoint` tells the thump that stands above a program that its image is complete,
 * so that `thump run` can end with 0 instead of 128 + SIGKILL.
 *
 * The note is a queued signal (sigqueue(3), si_code SI_QUEUE) with a magic value, sent to the
 * parent of the program: `thump run`, `thump restore`, or thump's init of a fresh pid namespace,
 * which passes it on. It is sent only to a process that has this signal blocked (SigBlk in
 * /proc/PID/status) and whose executable is called thump, so that it can never end anybody.
 *
 * Who gets the note ends the program. So it cannot happen that the note was sent and the program
 * runs on, because its sender was killed right then, and that its end, much later and by whatever
 * signal, is taken for what the note was about. The sender sends SIGKILL, too. Sent before that,
 * the note is there when the supervisor sees the program end: signals are queued before they are
 * delivered, and signalfd(2) is read before the program is waited for.
 */
#ifndef THUMP_BASE_NOTE_H
#define THUMP_BASE_NOTE_H

#include <signal.h>

#include "base/err.h"

struct signalfd_siginfo;

/* A real-time signal that nobody else is likely to use; with any other value it is forwarded. */
#define THUMP_NOTE_SIGNAL	(SIGRTMAX - 7)
#define THUMP_NOTE_CHECKPOINTED 0x7468756d /* "thum": the program is to be ended */
#define THUMP_NOTE_GIVE_UP	0x67697665 /* "give": from thump to its init: end the restore */

struct thump_supervisor {
	pid_t pid; /* 0: the program's parent is no thump */
	/* --then continue: the program is to go on, as with --leave-running. The supervisor shows
	 * it by ignoring THUMP_NOTE_SIGNAL (SigIgn). */
	bool wants_continue;
};

/* Who supervises `pid`. Fails only when /proc/PID/status of `pid` cannot be read. */
THUMP_MUST_CHECK int thump_note_find(pid_t pid, struct thump_supervisor *supervisor_ret,
				     struct thump_err *err);

/* Has the supervisor end its program. To be called after the image is complete and right before the
 * SIGKILL. Does nothing when there is no supervisor. */
THUMP_MUST_CHECK int thump_note_send(const struct thump_supervisor *supervisor,
				     struct thump_err *err);

/* Is this a note with that value? */
bool thump_is_note(const struct signalfd_siginfo *info, int value);

#endif
