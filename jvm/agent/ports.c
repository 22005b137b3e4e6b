/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `thump restore --port OLD:NEW` for servers that a program closes before the checkpoint and opens
 * again: the engine finds no socket of theirs in the image. From the restore on, whatever library
 * calls bind(2) (libnet, libnio, Netty's native transports) comes here through its own slot
 * (slots.c): a TCP socket that is to get port OLD gets NEW, whatever its address. For as long as
 * the process lives, as a server that is closed and opened once more is to come back there, too.
 * Without the option no slot is touched.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"

struct port_move {
	uint16_t from, to;
};

union inet_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static struct port_move *find(const struct agent *agent, uint16_t from)
{
	for (size_t i = 0; i < agent->nr_ports; i++)
		if (agent->ports[i].from == from)
			return &agent->ports[i];
	return NULL;
}

/* The port inside, in network byte order; NULL: no address of the internet. */
static in_port_t *port_of(union inet_address *address, socklen_t size)
{
	if (size >= sizeof(address->v4) && address->any.sa_family == AF_INET)
		return &address->v4.sin_port;
	if (size >= sizeof(address->v6) && address->any.sa_family == AF_INET6)
		return &address->v6.sin6_port;
	return NULL;
}

/* MPTCP falls back to TCP, and has its ports. */
static bool is_tcp(int fd)
{
	int protocol = 0;
	socklen_t size = sizeof(protocol);

	return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
	       (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}

static int own_bind(int fd, const struct sockaddr *wanted, socklen_t size)
{
	union inet_address address = { 0 };
	const struct port_move *move = NULL;
	in_port_t *port = NULL;

	if (wanted && size <= sizeof(address)) {
		memcpy(&address, wanted, size);
		port = port_of(&address, size);
	}
	if (port)
		move = find(agent_get(), ntohs(*port));
	if (!move || !is_tcp(fd))
		return bind(fd, wanted, size);
	*port = htons(move->to);
	return bind(fd, &address.any, size);
}

void ports_loaded(const struct agent *agent)
{
	const struct slot slot = { "bind", (uintptr_t)own_bind };

	if (agent->nr_ports > 0)
		slots_point_everywhere(&slot, 1);
}

/* The next that the restore says, after *at (NULL: from the start). False: no more. */
static bool next_move(const struct agent *agent, const char **at, struct port_move *move_ret)
{
	unsigned int from, to;

	while ((*at = parameters_next(agent, THUMP_COORD_SAY_OPTION "port=", *at))) {
		if (sscanf(*at, "%u:%u", &from, &to) != 2)
			continue;
		*move_ret = (struct port_move){ .from = (uint16_t)from, .to = (uint16_t)to };
		return true;
	}
	return false;
}

/* A process that was restored from an image of a restored one: its user knows the port that it had
 * there, while the program still asks for the one before. */
static void forward(struct agent *agent, struct port_move *earlier)
{
	struct port_move move;
	const char *at = NULL;

	while (next_move(agent, &at, &move)) {
		if (move.from == earlier->to) {
			earlier->to = move.to;
			return;
		}
	}
}

static void add(struct agent *agent, const struct port_move *move)
{
	struct port_move *known = find(agent, move->from), *longer;

	if (known) {
		*known = *move;
		return;
	}
	longer = realloc(agent->ports, (agent->nr_ports + 1) * sizeof(*longer));
	if (!longer)
		return;
	agent->ports = longer;
	longer[agent->nr_ports++] = *move;
}

void ports_apply(struct agent *agent)
{
	struct port_move move;
	const char *at = NULL;

	for (size_t i = 0; i < agent->nr_ports; i++)
		forward(agent, &agent->ports[i]);
	while (next_move(agent, &at, &move))
		add(agent, &move);
	if (agent->nr_ports == 0)
		return;
	(void)newcomers_watch(agent);
	ports_loaded(agent);
}
