/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THUMP_KINDS_FIND_PATH_H
#define THUMP_KINDS_FIND_PATH_H

#include "kinds/capture.h"

/* A file of which the kernel tells numbers only. */
struct thump_lost_path {
	uint64_t ino;
	dev_t dev;
	const char *handle; /* f_handle of fdinfo, hexadecimal; NULL: none */
	size_t handle_len;
	bool sees_opens;  /* somebody notices when it, or what is in it, is opened */
	const char *path; /* out: absolute, in the target's view; NULL: not found */
};

/*
 * Looks for them where the program is known to be at work: its working directory, executable, open
 * and mapped files, HOME and TMPDIR, the folders that all of these lie in, what lies in those
 * folders, and further below; for at most a quarter of a second, as the target is stopped. Paths
 * live in cap->model->arena.
 */
THUMP_MUST_CHECK int thump_find_paths(struct thump_fd_capture *cap, struct thump_lost_path *list,
				      size_t count, struct thump_err *err);

#endif
