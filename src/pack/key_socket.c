/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/key_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "pack/key_file.h"

bool thump_is_key_socket(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* An agent that accepts nobody: connect(2) waits as long as its backlog is full, unless
 * SO_SNDTIMEO (socket(7)) says how long. */
static int connect_to(int fd, const struct sockaddr_un *address, const char *path,
		      struct thump_err *err)
{
	const struct timeval limit = { .tv_sec = THUMP_KEY_AGENT_SECONDS };

	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return thump_fail_errno(err, "%s: SO_SNDTIMEO", path);
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return 0;
	if (errno == EAGAIN)
		return thump_fail(err, "%s: who listens there accepts nobody", path);
	return thump_fail_errno(err, "%s: connect to it", path);
}

/* SO_PEERCRED (socket(7)): who called listen(2). */
static int check_listener(int fd, const char *path, struct thump_err *err)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return thump_fail_errno(err, "%s: who listens there", path);
	if (peer.uid != 0 && peer.uid != geteuid())
		return thump_refuse(err, "%s: user %u listens there, neither root nor user %u",
				    path, peer.uid, geteuid());
	return 0;
}

int thump_key_socket_open(const char *path, int *fd_ret, struct thump_err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const size_t len = strlen(path);
	auto_close int fd = -1;

	if (len >= sizeof(address.sun_path))
		return thump_fail(err, "%s: the path of a socket has less than %zu bytes", path,
				  sizeof(address.sun_path));
	memcpy(address.sun_path, path, len);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return thump_fail_errno(err, "%s: socket", path);
	if (connect_to(fd, &address, path, err) < 0 || check_listener(fd, path, err) < 0)
		return -1;
	*fd_ret = thump_take_fd(&fd);
	return 0;
}
