/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies in a unix socket, read with MSG_PEEK. A stream, or the only message, shows all of
 * itself to it. Where there are more messages SO_PEEK_OFF makes each peek begin where the one
 * before it ended, also inside a message that did not fit; it is put back at once. (Should thump be
 * killed in between, then it stays, which is seen by nobody but a program that uses MSG_PEEK on
 * this socket.)
 *
 * An empty message shows itself to one peek only (skb->peeked in __skb_try_recv_from_queue()). A
 * dry run would hide it from the checkpoint, so hidden ones are counted: SIOCOUTQ of the other end
 * tells what all messages cost, and what the visible ones cost is measured on a pair of our own.
 */
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "base/fd.h"
#include "kinds/peek.h"
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
	uint32_t nr_filled; /* of them not empty */
	int scale[2];	    /* a pair of our own to weigh messages on */
	int64_t weight;	    /* of all in the list; -1: not known */
};

/* What one message costs its sender's buffer; -1: not known. */
static int64_t weigh(const struct queue *queue, const void *bytes, size_t size_bytes)
{
	char room;
	int weight;

	if (send(queue->scale[0], bytes, size_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -1;
	if (ioctl(queue->scale[0], SIOCOUTQ, &weight) < 0)
		weight = -1;
	if (recv(queue->scale[1], &room, sizeof(room), MSG_DONTWAIT | MSG_TRUNC) < 0)
		return -1;
	return weight;
}

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
	const struct thump_buf *message = &queue->message;
	int64_t weight = message->size_bytes ? weigh(queue, message->bytes, message->size_bytes)
					     : weigh(queue, "", 0);

	queue->weight = weight < 0 || queue->weight < 0 ? -1 : queue->weight + weight;
	thump_buf_put_blob(&queue->list, queue->message.bytes, queue->message.size_bytes);
	queue->nr_filled += queue->message.size_bytes > 0;
	queue->message.size_bytes = 0;
	queue->count++;
}

static void refuse_more(struct thump_fd_capture *cap, const struct thump_fd_facts *facts)
{
	thump_refuse_fd(cap, facts, "unix-rights",
			"unix socket: descriptors or credentials in flight cannot be saved");
}

static void refuse_size(struct thump_fd_capture *cap, const struct thump_fd_facts *facts)
{
	thump_refuse_fd(cap, facts, "unix-socket",
			"unix socket: more than %zu bytes wait to be read", QUEUE_LIMIT_BYTES);
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
			refuse_more(cap, facts);
			return 0;
		}
		thump_buf_put(&queue->message, peek->bytes, (size_t)result);
		if (queue->list.size_bytes + queue->message.size_bytes > QUEUE_LIMIT_BYTES) {
			refuse_size(cap, facts);
			return 0;
		}
		/* A stream is one message that never ends. */
		if (facts->sock_type != SOCK_STREAM && !(peek->header.msg_flags & MSG_TRUNC))
			end_message(queue);
	}
}

/* What the other end has sent and nobody has read costs it so much; -1: not known. */
static int sent_by(struct thump_fd_capture *cap, const struct thump_fd_facts *peer,
		   int64_t *weight_ret, struct thump_err *err)
{
	auto_access struct thump_access access = THUMP_ACCESS_INIT;
	int sent = 0;
	long result;

	*weight_ret = -1;
	if (!peer)
		return 0;
	if (thump_access_open(cap->target, cap->have_dup_fd, peer->fd, &access, err) < 0 ||
	    thump_access_ioctl_int(&access, SIOCOUTQ, &sent, &result, err) < 0)
		return -1;
	if (result >= 0)
		*weight_ret = sent;
	return 0;
}

static int peek_stream(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		       struct thump_access *access, struct queue *queue, bool *done_ret,
		       struct thump_err *err)
{
	int waiting = 0;
	bool more;
	long result;

	if (thump_access_ioctl_int(access, FIONREAD, &waiting, &result, err) < 0)
		return -1;
	*done_ret = true;
	if (result >= 0 && (size_t)waiting > QUEUE_LIMIT_BYTES) {
		refuse_size(cap, facts);
		return 0;
	}
	if (result < 0 || waiting <= 0)
		return 0;
	if (thump_peek_stream(access, (size_t)waiting, &queue->message, &more, err) < 0)
		return -1;
	if (more)
		refuse_more(cap, facts);
	else if (queue->message.size_bytes != (size_t)waiting)
		*done_ret = false;
	if (!*done_ret || more)
		queue->message.size_bytes = 0;
	return 0;
}

/* Without an offset the first message always shows itself. If it is empty, it does so no more to
 * those with one that follow: it stays in the list. */
static int peek_message(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			const struct thump_fd_facts *peer, struct thump_access *access,
			bool credentials, struct queue *queue, bool *done_ret,
			struct thump_err *err)
{
	const struct peek *peek = (const void *)access->bytes;
	int64_t sent;
	long result;

	if (peek_once(access, credentials, &result, err) < 0 || sent_by(cap, peer, &sent, err) < 0)
		return -1;
	if (result < 0 || (result == 0 && facts->sock_type != SOCK_DGRAM) ||
	    (peek->header.msg_flags & (MSG_CTRUNC | MSG_TRUNC)))
		return 0;
	thump_buf_put(&queue->message, peek->bytes, (size_t)result);
	end_message(queue);
	*done_ret = sent >= 0 && queue->weight == sent;
	if (*done_ret || result == 0)
		return 0;
	queue->list.size_bytes = 0;
	queue->count = queue->nr_filled = 0;
	queue->weight = 0;
	return 0;
}

static int read_queue(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		      const struct thump_fd_facts *peer, struct thump_access *access,
		      struct queue *queue, struct thump_err *err)
{
	int credentials = 0, offset = -1, status = 0;
	bool done = false;
	long result;

	(void)thump_access_room(access, sizeof(struct peek) + PEEK_ROOM_BYTES);
	if (thump_sock_get_int(access, SOL_SOCKET, SO_PASSCRED, &credentials, &result, err) < 0 ||
	    thump_sock_get_int(access, SOL_SOCKET, SO_PEEK_OFF, &offset, &result, err) < 0)
		return -1;
	/* A peek would move an offset that is set. */
	if (offset < 0 && facts->sock_type != SOCK_STREAM)
		status =
			peek_message(cap, facts, peer, access, credentials != 0, queue, &done, err);
	else if (offset < 0 && !credentials)
		status = peek_stream(cap, facts, access, queue, &done, err);
	if (done || status < 0)
		return status;
	if (set_int(access, SO_PEEK_OFF, 0, err) < 0)
		return -1;
	status = peek_all(cap, facts, access, credentials != 0, queue, err);
	if (set_int(access, SO_PEEK_OFF, offset, err) < 0)
		return -1;
	return status;
}

static int find_hidden(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		       const struct thump_fd_facts *peer, struct queue *queue,
		       struct thump_err *err)
{
	int64_t each = weigh(queue, "", 0), hidden, sent;

	if (each <= 0 || queue->weight < 0)
		return 0;
	if (sent_by(cap, peer, &sent, err) < 0)
		return -1;
	hidden = sent < 0 ? 0 : (sent - queue->weight) / each;
	if (hidden > 0 && queue->nr_filled > 0)
		thump_refuse_fd(
			cap, facts, "unix-empty",
			"unix socket: %lld empty messages that were looked at before "
			"(MSG_PEEK, a dry run) lie somewhere between others: cannot be saved",
			(long long)hidden);
	for (; hidden > 0 && queue->count < NR_MESSAGES_LIMIT; hidden--)
		end_message(queue);
	return 0;
}

static int read_messages(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			 const struct thump_fd_facts *peer, struct thump_access *access,
			 struct queue *queue, struct thump_err *err)
{
	auto_close int near = -1;
	auto_close int far = -1;

	if (socketpair(AF_UNIX, facts->sock_type | SOCK_CLOEXEC, 0, queue->scale) < 0)
		return thump_fail_errno(err, "socketpair");
	near = queue->scale[0];
	far = queue->scale[1];
	if (read_queue(cap, facts, peer, access, queue, err) < 0)
		return -1;
	if (queue->message.size_bytes) {
		end_message(queue);
		return 0;
	}
	/* A stream has no empty ones. */
	if (facts->sock_type == SOCK_STREAM || !peer)
		return 0;
	return find_hidden(cap, facts, peer, queue, err);
}

int thump_unix_capture_queue(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			     const struct thump_fd_facts *peer, struct thump_access *access,
			     struct thump_buf *record, struct thump_err *err)
{
	struct queue queue = { .count = 0 };
	short revents;
	int status = 0;

	if (thump_access_poll(access, POLLIN, &revents, err) < 0)
		return -1;
	if (revents & POLLIN)
		status = read_messages(cap, facts, peer, access, &queue, err);
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

static int send_all(int peer_fd, const struct thump_unix_queue *queue, struct thump_err *err)
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

int thump_unix_fill_queue(int peer_fd, const struct thump_unix_queue *queue, struct thump_err *err)
{
	/* A datagram socket that has one of these gets a name when it sends (unix_autobind() in
	 * unix_dgram_sendmsg()), and the pair would be none any more. */
	static const int naming[] = { SO_PASSCRED, SO_PASSPIDFD };
	int values[THUMP_ARRAY_SIZE(naming)] = { 0 }, off = 0, status;

	if (queue->count == 0)
		return 0;
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(naming); i++) {
		socklen_t len = sizeof(values[i]);

		if (getsockopt(peer_fd, SOL_SOCKET, naming[i], &values[i], &len) < 0)
			values[i] = 0; /* not known to this kernel */
		if (values[i] && setsockopt(peer_fd, SOL_SOCKET, naming[i], &off, sizeof(off)) < 0)
			return thump_fail_errno(err, "setsockopt %d", naming[i]);
	}
	status = send_all(peer_fd, queue, err);
	for (size_t i = 0; status == 0 && i < THUMP_ARRAY_SIZE(naming); i++)
		if (values[i] &&
		    setsockopt(peer_fd, SOL_SOCKET, naming[i], &values[i], sizeof(values[i])) < 0)
			return thump_fail_errno(err, "setsockopt %d", naming[i]);
	return status;
}
