/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was restored and still runs. For each program there is a record in this user's directory of
 * templates (cli/templates.h), a symbolic link: one call makes it, so that it is whole or not
 * there, and nothing has to be opened to read it.
 *
 *   name    @PIDNS.PID.START   number of the pid namespace, pid in it, start in clock ticks
 *   target  1 BOOT HOW TEMPLATE SINCE IMAGE
 *
 * Pid and start name a process for as long as the machine is up, BOOT tells since when that is: so
 * a pid that means another process by now is never taken for the program. All is best effort: where
 * no record can be made the program is not listed, and runs all the same.
 */
#ifndef THUMP_CLI_RUNNING_H
#define THUMP_CLI_RUNNING_H

#include <limits.h>

#include "cli/templates.h"

struct thump_running {
	pid_t pid;
	uid_t uid;
	uint64_t since_ns;				 /* CLOCK_REALTIME */
	char how[16];					 /* the verb that made it, or "spare" */
	char template_name[THUMP_TEMPLATE_NAME_MAX + 1]; /* "": of none */
	char image[PATH_MAX];				 /* "": too long to be told */
};

/* Notes that `pid` runs, made by verb `how` from the image at `path`; template_name may be NULL.
 * *record_ret is for thump_running_forget(); NULL when nothing was noted. */
void thump_running_note(pid_t pid, const char *how, const char *template_name, const char *path,
			char **record_ret);
/* Removes the record, unless the program goes on without us, and frees it. */
void thump_running_forget(char **record, pid_t pid);
/* The same while it goes on: it is to be noted as something else. */
void thump_running_retract(char **record);
/* Removes what is left of some programs that have ended when nobody was there to remove it. */
void thump_running_sweep(void);

/*
 * All that run in our pid namespace: this user's, and for root those of all users whose directory
 * is at its usual place. Oldest first; heap. Removes records of programs that have ended.
 */
THUMP_MUST_CHECK int thump_running_list(struct thump_running **list_ret, size_t *count_ret,
					struct thump_err *err);

#endif
