/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server's TCP sockets tell about it from outside: the ports it listens on, that it answers,
 * and how many requests it has had.
 *
 * Requests are counted as segments with data that arrived (tcpi_data_segs_in), looked at some 50
 * times a second through sock_diag(7). A request that needs several segments counts as several; of
 * a connection that came and went between two looks one request counts when it is still seen in
 * TIME_WAIT, which it is unless a client on another machine closed first. So it is an estimate,
 * good enough for "this server is warm".
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/fd.h"
#include "cli/connections.h"
#include "cli/when.h"

/* ---- ports ----------------------------------------------------------------------------- */

bool thump_has_port(const uint16_t *ports, size_t nr_ports, unsigned port)
{
	for (size_t i = 0; i < nr_ports; i++)
		if (ports[i] == port)
			return true;
	return false;
}

/* The sockets of a process, by inode. */
struct sockets {
	uint64_t *inodes;
	size_t count, room;
};

static bool add_socket(struct sockets *sockets, uint64_t ino)
{
	if (sockets->count == sockets->room) {
		size_t room = sockets->room ? sockets->room * 2 : 64;
		uint64_t *bigger = realloc(sockets->inodes, room * sizeof(*bigger));

		if (!bigger)
			return false;
		sockets->inodes = bigger;
		sockets->room = room;
	}
	sockets->inodes[sockets->count++] = ino;
	return true;
}

/* Once for a look, and not for every socket of the tables: that is a readlink(2) for each
 * descriptor. Without memory some are missing, and found in the next look. */
static void find_sockets(pid_t pid, struct sockets *sockets)
{
	char path[40], link[64];
	auto_closedir DIR *dir = NULL;
	const struct dirent *entry;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		uint64_t ino;

		if (len < 0)
			continue;
		link[len] = '\0';
		if (sscanf(link, "socket:[%" SCNu64 "]", &ino) == 1 && !add_socket(sockets, ino))
			return;
	}
}

static bool owns_socket(const struct sockets *sockets, uint64_t ino)
{
	for (size_t i = 0; i < sockets->count; i++)
		if (sockets->inodes[i] == ino)
			return true;
	return false;
}

/* proc_pid_net(5): sl local_address rem_address st tx:rx tr:tm->when retrnsmt uid timeout inode */
static size_t ports_of_table(pid_t pid, const struct sockets *sockets, const char *table,
			     uint16_t *ports, size_t count, size_t room)
{
	auto_free char *text = NULL;
	char path[40], *rest, *line;

	(void)snprintf(path, sizeof(path), "/proc/%d/net/%s", pid, table);
	if (thump_slurp(AT_FDCWD, path, &text, NULL) < 0)
		return count;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		unsigned port, state;
		uint64_t ino;

		if (sscanf(line,
			   " %*u: %*[0-9A-F]:%X %*[0-9A-F]:%*X %X %*s %*s %*s %*u %*u %" SCNu64,
			   &port, &state, &ino) != 3 ||
		    state != THUMP_TCP_LISTEN || !owns_socket(sockets, ino))
			continue;
		if (!thump_has_port(ports, count, port) && count < room)
			ports[count++] = (uint16_t)port;
	}
	return count;
}

size_t thump_listening_ports(pid_t pid, uint16_t *ports_ret, size_t room)
{
	struct sockets sockets = { 0 };
	size_t count;

	find_sockets(pid, &sockets);
	count = ports_of_table(pid, &sockets, "tcp", ports_ret, 0, room);
	count = ports_of_table(pid, &sockets, "tcp6", ports_ret, count, room);
	free(sockets.inodes);
	return count;
}

/* ---- a GET ----------------------------------------------------------------------------- */

static int connect_to(const struct thump_when *when)
{
	const struct timeval patience = { .tv_sec = 2 };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(when->port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(when->port) };
	bool is_v4 = inet_pton(AF_INET, when->host, &v4.sin_addr) == 1;
	const struct sockaddr *address = is_v4 ? (void *)&v4 : (void *)&v6;
	auto_close int fd = -1;

	if (!is_v4 && inet_pton(AF_INET6, when->host, &v6.sin6_addr) != 1)
		return -1;
	fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, address, is_v4 ? sizeof(v4) : sizeof(v6)) < 0)
		return -1;
	return thump_take_fd(&fd);
}

int thump_http_get(const struct thump_when *when)
{
	auto_close int fd = connect_to(when);
	char text[4096] = "";
	ssize_t got;
	int major, minor, status, len;

	if (fd < 0)
		return -1;
	len = snprintf(text, sizeof(text),
		       "GET %s HTTP/1.1\r\nHost: %s:%u\r\nUser-Agent: thump\r\nAccept: */*\r\n"
		       "Connection: close\r\n\r\n",
		       when->path, when->host, when->port);
	if (len >= (int)sizeof(text) || send(fd, text, (size_t)len, MSG_NOSIGNAL) != len)
		return -1;
	got = recv(fd, text, sizeof("HTTP/1.1 200") - 1, MSG_WAITALL);
	if (got < 0)
		return -1;
	text[got] = '\0';
	if (sscanf(text, "HTTP/%d.%d %d", &major, &minor, &status) != 3 || status / 100 != 2)
		return -1;
	/* To the end, so that the server closes and not we. */
	while (recv(fd, text, sizeof(text), 0) > 0)
		;
	return 0;
}

/* ---- counting -------------------------------------------------------------------------- */

struct thump_connection {
	uint64_t key;	      /* the client's end: one connection until a minute after it */
	uint64_t nr_segments; /* 0: nothing has come yet, or it is over */
};

struct snapshot {
	struct thump_connection *list;
	size_t count, room;
};

static int add_connection(struct snapshot *snapshot, uint64_t key, uint64_t nr_segments)
{
	if (snapshot->count == snapshot->room) {
		size_t room = snapshot->room ? snapshot->room * 2 : 64;
		struct thump_connection *bigger = realloc(snapshot->list, room * sizeof(*bigger));

		if (!bigger)
			return -1;
		snapshot->list = bigger;
		snapshot->room = room;
	}
	snapshot->list[snapshot->count++] = (struct thump_connection){ key, nr_segments };
	return 0;
}

/* FNV-1a over the client's address and port. */
static uint64_t key_of(const uint32_t *address, uint16_t port)
{
	uint64_t key = 0xcbf29ce484222325ULL;
	unsigned char bytes[18];

	memcpy(bytes, address, 16);
	memcpy(bytes + 16, &port, 2);
	for (size_t i = 0; i < sizeof(bytes); i++)
		key = (key ^ bytes[i]) * 0x100000001b3ULL;
	return key;
}

/* What is seen of one connection, in one look. */
struct look {
	struct snapshot now;
	const uint16_t *ports;
	size_t nr_ports;
};

/* A connection that is over stays visible for a minute at the end that closed first, which on one
 * machine may be the client's. */
static int take_connection(void *ctx, const struct inet_diag_msg *socket,
			   const struct tcp_info *info)
{
	struct look *look = ctx;
	const struct inet_diag_sockid *id = &socket->id;

	if (thump_has_port(look->ports, look->nr_ports, ntohs(id->idiag_sport)))
		return add_connection(&look->now, key_of(id->idiag_dst, id->idiag_dport),
				      info->tcpi_data_segs_in);
	return add_connection(&look->now, key_of(id->idiag_src, id->idiag_sport), 0);
}

static int by_key(const void *a, const void *b)
{
	const struct thump_connection *left = a, *right = b;

	return (left->key > right->key) - (left->key < right->key);
}

/* How many requests came since the last look: one at least in a connection that was over before. */
static uint64_t nr_new(struct thump_connection *now, const struct thump_connection *before,
		       bool first_look)
{
	uint64_t nr_before = before ? before->nr_segments : 0;

	/* At the first look it was another server's. */
	if (now->nr_segments == 0 && !before && !first_look)
		now->nr_segments = 1;
	if (now->nr_segments < nr_before)
		now->nr_segments = nr_before;
	return now->nr_segments - nr_before;
}

int thump_requests_look(struct thump_request_count *count, const uint16_t *ports, size_t nr_ports,
			struct thump_err *err)
{
	struct look look = { .ports = ports, .nr_ports = nr_ports };
	struct snapshot now;

	if (thump_connections_visit(ports, nr_ports, take_connection, &look, err) < 0) {
		free(look.now.list);
		return -1;
	}
	now = look.now;
	if (now.count)
		qsort(now.list, now.count, sizeof(*now.list), by_key);
	for (size_t i = 0; i < now.count; i++) {
		const struct thump_connection *before = NULL;

		if (count->nr_connections)
			before = bsearch(&now.list[i], count->connections, count->nr_connections,
					 sizeof(*now.list), by_key);
		count->nr_requests += nr_new(&now.list[i], before, !count->looked);
	}
	free(count->connections);
	count->connections = now.list;
	count->nr_connections = now.count;
	count->looked = true;
	return 0;
}

void thump_requests_deinit(struct thump_request_count *count)
{
	free(count->connections);
	*count = (struct thump_request_count){ 0 };
}
