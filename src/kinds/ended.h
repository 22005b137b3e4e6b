/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections that are over: there is nobody to talk to any more, but the program still has the
 * descriptor and has yet to read what came last, and the end of file or the error after it.
 *
 * Record: u8 error, blob unread.
 */
#ifndef THUMP_KINDS_ENDED_H
#define THUMP_KINDS_ENDED_H

#include "kinds/capture.h"

/* What waits to be told to the program once. */
enum thump_ended_error {
	THUMP_ENDED_QUIETLY = 0,
	THUMP_ENDED_RESET = 1,	 /* ECONNRESET */
	THUMP_ENDED_REFUSED = 2, /* ECONNREFUSED: a connect(2) that did not wait, and failed */
};

/* Fits into the first window that a fresh connection over loopback announces. */
#define THUMP_ENDED_UNREAD_LIMIT_BYTES ((size_t)32 << 10)

struct thump_ended {
	uint8_t error; /* enum thump_ended_error */
	const void *unread;
	size_t unread_bytes;
};

/*
 * Of a TCP socket of any state: what poll(2) says tells whether it is over, without taking anything
 * from the program. *closed_ret: both directions are shut, nothing can be sent or come any more.
 * Else *closed_by_peer_ret: the peer has said that it sends nothing more (CLOSE_WAIT).
 */
THUMP_MUST_CHECK int thump_ended_look(struct thump_access *access, bool *closed_ret,
				      bool *closed_by_peer_ret, bool *error_ret,
				      struct thump_err *err);

/* Puts the record, or sets *why_not_ret to why it cannot be saved. `was_connected`: as opposed to a
 * connect(2) that failed. */
THUMP_MUST_CHECK int thump_ended_capture(struct thump_access *access, int protocol, bool error,
					 bool was_connected, struct thump_buf *record,
					 const char **why_not_ret, struct thump_err *err);
/* The record of a connection that ends without a word. */
void thump_ended_put_quiet(struct thump_buf *record);
/* Fails the reader on anything out of range. */
void thump_ended_decode(struct thump_reader *r, struct thump_ended *ended_ret);
THUMP_MUST_CHECK int thump_ended_make(bool v6, int protocol, const struct thump_ended *ended,
				      int *fd_ret, struct thump_err *err);

#endif
