/* SPDX-License-Identifier: Apache-2.0 */
#include "kinds/inet_address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

uint16_t thump_inet_port(const union thump_inet_address *address)
{
	return ntohs(address->any.sa_family == AF_INET6 ? address->v6.sin6_port
							: address->v4.sin_port);
}

void thump_inet_set_port(union thump_inet_address *address, uint16_t port)
{
	if (address->any.sa_family == AF_INET6)
		address->v6.sin6_port = htons(port);
	else
		address->v4.sin_port = htons(port);
}

socklen_t thump_inet_len(const union thump_inet_address *address)
{
	return address->any.sa_family == AF_INET6 ? sizeof(address->v6) : sizeof(address->v4);
}

bool thump_inet_is_any(const union thump_inet_address *address)
{
	if (address->any.sa_family == AF_INET6)
		return IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
	return address->v4.sin_addr.s_addr == htonl(INADDR_ANY);
}

union thump_inet_address thump_inet_unmapped(const union thump_inet_address *address)
{
	union thump_inet_address plain = { .v4.sin_family = AF_INET };

	if (address->any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr))
		return *address;
	plain.v4.sin_port = address->v6.sin6_port;
	memcpy(&plain.v4.sin_addr, &address->v6.sin6_addr.s6_addr[12], 4);
	return plain;
}

union thump_inet_address thump_inet_mapped(const union thump_inet_address *address)
{
	union thump_inet_address mapped = { .v6.sin6_family = AF_INET6 };
	unsigned char *bytes = mapped.v6.sin6_addr.s6_addr;

	if (address->any.sa_family != AF_INET)
		return *address;
	mapped.v6.sin6_port = address->v4.sin_port;
	bytes[10] = bytes[11] = 0xff;
	memcpy(&bytes[12], &address->v4.sin_addr, 4);
	return mapped;
}

struct thump_inet_text thump_inet_show(const union thump_inet_address *address)
{
	char host[INET6_ADDRSTRLEN] = "?";
	struct thump_inet_text shown;

	if (address->any.sa_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof(host));
		(void)snprintf(shown.text, sizeof(shown.text), "[%s]:%u", host,
			       thump_inet_port(address));
	} else {
		(void)inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof(host));
		(void)snprintf(shown.text, sizeof(shown.text), "%s:%u", host,
			       thump_inet_port(address));
	}
	return shown;
}

void thump_inet_put(struct thump_buf *record, const union thump_inet_address *address)
{
	unsigned char bytes[16] = { 0 };
	bool v6 = address->any.sa_family == AF_INET6;

	if (v6)
		memcpy(bytes, &address->v6.sin6_addr, 16);
	else
		memcpy(bytes, &address->v4.sin_addr, 4);
	thump_buf_put_u16(record, thump_inet_port(address));
	thump_buf_put(record, bytes, sizeof(bytes));
	thump_buf_put_u32(record, v6 ? ntohl(address->v6.sin6_flowinfo) : 0);
	thump_buf_put_u32(record, v6 ? address->v6.sin6_scope_id : 0);
}

void thump_inet_decode(struct thump_reader *r, bool v6, union thump_inet_address *address_ret)
{
	uint16_t port = thump_get_u16(r);
	const void *address = thump_get_bytes(r, 16);
	uint32_t flow = thump_get_u32(r), scope = thump_get_u32(r);

	if (!address)
		return;
	address_ret->any.sa_family = v6 ? AF_INET6 : AF_INET;
	thump_inet_set_port(address_ret, port);
	if (v6) {
		address_ret->v6.sin6_flowinfo = htonl(flow);
		address_ret->v6.sin6_scope_id = scope;
		memcpy(&address_ret->v6.sin6_addr, address, 16);
	} else {
		memcpy(&address_ret->v4.sin_addr, address, 4);
	}
}
