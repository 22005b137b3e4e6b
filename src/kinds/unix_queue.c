/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies in a unix socket, read with MSG_PEEK. SO_PEEK_OFF makes each peek begin where the one
 * before it ended, also inside a message that did not fit; it is set for this only where something
 * lies there, and put back at once.
 */
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "base/fd.h"
#include "kinds/sock.h"

#define NR_MESSAGES_LIMIT (1U << 20)
#define QUEUE_LIMIT_BYTES ((size_t)8 << 20) /* a record has at most 16 MiB */
#define PEEK_ROOM_BYTES	  ((size_t)64 << 10)
#define CREDENTIALS_BYTES CMSG_SPACE(sizeof(struct ucred))

/* Arguments of one recvmsg, in memory that the call sees: addresses are relative to its place. */
struct peek {
	struct msghdr header;
	struct iovec piece;
	_Alignas(8) unsigned char control[64];
	unsigned char bytes[];
};

struct queue {
	struct thump_buf list;	  /* encoded messages */
	struct thump_buf message; /* one that is not complete yet */
	uint32_t count;
};

static int set_int(struct thump_access *access, int name, int value, struct thump_err *err)
{
	uint64_t args[6] = { (uint64_t)access->fd, SOL_SOCKET, (uint64_t)name, access->addr,
			     sizeof(value) };
	long result;

	memcpy(access->bytes, &value, sizeof(value));
	if (thump_access_call(access, SYS_setsockopt, args, sizeof(value), &result, err) < 0)
		return -1;
	if (result < 0) {
		errno = (int)-result;
		return thump_fail_errno(err, "setsockopt %d", name);
	}
	return 0;
}

/* With room for exactly the credentials that SO_PASSCRED asks for, nothing else can come: passed
 * descriptors are never installed, they show as MSG_CTRUNC. */
static int peek_once(struct thump_access *access, bool credentials, long *result_ret,
		     struct thump_err *err)
{
	struct peek *peek = (void *)access->bytes;
	uint64_t args[6] = { (uint64_t)access->fd, access->addr, MSG_PEEK | MSG_DONTWAIT };

	memset(peek, 0, sizeof(*peek));
	peek->piece.iov_base = (void *)(uintptr_t)(access->addr + offsetof(struct peek, bytes));
	peek->piece.iov_len = access->room_bytes - sizeof(*peek);
	peek->header.msg_iov = (void *)(uintptr_t)(access->addr + offsetof(struct peek, piece));
	peek->header.msg_iovlen = 1;
	if (credentials) {
		peek->header.msg_control =
			(void *)(uintptr_t)(access->addr + offsetof(struct peek, control));
		peek->header.msg_controllen = CREDENTIALS_BYTES;
	}
	return thump_access_call(access, SYS_recvmsg, args, access->room_bytes, result_ret, err);
}

static void end_message(struct queue *queue)
{
	thump_buf_put_blob(&queue->list, queue->message.bytes, queue->message.size_bytes);
	queue->message.size_bytes = 0;
	queue->count++;
}

static int peek_all(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		    struct thump_access *access, bool credentials, struct queue *queue,
		    struct thump_err *err)
{
	const struct peek *peek;
	long result;

	for (;;) {
		if (peek_once(access, credentials, &result, err) < 0)
			return -1;
		if (result == -EAGAIN || (result == 0 && facts->sock_type != SOCK_DGRAM))
			return 0;
		if (result < 0) {
			errno = (int)-result;
			return thump_fail_errno(err, "recvmsg(MSG_PEEK)");
		}
		peek = (const void *)access->bytes;
		if (peek->header.msg_flags & MSG_CTRUNC) {
			thump_refuse_fd(cap, facts, "unix-rights",
					"unix socket: descriptors or credentials in flight cannot "
					"be saved");
			return 0;
		}
		thump_buf_put(&queue->message, peek->bytes, (size_t)result);
		if (queue->list.size_bytes + queue->message.size_bytes > QUEUE_LIMIT_BYTES) {
			thump_refuse_fd(cap, facts, "unix-socket",
					"unix socket: more than %zu bytes wait to be read",
					QUEUE_LIMIT_BYTES);
			return 0;
		}
		/* A stream is one message that never ends. */
		if (facts->sock_type != SOCK_STREAM && !(peek->header.msg_flags & MSG_TRUNC))
			end_message(queue);
	}
}

static int read_queue(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		      struct thump_access *access, struct queue *queue, struct thump_err *err)
{
	int credentials = 0, offset = -1, status;
	long result;

	(void)thump_access_room(access, sizeof(struct peek) + PEEK_ROOM_BYTES);
	if (thump_sock_get_int(access, SOL_SOCKET, SO_PASSCRED, &credentials, &result, err) < 0 ||
	    thump_sock_get_int(access, SOL_SOCKET, SO_PEEK_OFF, &offset, &result, err) < 0 ||
	    set_int(access, SO_PEEK_OFF, 0, err) < 0)
		return -1;
	status = peek_all(cap, facts, access, credentials != 0, queue, err);
	if (set_int(access, SO_PEEK_OFF, offset, err) < 0)
		return -1;
	return status;
}

int thump_unix_capture_queue(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			     struct thump_access *access, struct thump_buf *record,
			     struct thump_err *err)
{
	struct queue queue = { .count = 0 };
	short revents;
	int status = 0;

	if (thump_access_poll(access, POLLIN, &revents, err) < 0)
		return -1;
	if (revents & POLLIN)
		status = read_queue(cap, facts, access, &queue, err);
	if (queue.message.size_bytes)
		end_message(&queue);
	thump_buf_put_u32(record, queue.count);
	thump_buf_put(record, queue.list.bytes, queue.list.size_bytes);
	record->failed |= queue.list.failed | queue.message.failed;
	thump_buf_deinit(&queue.list);
	thump_buf_deinit(&queue.message);
	return status;
}

void thump_unix_decode_queue(struct thump_reader *r, struct thump_arena *arena,
			     struct thump_unix_queue *queue_ret)
{
	uint32_t count = thump_get_u32(r);
	struct thump_unix_queue queue = { 0 };

	if (count > NR_MESSAGES_LIMIT)
		r->failed = true;
	for (uint32_t i = 0; i < count && !r->failed; i++) {
		struct thump_unix_message message;

		message.bytes = thump_get_blob(r, QUEUE_LIMIT_BYTES, &message.size_bytes);
		queue.list = thump_arena_grow(arena, queue.list, i, sizeof(message));
		if (!queue.list) {
			r->failed = true;
			return;
		}
		queue.list[i] = message;
		queue.count = i + 1;
	}
	*queue_ret = queue;
}

int thump_unix_fill_queue(int peer_fd, const struct thump_unix_queue *queue, struct thump_err *err)
{
	for (uint32_t i = 0; i < queue->count; i++) {
		const struct thump_unix_message *message = &queue->list[i];
		size_t done = 0;

		/* Only a stream takes less than all; an empty message is one, too. */
		do {
			ssize_t sent =
				send(peer_fd, (const char *)message->bytes + done,
				     message->size_bytes - done, MSG_DONTWAIT | MSG_NOSIGNAL);

			if (sent < 0)
				return thump_fail_errno(err,
							"put back %zu bytes that waited to be read",
							message->size_bytes);
			done += (size_t)sent;
		} while (done < message->size_bytes);
	}
	return 0;
}
