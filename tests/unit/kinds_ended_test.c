/* SPDX-License-Identifier: Apache-2.0 */
/* TCP connections that have ended. */
#include "kinds_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>

#define LISTENER 3

static uint16_t port;

static union {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
} address;
static socklen_t address_len;

static void pick(bool v6)
{
	static const struct in6_addr mapped = { { { [10] = 0xff, 0xff, 127, 0, 0, 1 } } };
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

	memset(&address, 0, sizeof(address));
	address_len = v6 ? sizeof(address.v6) : sizeof(address.v4);
	if (v6) {
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_addr = mapped;
	} else {
		address.v4.sin_family = AF_INET;
		address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	}
	CHECK(bind(fd, &address.any, address_len) == 0);
	CHECK(getsockname(fd, &address.any, &address_len) == 0);
	port = ntohs(address.v4.sin_port); /* at the same place in both */
	CHECK(close(fd) == 0);
}

static void pick_v4(void)
{
	pick(false);
}

static void pick_v6(void)
{
	pick(true);
}

static void make_listener(void)
{
	int on = 1;

	CHECK(socket(address.any.sa_family, SOCK_STREAM, 0) == LISTENER);
	CHECK(setsockopt(LISTENER, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
	CHECK(bind(LISTENER, &address.any, address_len) == 0 && listen(LISTENER, 5) == 0);
}

/* The accepted end gets the number `fd`; the other one is returned. */
static int accept_at(int fd)
{
	int client = socket(address.any.sa_family, SOCK_STREAM, 0), accepted;

	CHECK(connect(client, &address.any, address_len) == 0);
	accepted = accept(LISTENER, NULL, NULL);
	CHECK(accepted >= 0);
	if (client == fd) {
		client = dup(client);
		CHECK(close(fd) == 0);
	}
	if (accepted != fd)
		CHECK(dup2(accepted, fd) == fd && close(accepted) == 0);
	return client;
}

static short events_of(int fd)
{
	struct pollfd ask = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };

	CHECK(poll(&ask, 1, 0) >= 0);
	return ask.revents;
}

static void wait_for(int fd, short event)
{
	struct pollfd ask = { .fd = fd, .events = POLLRDHUP };

	do {
		CHECK(poll(&ask, 1, 10000) == 1);
	} while (!(ask.revents & event));
}

static void reset_by(int peer)
{
	struct linger reset = { .l_onoff = 1 };

	CHECK(setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) == 0);
	CHECK(close(peer) == 0);
}

static void check_is_over(int fd)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	char byte;

	CHECK(events_of(fd) == (POLLIN | POLLOUT | POLLHUP | POLLRDHUP));
	CHECK(getpeername(fd, (struct sockaddr *)&name, &len) < 0 && errno == ENOTCONN);
	CHECK(recv(fd, &byte, 1, 0) == 0 && recv(fd, &byte, 1, 0) == 0);
	CHECK(send(fd, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
}

static void check_reads(int fd, const char *text)
{
	char got[16] = "";
	int waiting = 0;

	CHECK(ioctl(fd, FIONREAD, &waiting) == 0 && waiting == (int)strlen(text));
	CHECK(recv(fd, got, sizeof(got), 0) == (ssize_t)strlen(text) && strcmp(got, text) == 0);
}

static void check_fails_once(int fd, int code)
{
	char byte;

	CHECK(events_of(fd) == (POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP));
	CHECK(recv(fd, &byte, 1, 0) < 0 && errno == code);
}

/* The listener's address is the accepted connections' own: none of them may take it. */
static void check_listener(void)
{
	int client = socket(address.any.sa_family, SOCK_STREAM, 0);

	CHECK(connect(client, &address.any, address_len) == 0 && close(client) == 0);
	CHECK(accept(LISTENER, NULL, NULL) >= 0);
}

/* 4: shut by both sides; 5: shut by us alone; 6: reset, and we know; 7: reset, and we do not know
 * yet; 8: with an answer that was never read, and an option. */
static void ended_make(void)
{
	int peer, one = 1, error;
	socklen_t len = sizeof(error);

	make_listener();
	CHECK(close(accept_at(4)) == 0 && shutdown(4, SHUT_RDWR) == 0);
	wait_for(4, POLLHUP);
	CHECK(accept_at(5) >= 0 && shutdown(5, SHUT_RDWR) == 0);
	reset_by(accept_at(6));
	wait_for(6, POLLHUP);
	CHECK(getsockopt(6, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == ECONNRESET);
	reset_by(accept_at(7));
	wait_for(7, POLLHUP);
	peer = accept_at(8);
	CHECK(send(peer, "good bye", 8, 0) == 8 && close(peer) == 0);
	CHECK(setsockopt(8, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
	CHECK(shutdown(8, SHUT_WR) == 0);
	wait_for(8, POLLHUP);
	CHECK(syscall(SYS_close_range, 9U, ~0U, 0U) == 0);
	CHECK(fcntl(4, F_SETFL, O_NONBLOCK) == 0);
}

static void ended_verify(void)
{
	int value = 0;
	socklen_t len = sizeof(value);

	check_listener();
	check_is_over(4);
	CHECK(fcntl(4, F_GETFL) == (O_RDWR | O_NONBLOCK));
	check_is_over(5);
	check_is_over(6);
	check_fails_once(7, ECONNRESET);
	check_is_over(7);
	check_reads(8, "good bye");
	check_is_over(8);
	CHECK(getsockopt(8, IPPROTO_TCP, TCP_NODELAY, &value, &len) == 0 && value == 1);
}

static void ended_connections_stay_ended_and_hold_no_address(void **state)
{
	(void)state;
	assert_trip(
		&(struct trip){ .prepare = pick_v4, .make = ended_make, .verify = ended_verify });
	assert_trip(
		&(struct trip){ .prepare = pick_v6, .make = ended_make, .verify = ended_verify });
}

static unsigned char pattern(size_t i)
{
	return (unsigned char)((i * 2654435761u) >> 9);
}

/* 4: nothing waits; 5: as much waits as can. */
static void close_wait_make(void)
{
	static unsigned char bytes[32 << 10];
	int peer;

	make_listener();
	CHECK(close(accept_at(4)) == 0);
	wait_for(4, POLLRDHUP);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = pattern(i);
	peer = accept_at(5);
	CHECK(send(peer, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes) && close(peer) == 0);
	wait_for(5, POLLRDHUP);
}

static void close_wait_verify(void)
{
	static unsigned char bytes[(32 << 10) + 1];

	check_listener();
	check_is_over(4);
	CHECK(recv(5, bytes, sizeof(bytes), MSG_WAITALL) == 32 << 10);
	for (size_t i = 0; i < 32 << 10; i++)
		CHECK(bytes[i] == pattern(i));
	check_is_over(5);
}

static void connection_closed_by_the_peer_keeps_what_it_sent(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .prepare = pick_v4,
				    .make = close_wait_make,
				    .verify = close_wait_verify,
				    .warning = "the peer has closed this connection" });
}

static void too_much_make(void)
{
	static unsigned char bytes[(32 << 10) + 1];
	int peer;

	make_listener();
	peer = accept_at(4);
	CHECK(send(peer, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes) && close(peer) == 0);
	wait_for(4, POLLRDHUP);
}

static void urgent_make(void)
{
	int peer;

	make_listener();
	peer = accept_at(4);
	CHECK(send(peer, "ab", 2, 0) == 2 && send(peer, "!", 1, MSG_OOB) == 1);
	CHECK(send(peer, "cd", 2, 0) == 2 && close(peer) == 0);
	wait_for(4, POLLRDHUP);
}

static void unread_bytes_that_cannot_be_put_back_are_refused(void **state)
{
	(void)state;
	assert_trip(&(struct trip){
		.prepare = pick_v4, .make = too_much_make, .refused = "too much waits" });
	assert_trip(&(struct trip){
		.prepare = pick_v4, .make = urgent_make, .refused = "urgent data" });
}

/* 4: connect(2) that did not wait, and was refused; 3: the port that nobody listens on */
static void refused_make(void)
{
	CHECK(socket(AF_INET, SOCK_STREAM, 0) == 3);
	CHECK(bind(3, &address.any, address_len) == 0);
	CHECK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0) == 4);
	CHECK(connect(4, &address.any, address_len) < 0 && errno == EINPROGRESS);
	wait_for(4, POLLHUP);
}

static void refused_verify(void)
{
	int error = 0;
	socklen_t len = sizeof(error);

	CHECK(events_of(4) == (POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP));
	CHECK(getsockopt(4, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == ECONNREFUSED);
	check_is_over(4);
}

static void connect_that_was_refused_still_says_so(void **state)
{
	(void)state;
	assert_trip(&(struct trip){
		.prepare = pick_v4, .make = refused_make, .verify = refused_verify });
}

/* Sends nothing more, but would still get what the peer sends. */
static void half_closed_make(void)
{
	make_listener();
	CHECK(accept_at(4) >= 0 && shutdown(4, SHUT_WR) == 0);
}

static void half_closed_by_the_program_is_refused(void **state)
{
	(void)state;
	assert_trip(&(struct trip){
		.prepare = pick_v4, .make = half_closed_make, .refused = "(closing)" });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ended_connections_stay_ended_and_hold_no_address),
		cmocka_unit_test(connection_closed_by_the_peer_keeps_what_it_sent),
		cmocka_unit_test(unread_bytes_that_cannot_be_put_back_are_refused),
		cmocka_unit_test(connect_that_was_refused_still_says_so),
		cmocka_unit_test(half_closed_by_the_program_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
