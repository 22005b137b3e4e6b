/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THUMP_CLI_CONNECTIONS_H
#define THUMP_CLI_CONNECTIONS_H

#include <linux/inet_diag.h>
#include <linux/tcp.h>

#include "base/err.h"
#include "base/types.h"

/* As in the kernel's net/tcp_states.h. */
enum thump_tcp_state {
	THUMP_TCP_ESTABLISHED = 1,
	THUMP_TCP_FIN_WAIT1 = 4,
	THUMP_TCP_FIN_WAIT2 = 5,
	THUMP_TCP_TIME_WAIT = 6,
	THUMP_TCP_CLOSE_WAIT = 8,
	THUMP_TCP_LISTEN = 10,
};

/* Less than 0 ends the visit, with errno. */
typedef int (*thump_connection_fn)(void *ctx, const struct inet_diag_msg *socket,
				   const struct tcp_info *info);

/*
 * Shows every connection of these local ports, in our network namespace; of those in TIME_WAIT also
 * the other ends, where the client is on this machine.
 */
THUMP_MUST_CHECK int thump_connections_visit(const uint16_t *ports, size_t nr_ports,
					     thump_connection_fn visit, void *ctx,
					     struct thump_err *err);

/* ---- drain.c --------------------------------------------------------------------------- */

/*
 * Waits until the connections that the listening sockets of a process have accepted are idle or
 * closed, but no longer than `limit_ns`: nothing waits to be read or sent, and the last data went
 * from the server to the client.
 */
THUMP_MUST_CHECK int thump_drain(pid_t pid, uint64_t limit_ns, struct thump_err *err);

#endif
