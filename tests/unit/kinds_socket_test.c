/* SPDX-License-Identifier: Apache-2.0 */
/* unix sockets and pairs, TCP and UDP sockets. */
#include "kinds_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

/* ---- pairs ------------------------------------------------------------------------------ */

static void pair_make(void)
{
	static char big[100000];
	int ends[2], small = 9000;

	memset(big, 'b', sizeof(big));
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0 && ends[0] == 3);
	CHECK(send(3, "to four", 7, 0) == 7 && send(3, big, sizeof(big), 0) == sizeof(big));
	CHECK(send(4, "to three", 8, 0) == 8);
	CHECK(shutdown(4, SHUT_WR) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0 && ends[0] == 5);
	CHECK(send(5, "one", 3, 0) == 3 && send(5, big, 5000, 0) == 5000);
	CHECK(send(5, "", 0, 0) == 0 && send(5, "last", 4, 0) == 4);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0 && ends[0] == 7);
	CHECK(send(8, "first", 5, 0) == 5 && send(8, "second", 6, 0) == 6);
	CHECK(setsockopt(7, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) == 0);
	CHECK(dup2(3, 20) == 20);
}

static void pair_verify(void)
{
	static char buf[200000];
	int size;
	socklen_t len = sizeof(size);

	CHECK(recv(4, buf, sizeof(buf), 0) == 100007 && memcmp(buf, "to fourbbb", 10) == 0);
	CHECK(recv(4, buf, 1, 0) < 0 && errno == EAGAIN);
	CHECK(recv(20, buf, sizeof(buf), 0) == 8 && memcmp(buf, "to three", 8) == 0);
	CHECK(recv(3, buf, 1, 0) == 0);
	CHECK(send(4, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
	CHECK(send(3, "y", 1, 0) == 1 && recv(4, buf, 9, 0) == 1);
	CHECK(recv(6, buf, sizeof(buf), 0) == 3 && memcmp(buf, "one", 3) == 0);
	CHECK(recv(6, buf, sizeof(buf), 0) == 5000);
	CHECK(recv(6, buf, sizeof(buf), 0) == 0);
	CHECK(recv(6, buf, sizeof(buf), 0) == 4 && memcmp(buf, "last", 4) == 0);
	CHECK(recv(7, buf, sizeof(buf), 0) == 5 && recv(7, buf, sizeof(buf), 0) == 6);
	CHECK(getsockopt(7, SOL_SOCKET, SO_RCVBUF, &size, &len) == 0 && size == 18000);
	CHECK(share_flags(3, 20) && gone_after_exec(9));
}

static void pairs_keep_their_queues(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = pair_make, .verify = pair_verify });
}

/* setsockopt(SO_PEEK_OFF) fails in all that the trip runs: looking does without. */
static void deny_peek_off(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setsockopt, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SO_PEEK_OFF, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void simple_queues_make(void)
{
	static const char big[50000];
	int ends[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && ends[0] == 3);
	CHECK(send(3, "first", 5, 0) == 5 && send(3, big, sizeof(big), 0) == sizeof(big));
	CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0 && ends[0] == 5);
	CHECK(send(5, "datagram", 8, 0) == 8);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0 && ends[0] == 7);
	CHECK(send(7, "packet", 6, 0) == 6);
}

static void simple_queues_verify(void)
{
	static char buf[60000];

	CHECK(recv(4, buf, sizeof(buf), 0) == 50005 && memcmp(buf, "first", 6) == 0);
	CHECK(recv(6, buf, sizeof(buf), 0) == 8 && memcmp(buf, "datagram", 8) == 0);
	CHECK(recv(8, buf, sizeof(buf), 0) == 6 && memcmp(buf, "packet", 6) == 0);
}

static void simple_queues_are_read_without_changing_the_socket(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .prepare = deny_peek_off,
				    .make = simple_queues_make,
				    .verify = simple_queues_verify });
}

static void half_pair_make(void)
{
	int ends[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && send(4, "rest", 4, 0) == 4);
	CHECK(close(4) == 0);
}

static void half_pair_verify(void)
{
	char buf[8];

	CHECK(recv(3, buf, 8, 0) == 4 && memcmp(buf, "rest", 4) == 0 && recv(3, buf, 8, 0) == 0);
	CHECK(send(3, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
}

static void pair_whose_other_end_is_closed_stays_so(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = half_pair_make, .verify = half_pair_verify });
}

/* 4 gets `fd`. */
static void pass(int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
				  .cmsg_level = SOL_SOCKET,
				  .cmsg_type = SCM_RIGHTS } };
	struct iovec piece = { .iov_base = (char[]){ 'x' }, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int ends[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && ends[1] == 4);
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	CHECK(sendmsg(3, &message, 0) == 1);
}

static void rights_make(void)
{
	CHECK(eventfd(0, 0) == 3 && dup2(3, 9) == 9 && close(3) == 0);
	pass(9);
}

static void epoll_rights_make(void)
{
	CHECK(epoll_create1(0) == 3 && dup2(3, 9) == 9 && close(3) == 0);
	pass(9);
	CHECK(close(9) == 0);
}

static void rights_verify(void)
{
	char byte;
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec piece = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int fd;

	CHECK(recvmsg(4, &message, 0) == 1 && byte == 'x' &&
	      control.header.cmsg_type == SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	CHECK(share_flags(9, fd));
}

/* Nothing may look into the queue without pidfd_getfd(2): the target would get the descriptor. */
static void descriptors_in_flight_need_a_look_from_outside(void **state)
{
	(void)state;
	assert_trip_as(&(struct trip){ .make = rights_make, .verify = rights_verify }, false);
	assert_trip_as(&(struct trip){ .make = rights_make,
				       .refused = "fd 4: unix socket: descriptors in flight" },
		       true);
}

static void epoll_in_flight_is_refused(void **state)
{
	(void)state;
	assert_trip_as(
		&(struct trip){ .make = epoll_rights_make,
				.refused = "descriptor in flight through a unix socket: epoll" },
		false);
}

static void outside_make(void)
{
	int ends[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	if (tied_fork() == 0)
		for (;;)
			(void)pause();
	CHECK(close(4) == 0);
}

static void pair_with_an_end_outside_is_refused(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = outside_make, .refused = "of another process" });
}

/* ---- names ------------------------------------------------------------------------------ */

static char folder[] = "/tmp/thump-unix-XXXXXX";

static struct sockaddr_un path_address(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, name);
	return address;
}

static int bind_unix(const struct sockaddr_un *address, socklen_t len, int type)
{
	int fd = socket(AF_UNIX, type, 0);

	CHECK(fd >= 0 && bind(fd, (const struct sockaddr *)address, len) == 0);
	return fd;
}

static void name_make(void)
{
	struct sockaddr_un path = path_address("listen"), dgram = path_address("dgram");
	struct sockaddr_un hidden = { .sun_family = AF_UNIX, .sun_path = "\0thump-test" };

	(void)unlink(path.sun_path);
	(void)unlink(dgram.sun_path);
	(void)umask(0137);
	CHECK(bind_unix(&path, sizeof(path), SOCK_STREAM) == 3 && listen(3, 17) == 0);
	CHECK(bind_unix(&dgram, sizeof(dgram), SOCK_DGRAM) == 4);
	CHECK(bind_unix(&hidden, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 11),
			SOCK_SEQPACKET) == 5 &&
	      listen(5, 3) == 0);
	CHECK(socket(AF_UNIX, SOCK_DGRAM, 0) == 6);
	CHECK(connect(6, (struct sockaddr *)&dgram, sizeof(dgram)) == 0);
	CHECK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0) == 7);
}

static void reach(const struct sockaddr_un *address, socklen_t len, int type, int listener)
{
	int fd = socket(AF_UNIX, type, 0);
	char c;

	CHECK(connect(fd, (const struct sockaddr *)address, len) == 0 && send(fd, "h", 1, 0) == 1);
	listener = accept(listener, NULL, NULL);
	CHECK(listener >= 0 && recv(listener, &c, 1, 0) == 1 && c == 'h');
	CHECK(close(fd) == 0 && close(listener) == 0);
}

static void name_verify(void)
{
	struct sockaddr_un path = path_address("listen"), got;
	struct sockaddr_un hidden = { .sun_family = AF_UNIX, .sun_path = "\0thump-test" };
	socklen_t hidden_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 11);
	socklen_t len = sizeof(got);
	struct stat st;
	char buf[8];

	CHECK(stat(path.sun_path, &st) == 0 && (st.st_mode & 07777) == 0640);
	reach(&path, sizeof(path), SOCK_STREAM, 3);
	reach(&hidden, hidden_len, SOCK_SEQPACKET, 5);
	CHECK(getsockname(3, (struct sockaddr *)&got, &len) == 0);
	CHECK(strcmp(got.sun_path, path.sun_path) == 0);
	CHECK(send(6, "log", 3, 0) == 3 && recv(4, buf, 8, 0) == 3);
	CHECK(status_flags(7) == (O_RDWR | O_NONBLOCK));
}

static void names_are_bound_again(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = name_make, .verify = name_verify });
}

/* 3 listens, 4 was accepted from it; the client has said something, and has gone. */
static void left_make(void)
{
	struct sockaddr_un path = path_address("listen");
	int client;

	(void)unlink(path.sun_path);
	CHECK(bind_unix(&path, sizeof(path), SOCK_STREAM) == 3 && listen(3, 5) == 0);
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(connect(client, (struct sockaddr *)&path, sizeof(path)) == 0);
	CHECK(send(client, "bye", 3, 0) == 3 && accept(3, NULL, NULL) == 5);
	CHECK(close(client) == 0 && dup2(5, 4) == 4 && close(5) == 0);
}

static void left_verify(void)
{
	struct sockaddr_un path = path_address("listen");
	struct pollfd ask = { .fd = 4, .events = POLLIN | POLLRDHUP };
	char buf[8];

	CHECK(poll(&ask, 1, 0) == 1 && ask.revents == (POLLIN | POLLHUP | POLLRDHUP));
	CHECK(recv(4, buf, 8, 0) == 3 && memcmp(buf, "bye", 3) == 0 && recv(4, buf, 8, 0) == 0);
	CHECK(send(4, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
	reach(&path, sizeof(path), SOCK_STREAM, 3);
}

static void connection_that_the_client_has_closed_keeps_what_it_sent(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = left_make, .verify = left_verify });
}

static void served_path_does_not_fit(void **state)
{
	(void)state;
	assert_trip(&(struct trip){
		.make = name_make, .outlives = true, .misfit = "listen: another process uses it" });
	assert_trip(&(struct trip){ .make = name_make,
				    .outlives = true,
				    .misfit = "@thump-test: Address already in use" });
}

static int server_fd;

static void served_make(void)
{
	struct sockaddr_un path = path_address("listen");

	(void)unlink(path.sun_path);
	CHECK(bind_unix(&path, sizeof(path), SOCK_STREAM) == 3 && listen(3, 5) == 0);
}

static void serve(void)
{
	struct sockaddr_un path = path_address("listen");

	CHECK(unlink(path.sun_path) == 0);
	server_fd = bind_unix(&path, sizeof(path), SOCK_STREAM);
	CHECK(listen(server_fd, 5) == 0 && fcntl(server_fd, F_SETFL, O_NONBLOCK) == 0);
}

static void nobody_came(void)
{
	CHECK(accept(server_fd, NULL, NULL) < 0 && errno == EAGAIN);
}

static void the_server_of_a_path_does_not_notice(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = served_make,
				    .between = serve,
				    .after = nobody_came,
				    .misfit = "another process uses it" });
}

static void relative_make(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "relative" };

	CHECK(chdir(folder) == 0);
	(void)unlink("relative");
	CHECK(bind_unix(&address, sizeof(address), SOCK_STREAM) == 3 && listen(3, 1) == 0);
	CHECK(unlink("relative") == 0);
}

static void relative_verify(void)
{
	struct sockaddr_un path = path_address("relative"), got;
	socklen_t len = sizeof(got);

	CHECK(getsockname(3, (struct sockaddr *)&got, &len) == 0);
	CHECK(strcmp(got.sun_path, "relative") == 0);
	CHECK(access(path.sun_path, F_OK) < 0 && errno == ENOENT);
}

static void a_name_that_was_unlinked_stays_so(void **state)
{
	(void)state;
	assert_trip(
		&(struct trip){ .make = relative_make, .verify = relative_verify, .cwd = folder });
}

/* 3 and 4 are the ends of a connection, and nobody listens under its name any more. */
static const struct sockaddr_un orphan_name = { .sun_family = AF_UNIX,
						.sun_path = "\0thump-orphan" };
static const socklen_t orphan_len = offsetof(struct sockaddr_un, sun_path) + 13;

static void orphan_make(void)
{
	CHECK(bind_unix(&orphan_name, orphan_len, SOCK_STREAM) == 3 && listen(3, 1) == 0);
	CHECK(socket(AF_UNIX, SOCK_STREAM, 0) == 4);
	CHECK(connect(4, (const struct sockaddr *)&orphan_name, orphan_len) == 0);
	CHECK(accept(3, NULL, NULL) == 5 && dup2(5, 3) == 3 && close(5) == 0);
	CHECK(send(4, "hello", 5, 0) == 5);
}

static void take_orphan_name(void)
{
	CHECK(listen(bind_unix(&orphan_name, orphan_len, SOCK_STREAM), 1) == 0);
}

static void check_orphan(socklen_t want_len)
{
	struct sockaddr_un got;
	socklen_t len = sizeof(got);
	char buf[8];

	CHECK(getsockname(3, (struct sockaddr *)&got, &len) == 0 && len == want_len);
	CHECK(recv(3, buf, 8, 0) == 5 && send(3, "x", 1, 0) == 1 && recv(4, buf, 8, 0) == 1);
	CHECK(gone_after_exec(5) && gone_after_exec(6));
}

static void orphan_verify(void)
{
	check_orphan(orphan_len);
}

static void nameless_verify(void)
{
	check_orphan(sizeof(sa_family_t));
}

static void a_connection_goes_on_without_a_name_that_is_taken(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = orphan_make, .verify = orphan_verify });
	assert_trip(&(struct trip){ .make = orphan_make,
				    .between = take_orphan_name,
				    .verify = nameless_verify,
				    .warning = "its name @thump-orphan cannot be had" });
}

/* ---- TCP, UDP --------------------------------------------------------------------------- */

static uint16_t port4, port6, udp_port;

static uint16_t bind_inet(int fd, bool v6, uint16_t port)
{
	struct sockaddr_in v4_address = { .sin_family = AF_INET,
					  .sin_port = htons(port),
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6_address = { .sin6_family = AF_INET6,
					   .sin6_port = htons(port),
					   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	socklen_t len = v6 ? sizeof(v6_address) : sizeof(v4_address);
	struct sockaddr *address = v6 ? (void *)&v6_address : (void *)&v4_address;

	CHECK(fd >= 0 && bind(fd, address, len) == 0);
	CHECK(getsockname(fd, address, &len) == 0);
	return ntohs(v6 ? v6_address.sin6_port : v4_address.sin_port);
}

static void set_option(int fd, int level, int name, int value)
{
	CHECK(setsockopt(fd, level, name, &value, sizeof(value)) == 0);
}

static int get_option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	CHECK(getsockopt(fd, level, name, &value, &len) == 0);
	return value;
}

/* Ports are known to the whole trip: the runner picks them, the first process binds them. */
static void pick_ports(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	port4 = bind_inet(fd, false, 0);
	CHECK(close(fd) == 0);
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	port6 = bind_inet(fd, true, 0);
	CHECK(close(fd) == 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	udp_port = bind_inet(fd, false, 0);
	CHECK(close(fd) == 0);
}

static void inet_make(void)
{
	CHECK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0) == 3);
	set_option(3, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(3, SOL_SOCKET, SO_REUSEPORT, 1);
	set_option(3, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(3, SOL_SOCKET, SO_RCVBUF, 20000);
	set_option(3, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(3, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
	set_option(3, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set_option(3, IPPROTO_IP, IP_TOS, 0x10);
	CHECK(bind_inet(3, false, port4) == port4 && listen(3, 9) == 0);
	CHECK(socket(AF_INET6, SOCK_STREAM, 0) == 4);
	set_option(4, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	CHECK(bind_inet(4, true, port6) == port6 && listen(4, 4096) == 0);
	CHECK(socket(AF_INET, SOCK_DGRAM, 0) == 5);
	set_option(5, SOL_SOCKET, SO_BROADCAST, 1);
	CHECK(bind_inet(5, false, udp_port) == udp_port);
	CHECK(socket(AF_INET, SOCK_STREAM, 0) == 6 && socket(AF_INET6, SOCK_DGRAM, 0) == 7);
	CHECK(socket(AF_INET, SOCK_STREAM, 0) == 8 && bind_inet(8, false, 0) != 0);
}

static void check_listener(int fd, int backlog)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0);
	CHECK(info.tcpi_state == TCP_LISTEN && info.tcpi_sacked == (unsigned)backlog);
}

static void inet_verify(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(port4),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int client = socket(AF_INET, SOCK_STREAM, 0);
	int fresh = socket(AF_INET, SOCK_STREAM, 0);
	struct pollfd ask = { .fd = 3, .events = POLLIN };

	check_listener(3, 9);
	check_listener(4, 4096);
	CHECK(fcntl(3, F_GETFL) == (O_RDWR | O_NONBLOCK));
	CHECK(get_option(3, SOL_SOCKET, SO_REUSEADDR) == 1);
	CHECK(get_option(3, SOL_SOCKET, SO_REUSEPORT) == 1);
	CHECK(get_option(3, SOL_SOCKET, SO_KEEPALIVE) == 1);
	CHECK(get_option(3, SOL_SOCKET, SO_RCVBUF) == 40000);
	CHECK(get_option(3, IPPROTO_TCP, TCP_NODELAY) == 1);
	CHECK(get_option(3, IPPROTO_TCP, TCP_DEFER_ACCEPT) >= 5);
	CHECK(get_option(3, IPPROTO_TCP, TCP_KEEPIDLE) == 77);
	CHECK(get_option(3, IPPROTO_IP, IP_TOS) == 0x10);
	CHECK(get_option(4, SOL_SOCKET, SO_REUSEADDR) == 0);
	CHECK(get_option(4, IPPROTO_IPV6, IPV6_V6ONLY) == 1);
	CHECK(get_option(4, SOL_SOCKET, SO_SNDBUF) == get_option(fresh, SOL_SOCKET, SO_SNDBUF));
	CHECK(get_option(5, SOL_SOCKET, SO_BROADCAST) == 1);
	CHECK(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(send(client, "hello", 5, 0) == 5);
	CHECK(poll(&ask, 1, 10000) == 1 && accept(3, NULL, NULL) >= 0);
	CHECK(bind_inet(6, false, 0) != 0 && bind_inet(7, true, 0) != 0);
	CHECK(listen(8, 1) == 0);
	address.sin_port = htons(udp_port);
	client = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(sendto(client, "d", 1, 0, (struct sockaddr *)&address, sizeof(address)) == 1);
	ask.fd = 5;
	CHECK(poll(&ask, 1, 10000) == 1);
}

/* Set by somebody who may: more than anybody else can. */
static int beyond_bytes;

static void large_buffer_make(void)
{
	CHECK(socket(AF_INET, SOCK_STREAM, 0) == 3);
	CHECK(socket(AF_UNIX, SOCK_DGRAM, 0) == 4);
	set_option(3, SOL_SOCKET, SO_RCVBUFFORCE, beyond_bytes);
	set_option(4, SOL_SOCKET, SO_SNDBUFFORCE, beyond_bytes);
}

static void large_buffer_verify(void)
{
	CHECK(get_option(3, SOL_SOCKET, SO_RCVBUF) == 2 * beyond_bytes);
	CHECK(get_option(4, SOL_SOCKET, SO_SNDBUF) == 2 * beyond_bytes);
}

static void become_powerless(void)
{
	CHECK(setresuid(12345, 12345, 12345) == 0);
}

static void small_buffer_verify(void)
{
	CHECK(get_option(3, SOL_SOCKET, SO_RCVBUF) < 2 * beyond_bytes);
}

static void a_buffer_above_the_limit_comes_back_or_is_told(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	set_option(fd, SOL_SOCKET, SO_RCVBUF, INT32_MAX);
	beyond_bytes = get_option(fd, SOL_SOCKET, SO_RCVBUF);
	set_option(fd, SOL_SOCKET, SO_SNDBUF, INT32_MAX);
	beyond_bytes += get_option(fd, SOL_SOCKET, SO_SNDBUF);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &beyond_bytes, sizeof(beyond_bytes)) < 0)
		skip();
	assert_int_equal(close(fd), 0);
	assert_trip_as(&(struct trip){ .make = large_buffer_make, .verify = large_buffer_verify },
		       false);
	assert_trip_as(&(struct trip){ .make = large_buffer_make,
				       .between = become_powerless,
				       .verify = small_buffer_verify,
				       .warning = "above net.core.rmem_max" },
		       false);
}

static void inet_sockets_keep_address_and_options(void **state)
{
	(void)state;
	pick_ports();
	assert_trip(&(struct trip){ .make = inet_make, .verify = inet_verify });
}

static void listen_make(void)
{
	CHECK(socket(AF_INET, SOCK_STREAM, 0) == 3);
	CHECK(bind_inet(3, false, port4) == port4 && listen(3, 5) == 0);
}

static void mapped_verify(void)
{
	struct sockaddr_in got;
	socklen_t len = sizeof(got);

	check_listener(3, 5);
	CHECK(getsockname(3, (struct sockaddr *)&got, &len) == 0 && got.sin_port == htons(port6));
}

static void port_in_use_does_not_fit_but_can_be_mapped(void **state)
{
	struct thump_port_map map, wrong;

	(void)state;
	pick_ports();
	map = (struct thump_port_map){ .from = port4, .to = port6 };
	wrong = (struct thump_port_map){ .from = port6, .to = port4 };
	assert_trip(&(struct trip){
		.make = listen_make, .outlives = true, .misfit = "another program has this port" });
	assert_trip(&(struct trip){ .make = listen_make,
				    .outlives = true,
				    .verify = mapped_verify,
				    .ports = &map,
				    .nr_ports = 1 });
	assert_trip(&(struct trip){ .make = listen_make,
				    .misfit = "the program does not listen on TCP port",
				    .ports = &wrong,
				    .nr_ports = 1 });
}

static void connected_make(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(port4),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	CHECK(socket(AF_INET, SOCK_STREAM, 0) == 3);
	set_option(3, SOL_SOCKET, SO_REUSEADDR, 1); /* the port is in TIME_WAIT the second time */
	CHECK(bind_inet(3, false, port4) == port4 && listen(3, 5) == 0);
	CHECK(socket(AF_INET, SOCK_STREAM, 0) == 4);
	CHECK(connect(4, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(accept(3, NULL, NULL) == 5);
}

static char connection_text[64];

static void connections_are_refused_with_both_addresses(void **state)
{
	(void)state;
	pick_ports();
	(void)snprintf(connection_text, sizeof(connection_text), "fd 5: TCP 127.0.0.1:%u -> 127",
		       port4);
	assert_trip(&(struct trip){ .make = connected_make, .refused = connection_text });
	pick_ports();
	(void)snprintf(connection_text, sizeof(connection_text), "-> 127.0.0.1:%u (established)",
		       port4);
	assert_trip(&(struct trip){ .make = connected_make, .refused = connection_text });
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) && chmod(folder, 0777) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
	struct sockaddr_un path = path_address("listen"), dgram = path_address("dgram");

	(void)state;
	(void)unlink(path.sun_path);
	(void)unlink(dgram.sun_path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_keep_their_queues),
		cmocka_unit_test(simple_queues_are_read_without_changing_the_socket),
		cmocka_unit_test(pair_whose_other_end_is_closed_stays_so),
		cmocka_unit_test(descriptors_in_flight_need_a_look_from_outside),
		cmocka_unit_test(epoll_in_flight_is_refused),
		cmocka_unit_test(pair_with_an_end_outside_is_refused),
		cmocka_unit_test(names_are_bound_again),
		cmocka_unit_test(connection_that_the_client_has_closed_keeps_what_it_sent),
		cmocka_unit_test(served_path_does_not_fit),
		cmocka_unit_test(the_server_of_a_path_does_not_notice),
		cmocka_unit_test(a_name_that_was_unlinked_stays_so),
		cmocka_unit_test(a_connection_goes_on_without_a_name_that_is_taken),
		cmocka_unit_test(a_buffer_above_the_limit_comes_back_or_is_told),
		cmocka_unit_test(inet_sockets_keep_address_and_options),
		cmocka_unit_test(port_in_use_does_not_fit_but_can_be_mapped),
		cmocka_unit_test(connections_are_refused_with_both_addresses),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
