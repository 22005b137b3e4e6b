/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of a file of keys or of a passphrase, which may be a regular file, a device, a pipe, a FIFO
 * or the socket of an agent (key_socket.h): what never has anything to say does not hang us for
 * ever.
 */
#ifndef THUMP_PACK_KEY_FILE_H
#define THUMP_PACK_KEY_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/types.h"

/* Who writes to a FIFO has to have it open by then; an agent may have to ask somebody. */
#define THUMP_KEY_WRITER_SECONDS 5
#define THUMP_KEY_AGENT_SECONDS	 60

struct thump_key_file {
	int fd; /* not owned */
	const char *name;
	mode_t type;
	bool begun; /* was read from */
	bool late;  /* nothing was there when it should have been */
};

/* The file `path`, and the descriptor of it, which is the caller's to close. A FIFO is not waited
 * for yet. */
THUMP_MUST_CHECK int thump_key_file_open(const char *path, int *fd_ret, struct thump_err *err);
/* What `fd` is; `name` is for messages, and outlives it. */
THUMP_MUST_CHECK int thump_key_file_of(int fd, const char *name, struct thump_key_file *file_ret,
				       struct thump_err *err);
/* Some bytes; none at the end. */
THUMP_MUST_CHECK int thump_key_file_read(struct thump_key_file *file, void *bytes, size_t room,
					 size_t *got_ret, struct thump_err *err);

#endif
