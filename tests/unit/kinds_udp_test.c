/* SPDX-License-Identifier: Apache-2.0 */
/* UDP: sockets with a peer, multicast memberships; and options of all kinds of sockets. */
#include "kinds_fixture.h"

#include <arpa/inet.h>
#include <linux/net_tstamp.h>
#include <linux/udp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "kinds/multicast.h"

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = port,
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in address;
	socklen_t len = sizeof(address);

	CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
	return address.sin_port;
}

/* ---- a peer ----------------------------------------------------------------------------- */

static int server_fd, holder_fd;
static uint16_t client_port;

/* The process that runs the trip serves, and knows the port of its client. */
static void serve(void)
{
	struct sockaddr_in address = loopback(0);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	server_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(bind(server_fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	client_port = port_of(fd);
	CHECK(close(fd) == 0);
}

static uint16_t server_port;

static void connected_make(void)
{
	struct sockaddr_in own = loopback(client_port), peer = loopback(server_port);

	CHECK(socket(AF_INET, SOCK_DGRAM, 0) == 3);
	CHECK(bind(3, (struct sockaddr *)&own, sizeof(own)) == 0);
	CHECK(connect(3, (struct sockaddr *)&peer, sizeof(peer)) == 0);
}

static void serve_and_remember(void)
{
	serve();
	server_port = port_of(server_fd);
}

static void check_peer(void)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);

	CHECK(getpeername(3, (struct sockaddr *)&peer, &len) == 0 && peer.sin_port == server_port);
	CHECK(send(3, "question", 8, 0) == 8);
}

static void connected_verify(void)
{
	CHECK(port_of(3) == client_port);
	check_peer();
}

static void other_port_verify(void)
{
	CHECK(port_of(3) != client_port);
	check_peer();
}

static void question_came(void)
{
	char text[16];

	CHECK(recv(server_fd, text, sizeof(text), 0) == 8);
}

static void hold_port(void)
{
	struct sockaddr_in own = loopback(client_port);

	holder_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(bind(holder_fd, (struct sockaddr *)&own, sizeof(own)) == 0);
}

static void udp_sockets_keep_their_peer(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .prepare = serve_and_remember,
				    .make = connected_make,
				    .verify = connected_verify,
				    .after = question_came });
	assert_trip(&(struct trip){ .prepare = serve_and_remember,
				    .make = connected_make,
				    .between = hold_port,
				    .verify = other_port_verify,
				    .after = question_came,
				    .warning = "its own port is taken" });
}

/* ---- datagrams that wait ------------------------------------------------------------------ */

static void waiting_make(void)
{
	struct sockaddr_in any = loopback(0), sender = loopback(client_port), own;
	socklen_t len = sizeof(own);

	CHECK(socket(AF_INET, SOCK_DGRAM, 0) == 3);
	CHECK(bind(3, (struct sockaddr *)&any, sizeof(any)) == 0);
	CHECK(getsockname(3, (struct sockaddr *)&own, &len) == 0);
	CHECK(socket(AF_INET, SOCK_DGRAM, 0) == 4);
	CHECK(bind(4, (struct sockaddr *)&sender, sizeof(sender)) == 0);
	CHECK(sendto(4, "first", 5, 0, (struct sockaddr *)&own, len) == 5);
	CHECK(sendto(4, "", 0, 0, (struct sockaddr *)&own, len) == 0);
	CHECK(sendto(4, "third", 5, 0, (struct sockaddr *)&own, len) == 5);
	CHECK(close(4) == 0);
}

static void waiting_verify(void)
{
	static const char *const wanted[] = { "first", "", "third" };

	for (int i = 0; i < 3; i++) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		char text[16] = "";
		ssize_t size = recvfrom(3, text, sizeof(text), MSG_DONTWAIT,
					(struct sockaddr *)&from, &len);

		CHECK(size == (ssize_t)strlen(wanted[i]) && strcmp(text, wanted[i]) == 0);
		CHECK(from.sin_port == client_port);
	}
}

static void none_waits(void)
{
	char byte;

	CHECK(recv(3, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

static void release_port(void)
{
	CHECK(close(holder_fd) == 0);
}

static void datagrams_that_wait_are_sent_again(void **state)
{
	(void)state;
	assert_trip(
		&(struct trip){ .prepare = serve, .make = waiting_make, .verify = waiting_verify });
	assert_trip(&(struct trip){ .prepare = serve,
				    .make = waiting_make,
				    .between = hold_port,
				    .verify = none_waits,
				    .after = release_port,
				    .warning = "3 of 3 datagrams that waited are lost" });
}

/* ---- multicast -------------------------------------------------------------------------- */

static const struct in_addr source = { .s_addr = 0x0100000a }; /* 10.0.0.1 */

static struct group_req group_of(int family, const char *text)
{
	struct group_req request = { .gr_interface = if_nametoindex("lo") };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&request.gr_group;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&request.gr_group;

	CHECK(request.gr_interface != 0);
	request.gr_group.ss_family = (sa_family_t)family;
	CHECK(inet_pton(family, text,
			family == AF_INET6 ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr) == 1);
	return request;
}

static void membership_make(void)
{
	struct group_req plain = group_of(AF_INET, "239.1.2.3");
	struct group_req sourced = group_of(AF_INET, "232.1.2.3");
	struct group_req six = group_of(AF_INET6, "ff01::4711");
	struct group_source_req with = { .gsr_interface = sourced.gr_interface,
					 .gsr_group = sourced.gr_group };
	struct sockaddr_in *from = (struct sockaddr_in *)&with.gsr_source;

	from->sin_family = AF_INET;
	from->sin_addr = source;
	CHECK(socket(AF_INET, SOCK_DGRAM, 0) == 3 && socket(AF_INET6, SOCK_DGRAM, 0) == 4);
	CHECK(setsockopt(3, IPPROTO_IP, MCAST_JOIN_GROUP, &plain, sizeof(plain)) == 0);
	CHECK(setsockopt(3, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &with, sizeof(with)) == 0);
	CHECK(setsockopt(4, IPPROTO_IPV6, MCAST_JOIN_GROUP, &six, sizeof(six)) == 0);
	CHECK(socket(AF_INET, SOCK_DGRAM, 0) == 5);
}

/* Its mode, or -1: not a member. */
static int mode_of(int fd, const struct group_req *group, uint32_t nr_sources)
{
	struct group_filter filter = { .gf_interface = group->gr_interface,
				       .gf_group = group->gr_group,
				       .gf_numsrc = 1 };
	socklen_t len = sizeof(filter);
	int level = group->gr_group.ss_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;

	if (getsockopt(fd, level, MCAST_MSFILTER, &filter, &len) < 0)
		return -1;
	CHECK(filter.gf_numsrc == nr_sources);
	if (nr_sources)
		CHECK(((struct sockaddr_in *)&filter.gf_slist[0])->sin_addr.s_addr ==
		      source.s_addr);
	return (int)filter.gf_fmode;
}

static void membership_verify(void)
{
	struct group_req plain = group_of(AF_INET, "239.1.2.3");
	struct group_req sourced = group_of(AF_INET, "232.1.2.3");
	struct group_req six = group_of(AF_INET6, "ff01::4711");

	CHECK(mode_of(3, &plain, 0) == MCAST_EXCLUDE);
	CHECK(mode_of(3, &sourced, 1) == MCAST_INCLUDE);
	CHECK(mode_of(4, &six, 0) == MCAST_EXCLUDE);
	CHECK(mode_of(5, &plain, 0) == -1);
}

static void multicast_memberships_are_joined_again(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = membership_make, .verify = membership_verify });
}

static void groups_are_read_from_proc(void **state)
{
	static const unsigned char first[4] = { 224, 0, 0, 1 }, second[4] = { 239, 1, 2, 3 };
	struct thump_igmp igmp = { .at = "Idx\tDevice    : Count Querier\tGroup    Users "
					 "Timer\tReporter\n"
					 "1\tlo        :     1      V3\n"
					 "\t\t\t\t010000E0     1 0:00000000\t\t0\n"
					 "12\teth0      :     2      V3\n"
					 "\t\t\t\t030201EF     1 0:00000000\t\t0\n" };
	struct thump_igmp six = {
		.v6 = true,
		.at = "12   eth0            ff020000000000000000000000000001     1 0000000C 0\n"
	};

	(void)state;
	assert_true(thump_igmp_next(&igmp));
	assert_int_equal(igmp.index, 1);
	assert_memory_equal(igmp.group.bytes, first, 4);
	assert_true(thump_igmp_next(&igmp));
	assert_int_equal(igmp.index, 12);
	assert_string_equal(igmp.name, "eth0");
	assert_memory_equal(igmp.group.bytes, second, 4);
	assert_false(thump_igmp_next(&igmp));
	assert_true(thump_igmp_next(&six));
	assert_int_equal(six.index, 12);
	assert_int_equal(six.group.bytes[1], 2);
	assert_int_equal(six.group.bytes[15], 1);
	assert_false(thump_igmp_next(&six));
}

/* ---- options ---------------------------------------------------------------------------- */

static const struct {
	int fd, level, name, value;
} wanted[] = {
	{ 3, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_RX_SOFTWARE },
	{ 3, SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1 },
	{ 3, SOL_SOCKET, SO_LOCK_FILTER, 1 },
	{ 3, SOL_SOCKET, SO_PEEK_OFF, 7 },
	{ 3, SOL_SOCKET, SO_MAX_PACING_RATE, 123456 },
	{ 3, IPPROTO_IP, IP_RECVOPTS, 1 },
	{ 3, IPPROTO_IP, IP_RETOPTS, 1 },
	{ 3, IPPROTO_IP, IP_CHECKSUM, 1 },
	{ 3, IPPROTO_IP, IP_RECVFRAGSIZE, 1 },
	{ 3, IPPROTO_IP, IP_MULTICAST_TTL, 9 },
	{ 3, IPPROTO_IP, IP_MULTICAST_IF, 0x0100007f },
	{ 4, IPPROTO_IPV6, IPV6_MULTICAST_IF, 1 },
	{ 4, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0 },
	{ 4, IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 0 },
	{ 4, IPPROTO_IPV6, IPV6_RECVHOPOPTS, 1 },
	{ 4, IPPROTO_IPV6, IPV6_RECVDSTOPTS, 1 },
	{ 4, IPPROTO_IPV6, IPV6_RECVPATHMTU, 1 },
	{ 4, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1 },
	{ 4, IPPROTO_IPV6, IPV6_MINHOPCOUNT, 3 },
	{ 4, IPPROTO_UDP, UDP_NO_CHECK6_RX, 1 },
	{ 5, IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1 },
	{ 5, SOL_SOCKET, SO_TIMESTAMPNS_NEW, 1 },
};

static void options_make(void)
{
	CHECK(socket(AF_INET, SOCK_DGRAM, 0) == 3 && socket(AF_INET6, SOCK_DGRAM, 0) == 4);
	CHECK(socket(AF_INET, SOCK_STREAM, 0) == 5);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		if (setsockopt(wanted[i].fd, wanted[i].level, wanted[i].name, &wanted[i].value,
			       sizeof(int)) < 0)
			dprintf(STDERR_FILENO, "option %zu: %s\n", i, strerror(errno));
	}
}

static void options_verify(void)
{
	int missing = 0;

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		int value = -1;
		socklen_t len = sizeof(value);

		CHECK(getsockopt(wanted[i].fd, wanted[i].level, wanted[i].name, &value, &len) == 0);
		if (value == wanted[i].value)
			continue;
		dprintf(STDERR_FILENO, "option %zu is %d\n", i, value);
		missing++;
	}
	CHECK(missing == 0);
}

static void options_of_sockets_are_kept(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = options_make, .verify = options_verify });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(udp_sockets_keep_their_peer),
		cmocka_unit_test(datagrams_that_wait_are_sent_again),
		cmocka_unit_test(multicast_memberships_are_joined_again),
		cmocka_unit_test(groups_are_read_from_proc),
		cmocka_unit_test(options_of_sockets_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
