/* SPDX-License-Identifier: Apache-2.0 */
/* What waited to be read in a unix socket, from the record into the new one. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "kinds/registry.h"
#include "kinds/unix_socket.h"

#define NR_MESSAGES_LIMIT (1U << 20)
#define QUEUE_LIMIT_BYTES ((size_t)8 << 20)

static bool decode_extras(struct thump_reader *r, struct thump_arena *arena,
			  struct thump_unix_message *message)
{
	uint8_t has_credentials = thump_get_u8(r);

	message->has_credentials = has_credentials == 1;
	message->uid = thump_get_u32(r);
	message->gid = thump_get_u32(r);
	message->nr_rights = thump_get_u32(r);
	if (has_credentials > 1 || message->nr_rights > THUMP_UNIX_MAX_RIGHTS)
		return false;
	message->rights = thump_arena_alloc(arena, message->nr_rights + 1, sizeof(uint32_t));
	for (uint32_t i = 0; message->rights && i < message->nr_rights; i++)
		message->rights[i] = thump_get_u32(r);
	thump_unix_decode_name(r, &message->sender);
	return message->rights != NULL;
}

void thump_unix_decode_queue(struct thump_reader *r, struct thump_arena *arena, uint16_t version,
			     struct thump_unix_queue *queue_ret)
{
	uint32_t count = thump_get_u32(r);
	struct thump_unix_queue queue = { 0 };

	if (count > NR_MESSAGES_LIMIT)
		r->failed = true;
	for (uint32_t i = 0; i < count && !r->failed; i++) {
		struct thump_unix_message message = { 0 };

		message.bytes = thump_get_blob(r, QUEUE_LIMIT_BYTES, &message.size_bytes);
		queue.list = thump_arena_grow(arena, queue.list, i, sizeof(message));
		if (!queue.list || (version >= 3 && !decode_extras(r, arena, &message))) {
			r->failed = true;
			return;
		}
		queue.list[i] = message;
		queue.count = i + 1;
	}
	*queue_ret = queue;
}

int thump_unix_check_queue(const struct thump_fd_rebuild *rb, const struct thump_unix_socket *sock,
			   struct thump_err *err)
{
	for (uint32_t i = 0; i < sock->queue.count; i++) {
		const struct thump_unix_message *message = &sock->queue.list[i];

		for (uint32_t k = 0; k < message->nr_rights; k++)
			if (message->rights[k] >= rb->model->nr_ofds)
				return thump_damaged(err, "a descriptor in flight is not there");
	}
	return 0;
}

/* Descriptors and credentials of one message. */
union control {
	struct cmsghdr header;
	unsigned char room[CMSG_SPACE(sizeof(struct ucred)) +
			   CMSG_SPACE(THUMP_UNIX_MAX_RIGHTS * sizeof(int))];
};

static struct cmsghdr *add_control(struct msghdr *header, int type, size_t size_bytes)
{
	struct cmsghdr *cmsg =
		(void *)((unsigned char *)header->msg_control + header->msg_controllen);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = type;
	cmsg->cmsg_len = CMSG_LEN(size_bytes);
	header->msg_controllen += CMSG_SPACE(size_bytes);
	return cmsg;
}

static void add_rights(const struct thump_fd_rebuild *rb, const struct thump_unix_message *message,
		       struct msghdr *header)
{
	struct cmsghdr *cmsg;

	if (message->nr_rights == 0)
		return;
	cmsg = add_control(header, SCM_RIGHTS, message->nr_rights * sizeof(int));
	for (uint32_t i = 0; i < message->nr_rights; i++)
		memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &rb->ofd_fds[message->rights[i]],
		       sizeof(int));
}

static void add_credentials(const struct ucred *credentials, struct msghdr *header)
{
	struct cmsghdr *cmsg = add_control(header, SCM_CREDENTIALS, sizeof(*credentials));

	memcpy(CMSG_DATA(cmsg), credentials, sizeof(*credentials));
}

/* Credentials that the caller may not claim become its own: the program itself has got those. */
static ssize_t send_piece(const struct thump_fd_rebuild *rb, int fd,
			  const struct thump_unix_message *message, size_t from,
			  struct msghdr *header)
{
	struct iovec piece = { .iov_base = (char *)(uintptr_t)message->bytes + from,
			       .iov_len = message->size_bytes - from };
	struct ucred credentials = { .pid = getpid(), .uid = message->uid, .gid = message->gid };
	union control control;
	ssize_t sent = -1;

	header->msg_iov = &piece;
	header->msg_iovlen = 1;
	for (int attempt = 0; attempt < 2; attempt++) {
		memset(&control, 0, sizeof(control));
		header->msg_control = &control;
		header->msg_controllen = 0;
		/* They come with the first byte (unix_stream_read_generic()). */
		if (from == 0)
			add_rights(rb, message, header);
		if (message->has_credentials)
			add_credentials(&credentials, header);
		sent = sendmsg(fd, header, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent >= 0 || errno != EPERM || !message->has_credentials)
			break;
		credentials.uid = geteuid();
		credentials.gid = getegid();
	}
	return sent;
}

/* Only a stream takes less than all; an empty message is one, too. */
static int send_message(const struct thump_fd_rebuild *rb, int fd,
			const struct thump_unix_message *message, struct msghdr *header,
			struct thump_err *err)
{
	size_t done = 0;

	do {
		ssize_t sent = send_piece(rb, fd, message, done, header);

		if (sent < 0)
			return thump_fail_errno(err, "put back %zu bytes that waited to be read",
						message->size_bytes);
		done += (size_t)sent;
	} while (done < message->size_bytes);
	return 0;
}

/* A descriptor of a datagram socket with this name, or -1. */
static int find_sender(const struct thump_fd_rebuild *rb, const struct thump_unix_name *name)
{
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++) {
		const struct thump_unix_socket *sock = rb->objects[i];

		if (rb->model->ofds[i].kind_id == thump_kind_unix_socket.kind_id &&
		    sock->type == SOCK_DGRAM && thump_unix_same_name(&sock->name, name))
			return rb->ofd_fds[i];
	}
	return -1;
}

/*
 * With any of these a message gets credentials that it did not have, and a datagram socket that
 * sends gets a name (unix_autobind() in unix_dgram_sendmsg()), so that a pair would be none any
 * more.
 */
static const int adding[] = { SO_PASSCRED, SO_PASSPIDFD };

struct adding_options {
	int values[THUMP_ARRAY_SIZE(adding)];
};

static int set_adding(int fd, const struct adding_options *wanted, struct thump_err *err)
{
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(adding); i++)
		if (wanted->values[i] && setsockopt(fd, SOL_SOCKET, adding[i], &wanted->values[i],
						    sizeof(wanted->values[i])) < 0)
			return thump_fail_errno(err, "setsockopt %d", adding[i]);
	return 0;
}

static int clear_adding(int fd, struct adding_options *before_ret, struct thump_err *err)
{
	const int off = 0;

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(adding); i++) {
		int value = 0;
		socklen_t len = sizeof(value);

		/* Fails where the kernel does not know it. */
		if (getsockopt(fd, SOL_SOCKET, adding[i], &value, &len) < 0)
			value = 0;
		if (value && setsockopt(fd, SOL_SOCKET, adding[i], &off, sizeof(off)) < 0)
			return thump_fail_errno(err, "setsockopt %d", adding[i]);
		before_ret->values[i] = value;
	}
	return 0;
}

static int send_quietly(const struct thump_fd_rebuild *rb, int fd,
			const struct thump_unix_message *message, struct msghdr *header,
			struct thump_err *err)
{
	struct adding_options before;

	if (clear_adding(fd, &before, err) < 0 || send_message(rb, fd, message, header, err) < 0)
		return -1;
	return set_adding(fd, &before, err);
}

/* A datagram to a name: from the socket that has sent it, or from one without a name. */
static int send_to_name(const struct thump_fd_rebuild *rb, const struct thump_unix_socket *sock,
			const struct thump_unix_message *message, struct thump_err *err)
{
	struct sockaddr_un to;
	struct msghdr header = { .msg_name = &to,
				 .msg_namelen = thump_unix_address(&sock->name, &to) };
	auto_close int file = -1;
	auto_close int unnamed = -1;
	int from;

	if (thump_unix_is_path(&sock->name)) {
		/* Relative paths, and such that are too long from here. */
		file = open(sock->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		(void)snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d", file);
		header.msg_namelen = sizeof(to);
	}
	if (message->sender.len) {
		from = find_sender(rb, &message->sender);
	} else {
		unnamed = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		from = unnamed;
	}
	if (from < 0)
		return thump_fail(err, "the sender of a message, %s, is not there",
				  thump_unix_show(&message->sender).text);
	return send_quietly(rb, from, message, &header, err);
}

int thump_unix_put_back(const struct thump_fd_rebuild *rb, const struct thump_unix_socket *sock,
			int fd, int peer_fd, struct thump_err *err)
{
	struct adding_options before;

	if (sock->queue.count == 0)
		return 0;
	if (clear_adding(fd, &before, err) < 0)
		return -1;
	for (uint32_t i = 0; i < sock->queue.count; i++) {
		const struct thump_unix_message *message = &sock->queue.list[i];
		struct msghdr connected = { 0 };

		if (peer_fd >= 0 ? send_quietly(rb, peer_fd, message, &connected, err) < 0
				 : send_to_name(rb, sock, message, err) < 0)
			return -1;
	}
	return set_adding(fd, &before, err);
}
