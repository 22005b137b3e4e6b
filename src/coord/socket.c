/* SPDX-License-Identifier: Apache-2.0 */
#include "coord/socket.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "coord/abi.h"

/* Who connects says at once what it wants, and hears what it is told: nobody else is served
 * meanwhile, and a checkpoint that the program makes by itself waits until nobody is. */
enum { PATIENCE_S = 5 };

bool thump_coord_name_now(struct thump_coord_name *name_ret)
{
	struct sockaddr_un *address = &name_ret->address;
	struct stat pid_namespace;
	int len;

	if (stat("/proc/self/ns/pid", &pid_namespace) != 0)
		return false;
	memset(name_ret, 0, sizeof(*name_ret));
	address->sun_family = AF_UNIX;
	len = snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1,
		       THUMP_COORD_SOCKET_FORMAT, (unsigned long long)pid_namespace.st_ino,
		       (int)getpid());
	name_ret->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
	return true;
}

int thump_coord_listen(const struct thump_coord_name *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && (bind(fd, (const struct sockaddr *)&name->address, name->size) != 0 ||
			listen(fd, 4) != 0)) {
		(void)close(fd);
		fd = -1;
	}
	return fd;
}

static bool may_ask(int fd, pid_t *pid_ret)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return false;
	*pid_ret = peer.pid;
	return peer.uid == 0 || peer.uid == geteuid();
}

/* Of a read, and of a send(2) to somebody who does not read. */
static bool limit_waits(int fd)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
	       setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0;
}

static bool read_line(int fd, char *line, size_t size)
{
	uint64_t start_ns = thump_now_ns();
	size_t used = 0;

	while (used + 1 < size && thump_now_ns() - start_ns < PATIENCE_S * THUMP_NS_PER_S) {
		ssize_t got = read(fd, line + used, 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		if (line[used] == '\n') {
			line[used] = '\0';
			return true;
		}
		used++;
	}
	return false;
}

bool thump_coord_read_request(int fd, pid_t *pid_ret, char *line, size_t size)
{
	return may_ask(fd, pid_ret) && limit_waits(fd) && read_line(fd, line, size);
}

bool thump_coord_send(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		ssize_t sent = send(fd, text, left, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		text += sent;
		left -= (size_t)sent;
	}
	return true;
}
