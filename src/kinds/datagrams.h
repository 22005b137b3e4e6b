/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams that wait in a UDP socket. Nobody can put them back; they are sent once more, each from
 * its sender's address: from the program's own socket where that has it, else from one that is
 * bound to it for this. So what came from this machine is kept where its sender is gone; what came
 * from elsewhere is lost, as UDP may lose it, with a warning.
 *
 * Record: u32 count, count times {ADDRESS of the sender, blob}.
 */
#ifndef THUMP_KINDS_DATAGRAMS_H
#define THUMP_KINDS_DATAGRAMS_H

#include "kinds/capture.h"
#include "kinds/inet_address.h"

struct thump_datagram {
	union thump_inet_address sender;
	const void *bytes;
	size_t size_bytes;
};

struct thump_datagrams {
	struct thump_datagram *list;
	uint32_t count;
};

/* Appends all of them, without taking them out. `local`: of the socket, for a warning. */
THUMP_MUST_CHECK int thump_datagrams_capture(struct thump_fd_capture *cap,
					     const struct thump_fd_facts *facts,
					     struct thump_access *access,
					     const union thump_inet_address *local,
					     struct thump_buf *record, struct thump_err *err);

/* Fails the reader on anything out of range. */
void thump_datagrams_decode(struct thump_reader *r, struct thump_arena *arena, bool v6,
			    struct thump_datagrams *datagrams_ret);

/* How many of them cannot be sent here. `fd`: the socket that they waited in, or one like it. */
uint32_t thump_datagrams_lost(const struct thump_fd_rebuild *rb,
			      const struct thump_datagrams *datagrams, int fd);

/* All descriptors of the program are there. What cannot be sent now is lost. */
void thump_datagrams_send(const struct thump_fd_rebuild *rb,
			  const struct thump_datagrams *datagrams, int fd);

#endif
