/* SPDX-License-Identifier: Apache-2.0 */
/* What all kinds of sockets share: options, and what sock_diag(7) tells. */
#ifndef THUMP_KINDS_SOCK_H
#define THUMP_KINDS_SOCK_H

#include <sys/socket.h>

#include "kinds/capture.h"

/* Newer than the headers that thump is built with. */
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

/* ---- options (sock_options.c) ------------------------------------------------------------ */

#define THUMP_SOCK_OPTION_MAX_BYTES 16U

struct thump_sock_option {
	int32_t level, name;
	uint32_t size_bytes;
	unsigned char value[THUMP_SOCK_OPTION_MAX_BYTES];
};

struct thump_sock_options {
	struct thump_sock_option *list;
	uint32_t count;
};

/*
 * Every option whose value differs from that of a fresh socket of the same family, type and
 * protocol: u32 count, count times {u32 level, u32 name, blob value}. Refuses attached filters.
 */
THUMP_MUST_CHECK int thump_sock_capture_options(struct thump_fd_capture *cap,
						const struct thump_fd_facts *facts,
						struct thump_access *access,
						struct thump_buf *record, struct thump_err *err);

/* Only options that are in the table, with their size; else fails the reader. */
void thump_sock_decode_options(struct thump_reader *r, struct thump_arena *arena,
			       struct thump_sock_options *options_ret);

/* To be set before bind(2). -1 with errno, and the name of the option in *failed_ret. */
THUMP_MUST_CHECK int thump_sock_apply_options(int fd, const struct thump_sock_options *options,
					      const char **failed_ret);

/* A buffer that this user may not make as large again as it was (socket(7), net.core.rmem_max and
 * wmem_max): its option, or NULL. Sizes as getsockopt(2) tells them. */
const char *thump_sock_cut_buffer(int fd, const struct thump_sock_options *options, int *wanted_ret,
				  int *have_ret);

/* Sets what can be set. */
void thump_sock_try_options(int fd, const struct thump_sock_options *options);

THUMP_MUST_CHECK int thump_sock_get_int(struct thump_access *access, int level, int name,
					int *value_ret, long *result_ret, struct thump_err *err);

/* setsockopt(2) of one int at SOL_SOCKET. */
THUMP_MUST_CHECK int thump_sock_set_int(struct thump_access *access, int name, int value,
					struct thump_err *err);

/* getsockname(2) or getpeername(2) (nr). *result_ret is 0 or -errno. */
THUMP_MUST_CHECK int thump_sock_name(struct thump_access *access, long nr,
				     struct sockaddr_storage *name_ret, uint32_t *len_ret,
				     long *result_ret, struct thump_err *err);

/* ---- unix sockets by inode (sock_diag.c) -------------------------------------------------- */

struct thump_unix_diag {
	bool known;	  /* false: sock_diag is not to be had, or another network namespace */
	uint8_t state;	  /* TCP_LISTEN, TCP_ESTABLISHED, TCP_CLOSE */
	uint8_t shutdown; /* RCV_SHUTDOWN 1, SEND_SHUTDOWN 2 */
	bool has_peer;
	uint32_t peer_ino; /* 0: it was closed */
	uint32_t queued;   /* listening: connections that wait; else bytes */
	uint32_t backlog;  /* listening: as given to listen(2) */
	uint32_t vfs_ino;  /* of the file it is bound to, 0: none */
	uint32_t vfs_dev;
};

THUMP_MUST_CHECK int thump_unix_diag(const struct thump_target *target, uint64_t ino,
				     struct thump_unix_diag *diag_ret, struct thump_err *err);

/* Of a socket that listens: inodes of the clients of those connections that wait to be accepted, in
 * their order (0: it is gone). How many; 0 also when nobody tells. */
#define THUMP_UNIX_PENDING_MAX 1024U
size_t thump_unix_pending(const struct thump_target *target, uint64_t ino, uint32_t *clients,
			  size_t room);

/* ---- for datagrams.c ----------------------------------------------------------------------- */

union thump_inet_address;

/* The UDP socket of the image that sends from this address, or THUMP_NO_ID. *v6_ret: it is one of
 * IPv6. */
uint32_t thump_inet_find_udp(const struct thump_fd_rebuild *rb,
			     const union thump_inet_address *address, bool *v6_ret);

/* ---- for spares ---------------------------------------------------------------------------- */

/* What its name will be, when rb->bound_late; false: it gets none. */
struct thump_late_bind;
bool thump_inet_late_bind(const struct thump_fd_rebuild *rb, const void *object,
			  struct thump_late_bind *bind_ret);

/* ---- for --port ---------------------------------------------------------------------------- */

/* Is this inet socket one that listens on TCP port `port` in the image? */
bool thump_inet_listens_on(const void *object, uint16_t port);

#endif
