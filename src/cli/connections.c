/* SPDX-License-Identifier: Apache-2.0 */
/* sock_diag(7) for TCP: what the connections of some ports are doing. */
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "cli/connections.h"
#include "cli/when.h"

enum {
	SEEN_STATES = 1 << THUMP_TCP_ESTABLISHED | 1 << THUMP_TCP_FIN_WAIT1 |
		      1 << THUMP_TCP_FIN_WAIT2 | 1 << THUMP_TCP_TIME_WAIT |
		      1 << THUMP_TCP_CLOSE_WAIT,
};

/* One dump, and who wants to see it. */
struct dump {
	const uint16_t *ports;
	size_t nr_ports;
	thump_connection_fn visit;
	void *ctx;
};

static int send_request(int fd, uint8_t family)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} message = {
		.header = {
			.nlmsg_len = sizeof(message),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		},
		.request = {
			.sdiag_family = family,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_ext = 1 << (INET_DIAG_INFO - 1),
			.idiag_states = SEEN_STATES,
		},
	};

	return send(fd, &message, sizeof(message), 0) == (ssize_t)sizeof(message) ? 0 : -1;
}

static int take_socket(const struct nlmsghdr *header, const struct dump *dump)
{
	const struct inet_diag_msg *message = NLMSG_DATA(header);
	const struct rtattr *attribute = (const void *)(message + 1);
	unsigned left = header->nlmsg_len - (unsigned)NLMSG_LENGTH(sizeof(*message));
	struct tcp_info info = { 0 };

	if (!thump_has_port(dump->ports, dump->nr_ports, ntohs(message->id.idiag_sport)) &&
	    !(message->idiag_state == THUMP_TCP_TIME_WAIT &&
	      thump_has_port(dump->ports, dump->nr_ports, ntohs(message->id.idiag_dport))))
		return 0;
	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
		if (attribute->rta_type == INET_DIAG_INFO)
			memcpy(&info, RTA_DATA(attribute),
			       thump_min_u64(RTA_PAYLOAD(attribute), sizeof(info)));
	return dump->visit(dump->ctx, message, &info);
}

/* 1: there is more to come, 0: that was all, -1 with errno. */
static int take_reply(const struct nlmsghdr *header, ssize_t size, const struct dump *dump)
{
	for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
		if (header->nlmsg_type == NLMSG_DONE)
			return 0;
		if (header->nlmsg_type == NLMSG_ERROR) {
			errno = EOPNOTSUPP;
			return -1;
		}
		if (header->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)) &&
		    take_socket(header, dump) < 0)
			return -1;
	}
	return 1;
}

static int dump_family(uint8_t family, const struct dump *dump)
{
	auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	_Alignas(8) char reply[16384];
	int more = 1;

	if (fd < 0 || send_request(fd, family) < 0)
		return -1;
	while (more > 0) {
		ssize_t got = recv(fd, reply, sizeof(reply), 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		more = take_reply((const void *)reply, got, dump);
	}
	return more;
}

int thump_connections_visit(const uint16_t *ports, size_t nr_ports, thump_connection_fn visit,
			    void *ctx, struct thump_err *err)
{
	const struct dump dump = { ports, nr_ports, visit, ctx };

	if (dump_family(AF_INET, &dump) < 0 || dump_family(AF_INET6, &dump) < 0)
		return thump_fail_errno(err, "look at connections: sock_diag(7)");
	return 0;
}
