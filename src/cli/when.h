/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The moment at which `thump run --checkpoint-when` makes its checkpoint.
 *
 *   port:N        the program listens on TCP port N
 *   http://HOST[:PORT]/PATH   a GET is answered with 2xx; HOST is a literal address or localhost
 *   requests:N    N requests have come in on the ports that the program listens on
 *   after:TIME    TIME has passed since the program was started
 *
 * Requests are counted from outside, in any program, as segments with data in connections to its
 * listening ports: see requests.c.
 */
#ifndef THUMP_CLI_WHEN_H
#define THUMP_CLI_WHEN_H

#include "base/err.h"
#include "base/types.h"

enum thump_when_kind {
	THUMP_WHEN_PORT = 1,
	THUMP_WHEN_HTTP,
	THUMP_WHEN_REQUESTS,
	THUMP_WHEN_AFTER,
};

struct thump_when {
	enum thump_when_kind kind;
	uint16_t port;
	char host[64]; /* an address literal */
	const char *path;
	uint64_t count;
	uint64_t after_ns;
};

/* "90", "1.5s", "250ms", "2m", "1h". */
THUMP_MUST_CHECK int thump_parse_duration(const char *text, uint64_t *ns_ret);

THUMP_MUST_CHECK int thump_when_parse(const char *text, struct thump_when *when_ret,
				      struct thump_err *err);

/* Waits; 0: the moment is there, 1: the program (`program_fd` is its pidfd) has ended before. */
THUMP_MUST_CHECK int thump_when_wait(const struct thump_when *when, pid_t pid, int program_fd,
				     struct thump_err *err);

/* ---- parts ----------------------------------------------------------------------------- */

#define THUMP_PORTS_MAX 64U

/* The TCP ports that a process listens on, each once. */
size_t thump_listening_ports(pid_t pid, uint16_t *ports_ret, size_t room);

bool thump_has_port(const uint16_t *ports, size_t nr_ports, unsigned port);

/* One GET; 0 when it was answered with 2xx, else -1. */
int thump_http_get(const struct thump_when *when);

/* Counts requests in connections to ports, see requests.c. */
struct thump_request_count {
	struct thump_connection *connections; /* that are open, by cookie */
	size_t nr_connections;
	bool looked; /* before */
	uint64_t nr_requests;
};

THUMP_MUST_CHECK int thump_requests_look(struct thump_request_count *count, const uint16_t *ports,
					 size_t nr_ports, struct thump_err *err);
void thump_requests_deinit(struct thump_request_count *count);

#endif
