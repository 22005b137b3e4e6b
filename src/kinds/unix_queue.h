/* SPDX-License-Identifier: Apache-2.0 */
/* What lies in a unix socket: messages, or pieces of a stream, with what was sent along. */
#ifndef THUMP_KINDS_UNIX_QUEUE_H
#define THUMP_KINDS_UNIX_QUEUE_H

#include <stddef.h>
#include <sys/un.h>

#include "kinds/capture.h"

#define THUMP_UNIX_NAME_MAX_BYTES                                                                  \
	(sizeof(struct sockaddr_un) - offsetof(struct sockaddr_un, sun_path))
#define THUMP_UNIX_MAX_RIGHTS 253U /* SCM_MAX_FD of the kernel */

struct thump_unix_name {
	unsigned char bytes[THUMP_UNIX_NAME_MAX_BYTES];
	uint32_t len; /* 0: none; bytes[0] is 0: abstract */
};

/* A path in sun_path may or may not end with a NUL (unix(7)); here it never does. */
void thump_unix_name_of(const void *address, size_t size_bytes, struct thump_unix_name *name_ret);
void thump_unix_decode_name(struct thump_reader *r, struct thump_unix_name *name);

/* Does a datagram socket of the target have this name? */
THUMP_MUST_CHECK int thump_unix_is_own_name(struct thump_fd_capture *cap,
					    const struct thump_unix_name *name, bool *own_ret,
					    struct thump_err *err);

struct thump_unix_message {
	const void *bytes;
	size_t size_bytes;
	bool has_credentials; /* SCM_CREDENTIALS, of the process itself */
	uint32_t uid, gid;
	uint32_t *rights; /* SCM_RIGHTS: descriptions */
	uint32_t nr_rights;
	struct thump_unix_name sender; /* of a datagram */
};

struct thump_unix_queue {
	struct thump_unix_message *list;
	uint32_t count;
};

/* Appends all of it, without taking it out. `peer`: the other end where it is in the process, or
 * NULL. */
THUMP_MUST_CHECK int thump_unix_capture_queue(struct thump_fd_capture *cap,
					      const struct thump_fd_facts *facts,
					      const struct thump_fd_facts *peer,
					      struct thump_access *access, struct thump_buf *record,
					      struct thump_err *err);

/* Appends duplicates of the descriptors in flight to this socket, ints; the caller closes them. */
THUMP_MUST_CHECK int thump_unix_survey_rights(struct thump_fd_capture *cap,
					      const struct thump_fd_facts *facts,
					      struct thump_buf *fds, struct thump_err *err);

/* `version`: of the record. */
void thump_unix_decode_queue(struct thump_reader *r, struct thump_arena *arena, uint16_t version,
			     struct thump_unix_queue *queue_ret);

#endif
