/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watcher of `thump run --checkpoint-when`: a process beside the supervisor that waits for the
 * moment and then makes the checkpoint, as `thump checkpoint` would. It is no child of thump's (it
 * is orphaned at birth), so that nobody has to reap it, and it ends with the program.
 *
 * Before it, it can have the program's hooks rehearsed: they run as they do around a dump by
 * another engine (`thump hooks`), and the moment is awaited anew.
 *
 * One writer at a time: the folder of the image is locked (flock(2)) from before the checkpoint to
 * its end; an image that another process has made meanwhile is kept.
 */
#ifndef THUMP_CLI_WATCH_H
#define THUMP_CLI_WATCH_H

#include <sys/stat.h>

#include "cli/making.h"
#include "cli/supervise.h"
#include "cli/when.h"

struct thump_watch {
	struct thump_when when;
	unsigned rehearsals; /* of the program's hooks, each at a moment of its own before `when` */
	const char *image;
	const struct thump_making *making;
	bool end_program; /* without an image there is no use for it (--then exit) */
	/* Shared with the watcher: the code with which it gave up, so that it ended the program. */
	int *given_up;
};

/* The image that is there; zeros when there is none. */
struct stat thump_image_at(const char *path);
/* Whether there is one that was not there `before`: it has another inode or time. */
bool thump_image_is_new(const char *path, const struct stat *before);

/* Starts the watcher for `program`, a child of ours. */
THUMP_MUST_CHECK int thump_watch_start(struct thump_watch *watch, pid_t program,
				       const struct thump_supervise *sup, struct thump_err *err);

#endif
