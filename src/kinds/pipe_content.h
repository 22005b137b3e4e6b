/* SPDX-License-Identifier: Apache-2.0 */
/* What lies in a pipe or FIFO: read with tee(2), which takes nothing out. */
#ifndef THUMP_KINDS_PIPE_CONTENT_H
#define THUMP_KINDS_PIPE_CONTENT_H

#include "kinds/capture.h"

struct thump_pipe_packet {
	const void *bytes;
	size_t size_bytes;
};

struct thump_pipe_content {
	uint32_t capacity; /* F_GETPIPE_SZ */
	bool packets;	   /* O_DIRECT: boundaries matter */
	struct thump_pipe_packet *list;
	uint32_t count;
};

/*
 * Appends capacity and, where `with_bytes`, content to the record. `facts` is of a read end when
 * with_bytes is set. *queued_ret is the number of bytes.
 */
THUMP_MUST_CHECK int thump_pipe_capture_content(struct thump_fd_capture *cap,
						const struct thump_fd_facts *facts, bool with_bytes,
						bool packets, struct thump_buf *record,
						size_t *queued_ret, struct thump_err *err);

/* The same for a pipe that is not looked into. */
void thump_pipe_put_nothing(struct thump_buf *record);

void thump_pipe_decode_content(struct thump_reader *r, struct thump_arena *arena,
			       struct thump_pipe_content *content_ret);

/* Sets the capacity and writes the content through a write end without status flags. */
THUMP_MUST_CHECK int thump_pipe_fill(int write_fd, const struct thump_pipe_content *content,
				     struct thump_err *err);

#endif
