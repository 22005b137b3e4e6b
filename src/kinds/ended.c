/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection that ended quietly, with nothing left to read, is a fresh socket on which
 * shutdown(2) was called: the call answers ENOTCONN, but shuts both directions all the same
 * (inet_shutdown(), "Hack to wake up other listeners"). It holds no address, needs no network, and
 * read(2), write(2), poll(2) and getpeername(2) answer like the original.
 *
 * Unread bytes and errors can only come from a peer. So one is made over loopback, sends the bytes,
 * and resets the connection: a reset leaves no TIME_WAIT behind, and gives up the port.
 */
#include "kinds/ended.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "kinds/peek.h"

#define LOOPBACK_PATIENCE_MS 5000

/* ---- capture ---------------------------------------------------------------------------- */

int thump_ended_look(struct thump_access *access, bool *closed_ret, bool *closed_by_peer_ret,
		     bool *error_ret, struct thump_err *err)
{
	short revents;

	if (thump_access_poll(access, POLLRDHUP, &revents, err) < 0)
		return -1;
	/* tcp_poll(): RDHUP means that reading is shut, HUP alone also stands for a fresh socket.
	 */
	*closed_ret = (revents & POLLRDHUP) && (revents & POLLHUP);
	*closed_by_peer_ret = (revents & POLLRDHUP) && !(revents & POLLHUP);
	*error_ret = (revents & POLLERR) != 0;
	return 0;
}

/* Only where something lies there: else recv(2) would take the error, also with MSG_PEEK. */
static int peek_unread(struct thump_access *access, struct thump_buf *unread,
		       const char **why_not_ret, struct thump_err *err)
{
	int waiting = 0;
	bool more;
	short revents;
	long result;

	if (thump_access_ioctl_int(access, FIONREAD, &waiting, &result, err) < 0 ||
	    thump_access_poll(access, POLLPRI, &revents, err) < 0)
		return -1;
	/* FIONREAD and recv(2) stop where it is (tcp(7)). */
	if (revents & POLLPRI)
		*why_not_ret = "urgent data waits to be read";
	if ((revents & POLLPRI) || result < 0 || waiting <= 0)
		return 0;
	if ((size_t)waiting > THUMP_ENDED_UNREAD_LIMIT_BYTES) {
		*why_not_ret = "too much waits to be read";
		return 0;
	}
	if (thump_peek_stream(access, (size_t)waiting, unread, &more, err) < 0)
		return -1;
	if (unread->size_bytes != (size_t)waiting)
		*why_not_ret = "SO_PEEK_OFF hides what waits to be read";
	return 0;
}

int thump_ended_capture(struct thump_access *access, int protocol, bool error, bool was_connected,
			struct thump_buf *record, const char **why_not_ret, struct thump_err *err)
{
	auto_buf struct thump_buf unread = THUMP_BUF_INIT;
	uint8_t kind = !error	       ? THUMP_ENDED_QUIETLY
		       : was_connected ? THUMP_ENDED_RESET
				       : THUMP_ENDED_REFUSED;

	*why_not_ret = NULL;
	/* FIONREAD of MPTCP counts the end of file, too. */
	if (protocol == IPPROTO_TCP && peek_unread(access, &unread, why_not_ret, err) < 0)
		return -1;
	if (protocol != IPPROTO_TCP && error)
		*why_not_ret = "an error of MPTCP waits to be told";
	thump_buf_put_u8(record, kind);
	thump_buf_put_blob(record, unread.bytes, unread.size_bytes);
	record->failed |= unread.failed;
	return 0;
}

void thump_ended_put_quiet(struct thump_buf *record)
{
	thump_buf_put_u8(record, THUMP_ENDED_QUIETLY);
	thump_buf_put_blob(record, NULL, 0);
}

/* ---- restore ---------------------------------------------------------------------------- */

void thump_ended_decode(struct thump_reader *r, struct thump_ended *ended_ret)
{
	struct thump_ended ended = { .error = thump_get_u8(r) };

	ended.unread = thump_get_blob(r, THUMP_ENDED_UNREAD_LIMIT_BYTES, &ended.unread_bytes);
	/* What was refused was never open. */
	if (ended.error > THUMP_ENDED_REFUSED ||
	    (ended.error == THUMP_ENDED_REFUSED && ended.unread_bytes))
		r->failed = true;
	*ended_ret = ended;
}

union loopback {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* A socket with a port of 127.0.0.1; its address for connect(2) by an IPv4 or an IPv6 socket. IPv6
 * may be off, so IPv6 sockets use the mapped address. */
static int bind_loopback(bool v6, union loopback *address_ret, socklen_t *len_ret)
{
	auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	union loopback address = { .v4 = { .sin_family = AF_INET,
					   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(address.v4);
	in_port_t port;

	if (fd < 0 || bind(fd, &address.any, len) < 0 || getsockname(fd, &address.any, &len) < 0)
		return -1;
	if (v6) {
		static const unsigned char mapped[16] = { [10] = 0xff, 0xff, 127, 0, 0, 1 };

		port = address.v4.sin_port;
		memset(&address, 0, sizeof(address));
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = port;
		memcpy(&address.v6.sin6_addr, mapped, sizeof(mapped));
		len = sizeof(address.v6);
	}
	*address_ret = address;
	*len_ret = len;
	return thump_take_fd(&fd);
}

static int open_socket(bool v6, int protocol, int flags)
{
	auto_close int fd =
		socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, protocol);
	int off = 0;

	if (fd >= 0 && v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0)
		return -1;
	return thump_take_fd(&fd);
}

/* The reset, or the refusal, has come when both directions are shut. */
static int wait_for_end(int fd)
{
	struct pollfd ask = { .fd = fd, .events = POLLRDHUP };
	int count;

	do {
		count = poll(&ask, 1, LOOPBACK_PATIENCE_MS);
	} while (count < 0 && errno == EINTR);
	if (count == 1 && (ask.revents & POLLHUP))
		return 0;
	if (count >= 0)
		errno = ETIMEDOUT;
	return -1;
}

/* How long connect(2) and recv(2) may take: a packet filter may drop what goes over loopback. */
static int set_patience(int fd, long seconds)
{
	struct timeval patience = { .tv_sec = seconds };

	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return -1;
	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

/* Nobody listens behind a port that is only bound. */
static int make_refused(bool v6, int protocol)
{
	union loopback address;
	socklen_t len;
	auto_close int bound = bind_loopback(v6, &address, &len);
	auto_close int fd = bound < 0 ? -1 : open_socket(v6, protocol, SOCK_NONBLOCK);

	if (fd < 0 || (connect(fd, &address.any, len) < 0 && errno != EINPROGRESS) ||
	    wait_for_end(fd) < 0)
		return -1;
	return thump_take_fd(&fd);
}

/* A reset that overtakes the bytes before it would be ignored. */
static int send_and_reset(int peer, int fd, const struct thump_ended *ended)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	auto_free unsigned char *room = malloc(ended->unread_bytes + 1);

	if (!room || setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0)
		return -1;
	if (ended->unread_bytes == 0)
		return 0;
	if (send(peer, ended->unread, ended->unread_bytes, MSG_NOSIGNAL) !=
		    (ssize_t)ended->unread_bytes ||
	    recv(fd, room, ended->unread_bytes, MSG_PEEK | MSG_WAITALL) !=
		    (ssize_t)ended->unread_bytes)
		return -1;
	return 0;
}

static int make_reset(bool v6, int protocol, const struct thump_ended *ended)
{
	union loopback address;
	socklen_t len, error_len = sizeof(int);
	auto_close int listener = bind_loopback(v6, &address, &len);
	auto_close int fd = listener < 0 ? -1 : open_socket(v6, protocol, 0);
	auto_close int peer = -1;
	int error;

	if (fd < 0 || listen(listener, 1) < 0 ||
	    set_patience(fd, LOOPBACK_PATIENCE_MS / 1000) < 0 || connect(fd, &address.any, len) < 0)
		return -1;
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (peer < 0 || send_and_reset(peer, fd, ended) < 0)
		return -1;
	thump_close_fd(&peer);
	if (wait_for_end(fd) < 0 || set_patience(fd, 0) < 0)
		return -1;
	/* SO_ERROR takes the error: only the end of file is left. */
	if (ended->error == THUMP_ENDED_QUIETLY &&
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len) < 0)
		return -1;
	return thump_take_fd(&fd);
}

static int make_quiet(bool v6, int protocol)
{
	auto_close int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, protocol);

	if (fd < 0 || (shutdown(fd, SHUT_RDWR) < 0 && errno != ENOTCONN) || wait_for_end(fd) < 0)
		return -1;
	return thump_take_fd(&fd);
}

int thump_ended_make(bool v6, int protocol, const struct thump_ended *ended, int *fd_ret,
		     struct thump_err *err)
{
	int fd;

	if (ended->error == THUMP_ENDED_REFUSED)
		fd = make_refused(v6, protocol);
	else if (ended->error == THUMP_ENDED_RESET || ended->unread_bytes)
		fd = make_reset(v6, protocol, ended);
	else
		fd = make_quiet(v6, protocol);
	if (fd < 0)
		return thump_fail_errno(err, "make a connection that has ended");
	*fd_ret = fd;
	return 0;
}
