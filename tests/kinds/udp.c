/* SPDX-License-Identifier: Apache-2.0 */
/* A UDP server and its client, which has a peer, with datagrams that wait, also of a sender that is
 * gone; and a receiver of a multicast group. */
#include "sockets.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

static int bind_udp(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	MUST(bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
	return fd;
}

static void check_peer(int client, int server)
{
	struct sockaddr_storage peer, address;
	socklen_t size = address_of(server, &address), peer_size = sizeof(peer);

	memset(&peer, 0, sizeof(peer));
	MUST(getpeername(client, (struct sockaddr *)&peer, &peer_size));
	CHECK_EQ(peer_size, size);
	CHECK(memcmp(&peer, &address, size) == 0);
}

static void check_answer(int client, int server)
{
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);
	char byte;

	must_write(client, "?", 1);
	MUST(recvfrom(server, &byte, 1, 0, (struct sockaddr *)&from, &size));
	CHECK_EQ(byte, '?');
	MUST(sendto(server, "!", 1, 0, (struct sockaddr *)&from, size));
	must_read(client, &byte, 1);
	CHECK_EQ(byte, '!');
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage address;

	(void)address_of(fd, &address);
	return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
						   : ((struct sockaddr_in *)&address)->sin_port);
}

/* For any address, of IPv4, too. */
static int bind_any6(void)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6 };
	int fd = (int)MUST(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	MUST(bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
	return fd;
}

static void send_to(int from, int to, size_t size_bytes, uint32_t seed)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons(port_of(to)),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	unsigned char bytes[20000];

	fill_pattern(bytes, size_bytes, seed);
	MUST(sendto(from, bytes, size_bytes, 0, (struct sockaddr *)&addr, sizeof(addr)));
}

/* The next datagram is this one, and of this sender. */
static void expect(int fd, uint16_t port, size_t size_bytes, uint32_t seed)
{
	unsigned char bytes[20000];
	struct sockaddr_storage from = { 0 };
	socklen_t size = sizeof(from);

	CHECK_EQ(MUST(recvfrom(fd, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&from,
			       &size)),
		 size_bytes);
	CHECK(has_pattern(bytes, size_bytes, seed));
	if (from.ss_family == AF_INET6) {
		CHECK_EQ(ntohs(((struct sockaddr_in6 *)&from)->sin6_port), port);
		CHECK(IN6_IS_ADDR_V4MAPPED(&((struct sockaddr_in6 *)&from)->sin6_addr));
	} else {
		CHECK_EQ(ntohs(((struct sockaddr_in *)&from)->sin_port), port);
		CHECK_EQ(ntohl(((struct sockaddr_in *)&from)->sin_addr.s_addr), INADDR_LOOPBACK);
	}
}

/* A client with an answer that waits, and an error: its server has ended since. */
static int make_refused(void)
{
	int client = bind_udp(), server = bind_udp();
	struct sockaddr_storage address;
	socklen_t size = address_of(server, &address);

	MUST(connect(client, (struct sockaddr *)&address, size));
	send_to(server, client, 10, 4);
	MUST(close(server));
	must_write(client, "?", 1);
	return client;
}

/* A look must not take the error away, so the answer is not saved. */
static void check_refused(int client, enum workload_life life)
{
	char bytes[10];

	CHECK_EQ(recv(client, bytes, sizeof(bytes), MSG_DONTWAIT), -1);
	if (life == WORKLOAD_RESTORED) {
		CHECK_EQ(errno, EAGAIN);
		return;
	}
	CHECK_EQ(errno, ECONNREFUSED);
	CHECK_EQ(recv(client, bytes, sizeof(bytes), MSG_DONTWAIT), 10);
}

/* An address that is only one together with its interface (ipv6(7), sin6_scope_id); -1: no IPv6. */
static int bind_scoped(struct sockaddr_in6 *address_ret)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6,
					.sin6_scope_id = if_nametoindex("lo") };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || inet_pton(AF_INET6, "ff02::1", &address.sin6_addr) != 1 ||
	    bind(fd, (struct sockaddr *)&address, size) < 0)
		return -1;
	MUST(getsockname(fd, (struct sockaddr *)address_ret, &size));
	CHECK_EQ(address_ret->sin6_scope_id, address.sin6_scope_id);
	return fd;
}

static void check_scoped(int fd, const struct sockaddr_in6 *before)
{
	struct sockaddr_in6 address = { 0 };
	socklen_t size = sizeof(address);

	if (fd < 0)
		return;
	MUST(getsockname(fd, (struct sockaddr *)&address, &size));
	CHECK_EQ(address.sin6_scope_id, before->sin6_scope_id);
	CHECK_EQ(address.sin6_port, before->sin6_port);
}

int main(void)
{
	enum workload_life life;
	struct sockaddr_in6 scoped_address;
	struct ip_mreqn group = { .imr_multiaddr.s_addr = htonl(0xef010203) };
	struct sockaddr_storage address;
	socklen_t size;
	int server, client, member, any, gone, refused, scoped;
	uint16_t gone_port;

	workload_init();
	server = bind_udp();
	size = address_of(server, &address);
	client = (int)MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	MUST(connect(client, (struct sockaddr *)&address, size));
	member = bind_udp();
	group.imr_ifindex = (int)if_nametoindex("lo");
	MUST(setsockopt(member, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)));

	any = bind_any6();
	gone = bind_udp();
	gone_port = port_of(gone);
	for (int to = 0; to < 2; to++) {
		send_to(client, to ? any : server, 20000, 1);
		send_to(gone, to ? any : server, 3, 2);
		send_to(client, to ? any : server, 1, 3);
	}
	MUST(close(gone));
	refused = make_refused();
	scoped = bind_scoped(&scoped_address);

	life = workload_checkpoint();

	check_refused(refused, life);
	for (int to = 0; to < 2; to++) {
		expect(to ? any : server, port_of(client), 20000, 1);
		expect(to ? any : server, gone_port, 3, 2);
		expect(to ? any : server, port_of(client), 1, 3);
	}
	check_peer(client, server);
	check_answer(client, server);
	check_scoped(scoped, &scoped_address);
	/* Only a member can leave. */
	MUST(setsockopt(member, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof(group)));
	workload_pass();
}
