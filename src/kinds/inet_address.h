/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of IPv4 and IPv6 sockets, and how they lie in records. ADDRESS: u16 port, u8[16]
 * address (IPv4: the first four), u32 flow, u32 scope.
 */
#ifndef THUMP_KINDS_INET_ADDRESS_H
#define THUMP_KINDS_INET_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/bytes.h"

union thump_inet_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_storage room;
};

struct thump_inet_text {
	char text[INET6_ADDRSTRLEN + 16];
};

uint16_t thump_inet_port(const union thump_inet_address *address);
void thump_inet_set_port(union thump_inet_address *address, uint16_t port);
socklen_t thump_inet_len(const union thump_inet_address *address);
/* 0.0.0.0 or ::, whatever the port. */
bool thump_inet_is_any(const union thump_inet_address *address);
/* An address of IPv4 that a socket of IPv6 knows as a mapped one (ipv6(7)), as either knows it. */
union thump_inet_address thump_inet_unmapped(const union thump_inet_address *address);
union thump_inet_address thump_inet_mapped(const union thump_inet_address *address);
struct thump_inet_text thump_inet_show(const union thump_inet_address *address);

void thump_inet_put(struct thump_buf *record, const union thump_inet_address *address);
void thump_inet_decode(struct thump_reader *r, bool v6, union thump_inet_address *address_ret);

#endif
