/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/when.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"

/* What has no event is looked at so often: that a port is served, how many requests came. A GET
 * costs the program something, and is made less often. */
enum { LOOK_MS = 20, GET_MS = 100 };

/* ---- parsing --------------------------------------------------------------------------- */

int thump_parse_duration(const char *text, uint64_t *ns_ret)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = {
		{ "", 1e9 }, { "s", 1e9 }, { "ms", 1e6 }, { "m", 60e9 }, { "h", 3600e9 },
	};
	char *end;
	double value;

	if (*text < '0' || *text > '9')
		return -1;
	value = strtod(text, &end);
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].unit) != 0 || value * units[i].ns > 1e18)
			continue;
		*ns_ret = (uint64_t)(value * units[i].ns);
		return 0;
	}
	return -1;
}

static int parse_port(const char *text, uint16_t *port_ret, const char **end_ret)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || port == 0 || port > UINT16_MAX)
		return -1;
	*port_ret = (uint16_t)port;
	*end_ret = end;
	return 0;
}

/* HOST[:PORT][/PATH]; an IPv6 address in brackets. */
static int parse_url(const char *at, struct thump_when *when)
{
	bool bracket = *at == '[';
	size_t len = strcspn(at += bracket, bracket ? "]" : ":/");

	if (len == 0 || len >= sizeof(when->host))
		return -1;
	(void)snprintf(when->host, sizeof(when->host), "%.*s", (int)len, at);
	if (strcmp(when->host, "localhost") == 0)
		(void)strcpy(when->host, "127.0.0.1");
	at += len;
	if (bracket && *at++ != ']')
		return -1;
	when->port = 80;
	if (*at == ':' && parse_port(at + 1, &when->port, &at) < 0)
		return -1;
	when->path = *at ? at : "/";
	return when->path[0] == '/' && !strpbrk(when->path, " \t\r\n") ? 0 : -1;
}

static const char *after(const char *text, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

static int parse_kind(const char *text, struct thump_when *when)
{
	const char *value, *end = "";
	char *count_end;

	if ((value = after(text, "port:"))) {
		when->kind = THUMP_WHEN_PORT;
		return parse_port(value, &when->port, &end) < 0 || *end ? -1 : 0;
	}
	if ((value = after(text, "http://"))) {
		when->kind = THUMP_WHEN_HTTP;
		return parse_url(value, when);
	}
	if ((value = after(text, "requests:"))) {
		when->kind = THUMP_WHEN_REQUESTS;
		when->count = strtoull(value, &count_end, 10);
		return *value < '0' || *value > '9' || *count_end ? -1 : 0;
	}
	if ((value = after(text, "after:"))) {
		when->kind = THUMP_WHEN_AFTER;
		return thump_parse_duration(value, &when->after_ns);
	}
	return -1;
}

int thump_when_parse(const char *text, struct thump_when *when_ret, struct thump_err *err)
{
	struct thump_when when = { .kind = 0 };

	if (parse_kind(text, &when) < 0)
		return thump_fail(err,
				  "%s is not understood; known are port:8080, "
				  "http://127.0.0.1:8080/health, requests:5000 and after:60s",
				  text);
	*when_ret = when;
	return 0;
}

/* ---- waiting --------------------------------------------------------------------------- */

static bool listens(pid_t pid, uint16_t port)
{
	uint16_t ports[THUMP_PORTS_MAX];
	size_t count = thump_listening_ports(pid, ports, THUMP_PORTS_MAX);

	return thump_has_port(ports, count, port);
}

/* 1: now, 0: not yet. */
static int look(const struct thump_when *when, pid_t pid, struct thump_request_count *requests,
		struct thump_err *err)
{
	uint16_t ports[THUMP_PORTS_MAX];
	size_t count;

	switch (when->kind) {
	case THUMP_WHEN_PORT:
		return listens(pid, when->port);
	case THUMP_WHEN_HTTP:
		return thump_http_get(when) == 0;
	case THUMP_WHEN_REQUESTS:
		count = thump_listening_ports(pid, ports, THUMP_PORTS_MAX);
		if (thump_requests_look(requests, ports, count, err) < 0)
			return -1;
		return requests->nr_requests >= when->count;
	case THUMP_WHEN_AFTER:
		break;
	}
	return 0;
}

static int wait_with(const struct thump_when *when, pid_t pid, int program_fd,
		     struct thump_request_count *requests, struct thump_err *err)
{
	const uint64_t end_ns = thump_now_ns() + when->after_ns;
	struct pollfd program = { .fd = program_fd, .events = POLLIN };
	int pause_ms = when->kind == THUMP_WHEN_HTTP ? GET_MS : LOOK_MS;

	for (;;) {
		uint64_t now_ns = thump_now_ns();
		int there;

		if (when->kind == THUMP_WHEN_AFTER) {
			if (now_ns >= end_ns)
				return 0;
			pause_ms = (int)thump_min_u64((end_ns - now_ns) / 1000000 + 1, 60000);
		}
		there = look(when, pid, requests, err);
		if (there != 0)
			return there < 0 ? -1 : 0;
		if (poll(&program, 1, pause_ms) < 0 && errno != EINTR)
			return thump_fail_errno(err, "poll");
		if (program.revents)
			return 1;
	}
}

int thump_when_wait(const struct thump_when *when, pid_t pid, int program_fd, struct thump_err *err)
{
	struct thump_request_count requests = { 0 };
	int result = wait_with(when, pid, program_fd, &requests, err);

	thump_requests_deinit(&requests);
	return result;
}
