/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies in a unix socket, read with MSG_PEEK. Descriptors in flight are looked at only through
 * a duplicate of the socket: each peek gives new ones to whoever calls, which here is never the
 * target.
 * A stream, or the only message, shows all of
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
#include "kinds/flight.h"
#include "kinds/sock.h"
#include "kinds/unix_socket.h"
#include "proc/text.h"
#include "trace/target.h"

#define NR_MESSAGES_LIMIT (1U << 20)
#define QUEUE_LIMIT_BYTES ((size_t)8 << 20) /* a record has at most 16 MiB */
#define PEEK_ROOM_BYTES	  ((size_t)64 << 10)
#define CREDENTIALS_BYTES CMSG_SPACE(sizeof(struct ucred))
/* Credentials, descriptors, a pidfd, a label of a security module. */
#define CONTROL_ROOM_BYTES                                                                         \
	(CREDENTIALS_BYTES + CMSG_SPACE(THUMP_UNIX_MAX_RIGHTS * sizeof(int)) +                     \
	 CMSG_SPACE(sizeof(int)) + 512)

#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

/* Arguments of one recvmsg, in memory that the call sees: addresses are relative to its place. */
struct peek {
	struct msghdr header;
	struct iovec pieces[2];
	struct sockaddr_un sender;
	_Alignas(8) unsigned char control[]; /* control_bytes of it, then the message */
};

/* What came with a message. */
struct extras {
	bool has_credentials;
	struct ucred credentials;
	struct thump_unix_name sender;
	uint32_t nr_rights;
	int rights[THUMP_UNIX_MAX_RIGHTS]; /* duplicates of ours */
};

struct queue {
	struct thump_buf list;	  /* encoded messages */
	struct thump_buf message; /* one that is not complete yet */
	struct extras extras;	  /* of it */
	size_t control_bytes;	  /* room for control messages */
	size_t peeked_bytes;	  /* SO_PEEK_OFF of the next peek */
	uint32_t count;
	uint32_t nr_filled; /* of them not empty */
	int scale[2];	    /* a pair of our own to weigh messages on */
	int64_t weight;	    /* of all in the list; -1: not known */
};

static void drop_rights(struct extras *extras)
{
	for (uint32_t i = 0; i < extras->nr_rights; i++)
		thump_close_fd(&extras->rights[i]);
	extras->nr_rights = 0;
}

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

static unsigned char *bytes_of(struct thump_access *access, const struct queue *queue)
{
	return access->bytes + offsetof(struct peek, control) + queue->control_bytes;
}

/*
 * In the target there is room for exactly the credentials that SO_PASSCRED asks for, so nothing
 * else can come: passed descriptors are never installed there, they show as MSG_CTRUNC.
 */
static int peek_up_to(struct thump_access *access, const struct queue *queue, size_t room_bytes,
		      long *result_ret, struct thump_err *err)
{
	const size_t bytes_at = offsetof(struct peek, control) + queue->control_bytes;
	struct peek *peek = (void *)access->bytes;
	uint64_t args[6] = { (uint64_t)access->fd, access->addr,
			     MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC };

	memset(access->bytes, 0, bytes_at);
	peek->pieces[0].iov_base = (void *)(uintptr_t)(access->addr + bytes_at);
	peek->pieces[0].iov_len = thump_min_u64(access->room_bytes - bytes_at, room_bytes);
	/* Nothing is mapped there (vm.mmap_min_addr). */
	peek->pieces[1] = (struct iovec){ .iov_base = (void *)1, .iov_len = 1 };
	peek->header.msg_iov = (void *)(uintptr_t)(access->addr + offsetof(struct peek, pieces));
	peek->header.msg_iovlen = room_bytes == SIZE_MAX ? 1 : 2;
	peek->header.msg_name = (void *)(uintptr_t)(access->addr + offsetof(struct peek, sender));
	peek->header.msg_namelen = sizeof(peek->sender);
	peek->header.msg_control =
		(void *)(uintptr_t)(access->addr + offsetof(struct peek, control));
	peek->header.msg_controllen = queue->control_bytes;
	return thump_access_call(access, SYS_recvmsg, args, access->room_bytes, result_ret, err);
}

static int peek_once(struct thump_access *access, const struct queue *queue, long *result_ret,
		     struct thump_err *err)
{
	return peek_up_to(access, queue, SIZE_MAX, result_ret, err);
}

static void take_rights(const struct cmsghdr *cmsg, struct extras *extras)
{
	size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < count; i++) {
		auto_close int fd = -1;

		memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
		if (cmsg->cmsg_type == SCM_RIGHTS && extras->nr_rights < THUMP_UNIX_MAX_RIGHTS)
			extras->rights[extras->nr_rights++] = thump_take_fd(&fd);
	}
}

/* What came with the message that was just peeked; an answer has absolute addresses that may be
 * those of the target. */
static void take_extras(struct thump_access *access, const struct queue *queue,
			struct extras *extras)
{
	const struct peek *peek = (const void *)access->bytes;
	size_t left = peek->header.msg_controllen, at = 0;
	const size_t path_at = offsetof(struct sockaddr_un, sun_path);

	if (left > queue->control_bytes)
		left = queue->control_bytes;
	while (left - at >= sizeof(struct cmsghdr)) {
		const struct cmsghdr *cmsg = (const void *)(peek->control + at);

		if (cmsg->cmsg_len < sizeof(*cmsg) || cmsg->cmsg_len > left - at)
			break;
		if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_CREDENTIALS &&
		    cmsg->cmsg_len == CMSG_LEN(sizeof(extras->credentials))) {
			memcpy(&extras->credentials, CMSG_DATA(cmsg), sizeof(extras->credentials));
			extras->has_credentials = true;
		} else if (cmsg->cmsg_level == SOL_SOCKET &&
			   (cmsg->cmsg_type == SCM_RIGHTS || cmsg->cmsg_type == SCM_PIDFD)) {
			take_rights(cmsg, extras);
		}
		if (CMSG_ALIGN(cmsg->cmsg_len) >= left - at)
			break;
		at += CMSG_ALIGN(cmsg->cmsg_len);
	}
	if (peek->header.msg_namelen > path_at &&
	    peek->header.msg_namelen - path_at <= THUMP_UNIX_NAME_MAX_BYTES)
		thump_unix_name_of(&peek->sender, peek->header.msg_namelen, &extras->sender);
}

static void refuse_more(struct thump_fd_capture *cap, const struct thump_fd_facts *facts)
{
	thump_refuse_fd(cap, facts, "unix-rights",
			"unix socket: descriptors in flight (SCM_RIGHTS) cannot be saved here: "
			"pidfd_getfd(2) and kcmp(2) are needed to look at them");
}

/*
 * Only the process's own can be sent once more. What was sent while nobody asked for credentials
 * has none: the kernel then tells pid 0 and the overflow uid (unix(7), scm_recv_unix()).
 */
static int put_credentials(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			   struct thump_access *access, struct queue *queue, struct thump_err *err)
{
	const struct ucred *came = &queue->extras.credentials;
	const uint64_t none[6] = { 0 };
	long own = cap->target->pid;
	bool there = queue->extras.has_credentials && came->pid != 0;

	if (there && access->remote &&
	    thump_remote_syscall(cap->target, SYS_getpid, none, &own, err) < 0)
		return -1;
	if (there && came->pid != own)
		thump_refuse_fd(cap, facts, "unix-credentials",
				"unix socket: the credentials of process %d wait to be read: only "
				"those of the process itself can be saved",
				came->pid);
	thump_buf_put_u8(&queue->list, there);
	thump_buf_put_u32(&queue->list, there ? came->uid : 0);
	thump_buf_put_u32(&queue->list, there ? came->gid : 0);
	return 0;
}

static void put_rights(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		       struct queue *queue)
{
	const struct extras *extras = &queue->extras;

	thump_buf_put_u32(&queue->list, extras->nr_rights);
	for (uint32_t i = 0; i < extras->nr_rights; i++) {
		uint32_t id = thump_flight_find(cap, extras->rights[i]);

		thump_buf_put_u32(&queue->list, id);
		if (id == THUMP_NO_ID) {
			refuse_more(cap, facts);
			return;
		}
	}
}

/* Nobody else's name can be sent from. */
static int put_sender(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		      struct queue *queue, struct thump_err *err)
{
	const struct thump_unix_name *sender = &queue->extras.sender;
	bool own = true, datagram = facts->sock_type == SOCK_DGRAM;

	if (datagram && sender->len && thump_unix_is_own_name(cap, sender, &own, err) < 0)
		return -1;
	if (!own)
		thump_refuse_fd(cap, facts, "unix-socket",
				"unix socket: a message of %s, which is another process's, waits "
				"to be read: cannot be saved",
				thump_unix_show(sender).text);
	thump_buf_put_blob(&queue->list, sender->bytes, datagram ? sender->len : 0);
	return 0;
}

/* Takes the message into the list. */
static int end_message(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		       struct thump_access *access, struct queue *queue, struct thump_err *err)
{
	const struct thump_buf *message = &queue->message;
	int64_t weight = 0;
	int status;

	if (facts->sock_type != SOCK_STREAM)
		weight = weigh(queue, message->size_bytes ? (const void *)message->bytes : "",
			       message->size_bytes);
	queue->weight = weight < 0 || queue->weight < 0 ? -1 : queue->weight + weight;
	thump_buf_put_blob(&queue->list, message->bytes, message->size_bytes);
	status = put_credentials(cap, facts, access, queue, err);
	put_rights(cap, facts, queue);
	if (status == 0)
		status = put_sender(cap, facts, queue, err);
	drop_rights(&queue->extras);
	queue->extras = (struct extras){ 0 };
	queue->nr_filled += message->size_bytes > 0;
	queue->message.size_bytes = 0;
	queue->count++;
	return status;
}

static void refuse_size(struct thump_fd_capture *cap, const struct thump_fd_facts *facts)
{
	thump_refuse_fd(cap, facts, "unix-socket",
			"unix socket: more than %zu bytes wait to be read", QUEUE_LIMIT_BYTES);
}

/*
 * A read of a stream goes on into a message with descriptors, and stops behind it. Where does that
 * message begin? All before it is copied message by message, and one that cannot be copied whole
 * does not count (unix_stream_read_generic()): so room for all but the last byte, then none.
 */
static int find_rights(struct thump_access *access, const struct queue *queue, size_t size_bytes,
		       size_t *start_ret, struct thump_err *err)
{
	long result;

	if (thump_sock_set_int(access, SO_PEEK_OFF, (int)queue->peeked_bytes, err) < 0 ||
	    peek_up_to(access, queue, size_bytes - 1, &result, err) < 0 ||
	    thump_sock_set_int(access, SO_PEEK_OFF, (int)(queue->peeked_bytes + size_bytes), err) <
		    0)
		return -1;
	*start_ret = result > 0 ? (size_t)result : 0;
	return 0;
}

static bool same_credentials(const struct extras *a, const struct extras *b)
{
	return a->has_credentials == b->has_credentials &&
	       a->credentials.pid == b->credentials.pid &&
	       a->credentials.uid == b->credentials.uid && a->credentials.gid == b->credentials.gid;
}

/* A stream is one message, but that what came with some bytes begins one, and descriptors end it.
 */
static int add_to_stream(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			 struct thump_access *access, struct queue *queue, size_t size_bytes,
			 struct extras *extras, struct thump_err *err)
{
	size_t before = 0;

	if (queue->message.size_bytes && !same_credentials(&queue->extras, extras) &&
	    end_message(cap, facts, access, queue, err) < 0)
		return -1;
	queue->extras.has_credentials = extras->has_credentials;
	queue->extras.credentials = extras->credentials;
	if (extras->nr_rights == 0) {
		thump_buf_put(&queue->message, bytes_of(access, queue), size_bytes);
		return 0;
	}
	if (find_rights(access, queue, size_bytes, &before, err) < 0)
		return -1;
	thump_buf_put(&queue->message, bytes_of(access, queue), before);
	if (queue->message.size_bytes && end_message(cap, facts, access, queue, err) < 0)
		return -1;
	queue->extras = *extras;
	extras->nr_rights = 0;
	thump_buf_put(&queue->message, bytes_of(access, queue) + before, size_bytes - before);
	return end_message(cap, facts, access, queue, err);
}

/* Of a message that did not fit, each piece comes with all of what was sent along. */
static int add_to_message(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			  struct thump_access *access, struct queue *queue, size_t size_bytes,
			  struct extras *extras, struct thump_err *err)
{
	const struct peek *peek = (const void *)access->bytes;

	if (queue->message.size_bytes == 0) {
		queue->extras = *extras;
		extras->nr_rights = 0;
	}
	thump_buf_put(&queue->message, bytes_of(access, queue), size_bytes);
	return peek->header.msg_flags & MSG_TRUNC ? 0 : end_message(cap, facts, access, queue, err);
}

/* Adds what was just peeked. *fits_ret: it can be saved. */
static int add_peeked(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		      struct thump_access *access, struct queue *queue, size_t size_bytes,
		      bool *fits_ret, struct thump_err *err)
{
	bool cut =
		((const struct peek *)(const void *)access->bytes)->header.msg_flags & MSG_CTRUNC;
	bool fits = queue->list.size_bytes + queue->message.size_bytes + size_bytes <=
		    QUEUE_LIMIT_BYTES;
	struct extras extras = { 0 };
	int status = 0;

	take_extras(access, queue, &extras);
	if (cut)
		refuse_more(cap, facts);
	else if (!fits)
		refuse_size(cap, facts);
	else if (facts->sock_type == SOCK_STREAM)
		status = add_to_stream(cap, facts, access, queue, size_bytes, &extras, err);
	else
		status = add_to_message(cap, facts, access, queue, size_bytes, &extras, err);
	drop_rights(&extras);
	queue->peeked_bytes += size_bytes;
	*fits_ret = !cut && fits;
	return status;
}

/* Peeks with an offset; false in *more_ret at the end. */
static int peek_next(const struct thump_fd_facts *facts, struct thump_access *access,
		     const struct queue *queue, size_t *size_ret, bool *more_ret,
		     struct thump_err *err)
{
	long result;

	if (peek_once(access, queue, &result, err) < 0)
		return -1;
	*more_ret = result > 0 || (result == 0 && facts->sock_type == SOCK_DGRAM);
	if (result < 0 && result != -EAGAIN) {
		errno = (int)-result;
		return thump_fail_errno(err, "recvmsg(MSG_PEEK)");
	}
	*size_ret = *more_ret ? (size_t)result : 0;
	return 0;
}

static int peek_all(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		    struct thump_access *access, struct queue *queue, struct thump_err *err)
{
	bool more, fits = true;
	size_t size_bytes;

	for (;;) {
		if (peek_next(facts, access, queue, &size_bytes, &more, err) < 0)
			return -1;
		if (!more)
			return 0;
		if (add_peeked(cap, facts, access, queue, size_bytes, &fits, err) < 0)
			return -1;
		if (!fits)
			return 0;
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
	*done_ret = !more && queue->message.size_bytes == (size_t)waiting;
	if (!*done_ret)
		queue->message.size_bytes = 0;
	return 0;
}

static void forget(struct queue *queue)
{
	drop_rights(&queue->extras);
	queue->extras = (struct extras){ 0 };
	queue->message.size_bytes = queue->list.size_bytes = 0;
	queue->count = queue->nr_filled = 0;
	queue->weight = 0;
}

/* Without an offset the first message always shows itself. If it is empty, it does so no more to
 * those with one that follow: it stays in the list. */
static int peek_message(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			const struct thump_fd_facts *peer, struct thump_access *access,
			struct queue *queue, bool *done_ret, struct thump_err *err)
{
	const struct peek *peek;
	int64_t sent;
	long result;

	if (peek_once(access, queue, &result, err) < 0 || sent_by(cap, peer, &sent, err) < 0)
		return -1;
	if (result < 0 || (result == 0 && facts->sock_type != SOCK_DGRAM))
		return 0;
	take_extras(access, queue, &queue->extras);
	peek = (const void *)access->bytes;
	/* Without a peer nobody can tell whether it is the only one. */
	if ((peek->header.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) || (sent < 0 && result > 0)) {
		forget(queue);
		return 0;
	}
	thump_buf_put(&queue->message, bytes_of(access, queue), (size_t)result);
	if (end_message(cap, facts, access, queue, err) < 0)
		return -1;
	*done_ret = sent >= 0 && queue->weight == sent;
	if (!*done_ret && result > 0)
		forget(queue);
	return 0;
}

static int read_queue(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		      const struct thump_fd_facts *peer, struct thump_access *access,
		      struct queue *queue, struct thump_err *err)
{
	int credentials = 0, offset = -1, status = 0;
	bool done = false;
	long result;

	(void)thump_access_room(access, sizeof(struct peek) + CONTROL_ROOM_BYTES + PEEK_ROOM_BYTES);
	if (thump_sock_get_int(access, SOL_SOCKET, SO_PASSCRED, &credentials, &result, err) < 0 ||
	    thump_sock_get_int(access, SOL_SOCKET, SO_PEEK_OFF, &offset, &result, err) < 0)
		return -1;
	queue->control_bytes = cap->sees_flights ? CONTROL_ROOM_BYTES
			       : credentials	 ? CREDENTIALS_BYTES
						 : 0;
	/* A peek would move an offset that is set. */
	if (offset < 0 && facts->sock_type != SOCK_STREAM)
		status = peek_message(cap, facts, peer, access, queue, &done, err);
	else if (offset < 0 && !credentials)
		status = peek_stream(cap, facts, access, queue, &done, err);
	if (done || status < 0)
		return status;
	if (thump_sock_set_int(access, SO_PEEK_OFF, 0, err) < 0)
		return -1;
	status = peek_all(cap, facts, access, queue, err);
	if (thump_sock_set_int(access, SO_PEEK_OFF, offset, err) < 0)
		return -1;
	return status;
}

static int find_hidden(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		       const struct thump_fd_facts *peer, struct thump_access *access,
		       struct queue *queue, struct thump_err *err)
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
		if (end_message(cap, facts, access, queue, err) < 0)
			return -1;
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
	if (queue->message.size_bytes)
		return end_message(cap, facts, access, queue, err);
	/* A stream has no empty ones. */
	if (facts->sock_type == SOCK_STREAM || !peer)
		return 0;
	return find_hidden(cap, facts, peer, access, queue, err);
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
	forget(&queue);
	thump_buf_deinit(&queue.list);
	thump_buf_deinit(&queue.message);
	return status;
}

/* How many the kernel says there are, Linux 5.8; else there may be some. */
static bool may_have_rights(const struct thump_fd_facts *facts)
{
	uint64_t count;

	return !thump_text_value_u64(facts->fdinfo, "scm_fds", 10, &count) || count > 0;
}

static int survey(const struct thump_fd_facts *facts, struct thump_access *access,
		  struct thump_buf *fds, struct thump_err *err)
{
	struct queue queue = { .control_bytes = CONTROL_ROOM_BYTES };
	size_t size_bytes;
	bool more;

	for (;;) {
		if (peek_next(facts, access, &queue, &size_bytes, &more, err) < 0)
			return -1;
		if (!more)
			return 0;
		take_extras(access, &queue, &queue.extras);
		thump_buf_put(fds, queue.extras.rights,
			      queue.extras.nr_rights * sizeof(queue.extras.rights[0]));
		if (fds->failed)
			drop_rights(&queue.extras);
		queue.extras.nr_rights = 0;
	}
}

int thump_unix_survey_rights(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			     struct thump_buf *fds, struct thump_err *err)
{
	auto_access struct thump_access access = THUMP_ACCESS_INIT;
	int offset = -1, status;
	long result;

	if (!may_have_rights(facts))
		return 0;
	if (thump_access_open(cap->target, true, facts->fd, &access, err) < 0 ||
	    thump_sock_get_int(&access, SOL_SOCKET, SO_PEEK_OFF, &offset, &result, err) < 0 ||
	    thump_sock_set_int(&access, SO_PEEK_OFF, 0, err) < 0)
		return -1;
	(void)thump_access_room(&access,
				sizeof(struct peek) + CONTROL_ROOM_BYTES + PEEK_ROOM_BYTES);
	status = survey(facts, &access, fds, err);
	if (thump_sock_set_int(&access, SO_PEEK_OFF, offset, err) < 0)
		return -1;
	return status;
}
