/* SPDX-License-Identifier: Apache-2.0 */
/* Listening TCP sockets keep address, options, backlog and flags, and accept connections; sockets
 * that are only bound, or not even that, come back, too. */
#include "sockets.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

static int option(int fd, int level, int name)
{
	int value = 0;
	socklen_t size = sizeof(value);

	MUST(getsockopt(fd, level, name, &value, &size));
	return value;
}

static void set(int fd, int level, int name, int value)
{
	MUST(setsockopt(fd, level, name, &value, sizeof(value)));
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage addr;

	(void)address_of(fd, &addr);
	return ((struct sockaddr_in6 *)&addr)->sin6_port; /* at the same place as sin_port */
}

static int bound(uint16_t port_be)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = port_be,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	MUST(bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
	return fd;
}

static int bound6(bool only)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0)
		workload_skip("no IPv6: %s", strerror(errno));
	set(fd, IPPROTO_IPV6, IPV6_V6ONLY, only);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		workload_skip("no ::1: %s", strerror(errno));
	return fd;
}

int main(void)
{
	int first, second, six, only_bound, fresh;
	uint16_t port, port6, port_bound;

	workload_init();
	first = bound(0);
	port = port_of(first);
	second = bound(port);
	set(first, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(first, IPPROTO_TCP, TCP_NODELAY, 1);
	set(first, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0);
	set(first, IPPROTO_TCP, TCP_KEEPIDLE, 123);
	set(first, SOL_SOCKET, SO_RCVBUF, 50000);
	MUST(listen(first, 17));
	MUST(listen(second, 5));
	six = bound6(true);
	MUST(listen(six, 50));
	port6 = port_of(six);
	only_bound = bound(0);
	port_bound = port_of(only_bound);
	fresh = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

	workload_checkpoint();

	CHECK_EQ(port_of(first), port);
	CHECK_EQ(port_of(second), port);
	CHECK_EQ(port_of(six), port6);
	CHECK_EQ(port_of(only_bound), port_bound);
	CHECK_EQ(option(first, SOL_SOCKET, SO_REUSEADDR), 1);
	CHECK_EQ(option(first, SOL_SOCKET, SO_REUSEPORT), 1);
	CHECK_EQ(option(first, SOL_SOCKET, SO_KEEPALIVE), 1);
	CHECK_EQ(option(first, IPPROTO_TCP, TCP_NODELAY), 1);
	CHECK_EQ(option(first, IPPROTO_TCP, TCP_KEEPIDLE), 123);
	CHECK_EQ(option(first, SOL_SOCKET, SO_RCVBUF), 100000);
	CHECK_EQ(option(first, SOL_SOCKET, SO_ACCEPTCONN), 1);
	CHECK_EQ(option(only_bound, SOL_SOCKET, SO_ACCEPTCONN), 0);
	CHECK_EQ(option(six, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	CHECK(fcntl(six, F_GETFL) & O_NONBLOCK);
	CHECK_EQ(fcntl(first, F_GETFD), FD_CLOEXEC);
	MUST(close(second));
	talk_to(first);
	set(six, SOL_SOCKET, SO_REUSEADDR, 1);
	MUST(fcntl(six, F_SETFL, 0));
	talk_to(six);
	MUST(listen(only_bound, 1));
	talk_to(only_bound);
	CHECK_EQ(option(fresh, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	MUST(listen(fresh, 1));
	workload_pass();
}
