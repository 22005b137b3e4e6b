/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SO_PEEK_OFF makes each MSG_PEEK begin where the one before it ended, here as in unix_queue.c; it
 * is put back at once. A socket with an error that waits to be told (poll(2) says POLLERR) is not
 * looked at: a peek would take the error (recvmsg of UDP begins with it).
 */
#include "kinds/datagrams.h"

#include <poll.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "kinds/restore.h"
#include "kinds/sock.h"

#define NR_DATAGRAMS_LIMIT 65536U
#define QUEUE_LIMIT_BYTES  ((size_t)8 << 20) /* a record has at most 16 MiB */
#define DATAGRAM_MAX_BYTES ((size_t)64 << 10)

/* ---- capture ---------------------------------------------------------------------------- */

/* Arguments of one recvmsg, in memory that the call sees. */
struct peek {
	struct msghdr header;
	struct iovec piece;
	union thump_inet_address sender;
	unsigned char bytes[];
};

struct waiting {
	struct thump_buf list; /* encoded */
	uint32_t count;
};

static int peek_one(struct thump_access *access, long *result_ret, struct thump_err *err)
{
	struct peek *peek = (void *)access->bytes;
	uint64_t args[6] = { (uint64_t)access->fd, access->addr, MSG_PEEK | MSG_DONTWAIT };

	memset(peek, 0, sizeof(*peek));
	peek->header.msg_name = (void *)(uintptr_t)(access->addr + offsetof(struct peek, sender));
	peek->header.msg_namelen = sizeof(peek->sender);
	peek->header.msg_iov = (void *)(uintptr_t)(access->addr + offsetof(struct peek, piece));
	peek->header.msg_iovlen = 1;
	peek->piece.iov_base = (void *)(uintptr_t)(access->addr + offsetof(struct peek, bytes));
	peek->piece.iov_len = access->room_bytes - offsetof(struct peek, bytes);
	return thump_access_call(access, SYS_recvmsg, args, access->room_bytes, result_ret, err);
}

/* *all_ret: false when something is left that cannot be saved. */
static int peek_all(struct thump_access *access, struct waiting *waiting, bool *all_ret,
		    struct thump_err *err)
{
	const struct peek *peek;
	long size;

	for (;;) {
		if (peek_one(access, &size, err) < 0)
			return -1;
		*all_ret = size == -EAGAIN;
		peek = (const void *)access->bytes;
		/* Without room of ours, the largest do not fit. */
		if (size < 0 || (peek->header.msg_flags & MSG_TRUNC) ||
		    waiting->count == NR_DATAGRAMS_LIMIT ||
		    waiting->list.size_bytes + (size_t)size > QUEUE_LIMIT_BYTES)
			return 0;
		thump_inet_put(&waiting->list, &peek->sender);
		thump_buf_put_blob(&waiting->list, peek->bytes, (size_t)size);
		waiting->count++;
	}
}

static int peek_queue(struct thump_access *access, struct waiting *waiting, bool *all_ret,
		      struct thump_err *err)
{
	int offset = -1, status;
	long result;

	if (thump_sock_get_int(access, SOL_SOCKET, SO_PEEK_OFF, &offset, &result, err) < 0)
		return -1;
	(void)thump_access_room(access, sizeof(struct peek) + DATAGRAM_MAX_BYTES);
	if (thump_sock_set_int(access, SO_PEEK_OFF, 0, err) < 0)
		return -1;
	status = peek_all(access, waiting, all_ret, err);
	if (thump_sock_set_int(access, SO_PEEK_OFF, offset, err) < 0)
		return -1;
	return status;
}

int thump_datagrams_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			    struct thump_access *access, const union thump_inet_address *local,
			    struct thump_buf *record, struct thump_err *err)
{
	struct waiting waiting = { .count = 0 };
	bool all = true;
	short revents;
	int status = 0;

	if (thump_access_poll(access, POLLIN, &revents, err) < 0)
		return -1;
	if ((revents & (POLLIN | POLLERR)) == POLLIN)
		status = peek_queue(access, &waiting, &all, err);
	else if (revents & POLLIN)
		all = false;
	thump_buf_put_u32(record, waiting.count);
	thump_buf_put(record, waiting.list.bytes, waiting.list.size_bytes);
	record->failed |= waiting.list.failed;
	thump_buf_deinit(&waiting.list);
	if (!all)
		thump_warn_fd(cap, facts, "udp-queue",
			      "UDP %s: %sdatagrams that wait are not saved",
			      thump_inet_show(local).text, waiting.count ? "some of the " : "");
	return status;
}

/* ---- restore ---------------------------------------------------------------------------- */

void thump_datagrams_decode(struct thump_reader *r, struct thump_arena *arena, bool v6,
			    struct thump_datagrams *datagrams_ret)
{
	uint32_t count = thump_get_u32(r);
	struct thump_datagrams datagrams = { 0 };

	if (count > NR_DATAGRAMS_LIMIT)
		r->failed = true;
	for (; datagrams.count < count && !r->failed; datagrams.count++) {
		struct thump_datagram *datagram;

		datagrams.list = thump_arena_grow(arena, datagrams.list, datagrams.count,
						  sizeof(*datagrams.list));
		if (!datagrams.list) {
			r->failed = true;
			return;
		}
		datagram = &datagrams.list[datagrams.count];
		*datagram = (struct thump_datagram){ 0 };
		thump_inet_decode(r, v6, &datagram->sender);
		datagram->bytes = thump_get_blob(r, DATAGRAM_MAX_BYTES, &datagram->size_bytes);
	}
	*datagrams_ret = datagrams;
}

/* Where they are sent from: a socket of the program, or one of ours. */
struct sender {
	int fd; /* -1: not to be had */
	bool is_ours, v6;
};

static void drop_sender(struct sender *sender)
{
	if (sender->is_ours)
		thump_close_fd(&sender->fd);
}

static bool same_address(const union thump_inet_address *a, const union thump_inet_address *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* While `checking` the program's own sockets are not there yet: any descriptor stands for them. */
static struct sender find_sender(const struct thump_fd_rebuild *rb,
				 const union thump_inet_address *address, bool checking)
{
	struct sender sender = { .fd = -1, .v6 = address->any.sa_family == AF_INET6 };
	uint32_t own = thump_inet_find_udp(rb, address, &sender.v6);

	if (own != THUMP_NO_ID) {
		sender.fd = checking ? INT32_MAX : rb->ofd_fds[own];
		return sender;
	}
	sender.is_ours = true;
	sender.fd = socket(address->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
	if (sender.fd >= 0 && bind(sender.fd, &address->any, thump_inet_len(address)) < 0)
		thump_close_fd(&sender.fd);
	return sender;
}

/* Whatever is sent to a port that several share may come to any of them. */
static bool is_shared(int fd)
{
	socklen_t len = sizeof(int);
	int shared = 0;

	return getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shared, &len) < 0 || shared;
}

uint32_t thump_datagrams_lost(const struct thump_fd_rebuild *rb,
			      const struct thump_datagrams *datagrams, int fd)
{
	struct sender sender = { .fd = -1 };
	uint32_t lost = 0;

	if (datagrams->count && is_shared(fd))
		return datagrams->count;
	for (uint32_t i = 0; i < datagrams->count; i++) {
		const struct thump_datagram *each = &datagrams->list[i];

		if (i == 0 || !same_address(&each->sender, &each[-1].sender)) {
			drop_sender(&sender);
			sender = find_sender(rb, &each->sender, true);
		}
		lost += sender.fd < 0;
	}
	drop_sender(&sender);
	return lost;
}

/* To the socket's own address; one that takes what comes to any address was reached at the
 * sender's, which is this machine's, too. */
static union thump_inet_address destination(const union thump_inet_address *local,
					    const union thump_inet_address *sender, bool v6)
{
	union thump_inet_address to = thump_inet_is_any(local) ? *sender : *local;

	thump_inet_set_port(&to, thump_inet_port(local));
	return v6 ? thump_inet_mapped(&to) : thump_inet_unmapped(&to);
}

void thump_datagrams_send(const struct thump_fd_rebuild *rb,
			  const struct thump_datagrams *datagrams, int fd)
{
	union thump_inet_address local = { .any = { 0 } }, to;
	socklen_t len = sizeof(local);
	struct sender sender = { .fd = -1 };

	if (datagrams->count == 0 || is_shared(fd) || getsockname(fd, &local.any, &len) < 0)
		return;
	for (uint32_t i = 0; i < datagrams->count; i++) {
		const struct thump_datagram *each = &datagrams->list[i];

		if (i == 0 || !same_address(&each->sender, &each[-1].sender)) {
			drop_sender(&sender);
			sender = find_sender(rb, &each->sender, false);
		}
		to = destination(&local, &each->sender, sender.v6);
		(void)sendto(sender.fd, each->bytes, each->size_bytes, MSG_DONTWAIT | MSG_NOSIGNAL,
			     &to.any, thump_inet_len(&to));
	}
	drop_sender(&sender);
}
