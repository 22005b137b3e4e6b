/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "cli/connections.h"
#include "cli/when.h"

/* There is no event for a connection that becomes idle. An answer that goes out in the same
 * millisecond as its request came in cannot be told from one that is still to come: after so long
 * it is. */
enum { LOOK_NS = 10000000, SETTLED_MS = 50 };

static bool is_busy(const struct inet_diag_msg *socket, const struct tcp_info *info)
{
	if (socket->idiag_state == THUMP_TCP_CLOSE_WAIT)
		return true; /* the server is about to close it, too */
	if (socket->idiag_state != THUMP_TCP_ESTABLISHED)
		return false;
	if (socket->idiag_rqueue || socket->idiag_wqueue)
		return true;
	if (info->tcpi_data_segs_in == 0)
		return false;
	/* Before the first answer the time of sending is that of the connection. */
	if (info->tcpi_data_segs_out == 0)
		return true;
	if (info->tcpi_last_data_recv > info->tcpi_last_data_sent)
		return false;
	return info->tcpi_last_data_recv < info->tcpi_last_data_sent ||
	       info->tcpi_last_data_recv < SETTLED_MS;
}

static int count_busy(void *ctx, const struct inet_diag_msg *socket, const struct tcp_info *info)
{
	size_t *nr_busy = ctx;

	*nr_busy += is_busy(socket, info);
	return 0;
}

int thump_drain(pid_t pid, uint64_t limit_ns, struct thump_err *err)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	const uint64_t end_ns = thump_now_ns() + limit_ns;
	uint16_t ports[THUMP_PORTS_MAX];

	for (;;) {
		size_t nr_busy = 0, nr_ports = thump_listening_ports(pid, ports, THUMP_PORTS_MAX);

		if (nr_ports == 0)
			return 0;
		if (thump_connections_visit(ports, nr_ports, count_busy, &nr_busy, err) < 0)
			return -1;
		if (nr_busy == 0 || thump_now_ns() >= end_ns)
			return 0;
		(void)nanosleep(&pause, NULL);
	}
}
