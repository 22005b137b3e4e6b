/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the kind share: unix_socket.c captures, unix_make.c makes anew. */
#ifndef THUMP_KINDS_UNIX_SOCKET_H
#define THUMP_KINDS_UNIX_SOCKET_H

#include <string.h>

#include "kinds/restore.h"
#include "kinds/sock.h"
#include "kinds/unix_queue.h"

#define THUMP_UNIX_SHUT_READ  1U
#define THUMP_UNIX_SHUT_WRITE 2U

enum thump_unix_state {
	THUMP_UNIX_FRESH = 0,
	THUMP_UNIX_BOUND = 1,
	THUMP_UNIX_LISTENING = 2,
	/* Both ends are in the process (peer 0: the other one was closed): of socketpair(2), or,
	 * with names, of a connection that was accepted. */
	THUMP_UNIX_PAIR = 3,
	THUMP_UNIX_TO_NAME = 4,	 /* datagram socket connected to a name */
	THUMP_UNIX_LAUNCHER = 5, /* replaced by the caller's */
	THUMP_UNIX_PENDING = 6,	 /* waits to be accepted by `peer`, which listens */
};

struct thump_unix_socket {
	uint8_t state; /* enum thump_unix_state */
	int type;
	uint8_t launcher, shutdown;
	uint32_t backlog, mode;
	uint64_t id, peer_id;
	struct thump_unix_name name, peer_name;
	const char *path;
	struct thump_unix_queue queue;
	struct thump_sock_options options;
	uint64_t *pending; /* ids of those that wait to be accepted, the first one first */
	uint32_t nr_pending;
	int closing_fd; /* the other end until it is closed, between rebuild and connect */
	bool nameless;	/* the name of this pair is not to be had here: set by check */
};

struct thump_unix_shown {
	char text[THUMP_UNIX_NAME_MAX_BYTES + 2];
};

/* As ss(8) shows names. */
struct thump_unix_shown thump_unix_show(const struct thump_unix_name *name);

static inline bool thump_unix_is_path(const struct thump_unix_name *name)
{
	return name->len > 0 && name->bytes[0] != '\0';
}

static inline bool thump_unix_same_name(const struct thump_unix_name *a,
					const struct thump_unix_name *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

socklen_t thump_unix_address(const struct thump_unix_name *name, struct sockaddr_un *address_ret);

/*
 * Sends all that waited to be read in `sock`, whose descriptor is `fd`, once more: through
 * `peer_fd`, or, where that is -1, from whoever has the names of the senders.
 */
THUMP_MUST_CHECK int thump_unix_put_back(const struct thump_fd_rebuild *rb,
					 const struct thump_unix_socket *sock, int fd, int peer_fd,
					 struct thump_err *err);

/* Do the descriptors that travel in it exist? */
THUMP_MUST_CHECK int thump_unix_check_queue(const struct thump_fd_rebuild *rb,
					    const struct thump_unix_socket *sock,
					    struct thump_err *err);

/* See struct thump_kind. */
THUMP_MUST_CHECK int thump_unix_check(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
				      struct thump_problems *problems, struct thump_err *err);
THUMP_MUST_CHECK int thump_unix_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
					int *fd_ret, struct thump_err *err);
THUMP_MUST_CHECK int thump_unix_connect(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
					int fd, struct thump_err *err);

#endif
