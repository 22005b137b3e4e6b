/* SPDX-License-Identifier: Apache-2.0 */
/* A UDP server and its client, which has a peer, and a receiver of a multicast group. */
#include "sockets.h"

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

int main(void)
{
	struct ip_mreqn group = { .imr_multiaddr.s_addr = htonl(0xef010203) };
	struct sockaddr_storage address;
	socklen_t size;
	int server, client, member;

	workload_init();
	server = bind_udp();
	size = address_of(server, &address);
	client = (int)MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	MUST(connect(client, (struct sockaddr *)&address, size));
	member = bind_udp();
	group.imr_ifindex = (int)if_nametoindex("lo");
	MUST(setsockopt(member, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)));

	workload_checkpoint();

	check_peer(client, server);
	check_answer(client, server);
	/* Only a member can leave. */
	MUST(setsockopt(member, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof(group)));
	workload_pass();
}
