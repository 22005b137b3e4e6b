/* SPDX-License-Identifier: Apache-2.0 */
/* unix(7), the half that makes sockets anew. */
#include "kinds/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/fd.h"
#include "kinds/registry.h"

static socklen_t to_address(const struct thump_unix_name *name, struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, name->bytes, name->len);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name->len);
}

/*
 * connect(2) tells whether anybody is behind a path, in whatever network namespace: ECONNREFUSED,
 * nobody. A datagram socket asks, so that nobody notices: a server of another type answers
 * EPROTOTYPE before it sees anything of it (unix_find_bsd()), and one of datagrams sees what is
 * sent to it only. The path may be longer than a name: through its folder's descriptor.
 */
static bool is_served(const char *path)
{
	auto_close int file = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (file < 0 || fd < 0)
		return true;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", file);
	return connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ||
	       errno != ECONNREFUSED;
}

static void check_path(struct thump_fd_rebuild *rb, uint32_t ofd_id,
		       const struct thump_unix_socket *sock, struct thump_problems *problems)
{
	char folder[PATH_MAX + THUMP_UNIX_NAME_MAX_BYTES + 1];
	struct stat st;

	(void)snprintf(folder, sizeof(folder), "%s", sock->path);
	strrchr(folder, '/')[1] = '\0';
	if (access(folder, W_OK | X_OK) < 0)
		thump_misfit(rb, ofd_id, problems, "unix-path", "unix socket %s: %s: %s",
			     sock->path, folder, strerror(errno));
	else if (lstat(sock->path, &st) < 0)
		return; /* free */
	else if (!S_ISSOCK(st.st_mode))
		thump_misfit(rb, ofd_id, problems, "unix-path",
			     "unix socket %s: something else is at this path", sock->path);
	else if (is_served(sock->path))
		thump_misfit(rb, ofd_id, problems, "unix-path",
			     "unix socket %s: another process uses it", sock->path);
}

/* Bound as recorded: a relative path from the recorded working directory, the file with the
 * recorded mode from its first moment on. */
static int bind_path(struct thump_fd_rebuild *rb, const struct thump_unix_socket *sock, int fd)
{
	struct sockaddr_un address;
	socklen_t len = to_address(&sock->name, &address);
	auto_close int here = -1;
	struct stat st;
	struct thump_made_file *made;
	mode_t mask;
	int status;

	if (sock->name.bytes[0] != '/') {
		here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (here < 0 || !rb->model->process.cwd || chdir(rb->model->process.cwd) < 0)
			return -1;
	}
	if (lstat(sock->path, &st) == 0 && S_ISSOCK(st.st_mode) && !is_served(sock->path))
		(void)unlink(sock->path);
	mask = umask(~sock->mode & 0777);
	made = thump_made_begin(rb, sock->path, false);
	status = bind(fd, (const struct sockaddr *)&address, len);
	thump_made_end(rb, made, status == 0);
	(void)umask(mask);
	/* It had been unlinked already. */
	if (status == 0 && sock->mode == 0)
		(void)unlink(sock->path);
	else if (status == 0)
		thump_give_to_program(rb, AT_FDCWD, sock->path);
	if (here >= 0 && fchdir(here) < 0)
		return -1;
	return status;
}

static int bind_name(struct thump_fd_rebuild *rb, const struct thump_unix_socket *sock, int fd)
{
	struct sockaddr_un address;
	socklen_t len;

	if (sock->name.len == 0)
		return 0;
	if (thump_unix_is_path(&sock->name))
		return bind_path(rb, sock, fd);
	len = to_address(&sock->name, &address);
	return bind(fd, (const struct sockaddr *)&address, len);
}

static uint32_t find_peer(const struct thump_fd_rebuild *rb, const struct thump_unix_socket *sock)
{
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++) {
		const struct thump_unix_socket *other = rb->objects[i];

		if (rb->model->ofds[i].kind_id == thump_kind_unix_socket.kind_id &&
		    other->state == THUMP_UNIX_PAIR && other->id == sock->peer_id)
			return i;
	}
	return THUMP_NO_ID;
}

/* Up to bind(2), but for paths: those would leave a file. */
int thump_unix_check(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
		     struct thump_problems *problems, struct thump_err *err)
{
	const struct thump_unix_socket *sock = object;
	const char *failed = "socket";
	auto_close int fd = -1;

	if (sock->state == THUMP_UNIX_PAIR && sock->peer_id && find_peer(rb, sock) == THUMP_NO_ID)
		return thump_damaged(err, "its other end is not there");
	if (sock->state == THUMP_UNIX_LAUNCHER) {
		thump_misfit(rb, ofd_id, problems, "unix-connection",
			     "unix socket to whoever started the program: cannot be kept");
		return 0;
	}
	fd = socket(AF_UNIX, sock->type | SOCK_CLOEXEC, 0);
	if (fd < 0 || thump_sock_apply_options(fd, &sock->options, &failed) < 0)
		thump_misfit(rb, ofd_id, problems, "socket", "unix socket: %s: %s", failed,
			     strerror(errno));
	else if (thump_unix_is_path(&sock->name))
		check_path(rb, ofd_id, sock, problems);
	else if (bind_name(rb, sock, fd) < 0)
		thump_misfit(rb, ofd_id, problems, "unix-name", "unix socket %s: %s",
			     thump_unix_show(&sock->name).text, strerror(errno));
	return 0;
}

static int rebuild_single(struct thump_fd_rebuild *rb, const struct thump_unix_socket *sock,
			  int *fd_ret, struct thump_err *err)
{
	auto_close int fd = socket(AF_UNIX, sock->type | SOCK_CLOEXEC, 0);
	const char *failed = "socket";

	if (fd < 0 || thump_sock_apply_options(fd, &sock->options, &failed) < 0)
		return thump_fail_errno(err, "%s", failed);
	if (bind_name(rb, sock, fd) < 0)
		return thump_fail_errno(err, "bind %s", thump_unix_show(&sock->name).text);
	if (sock->state == THUMP_UNIX_LISTENING && listen(fd, (int)sock->backlog) < 0)
		return thump_fail_errno(err, "listen on %s", thump_unix_show(&sock->name).text);
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

static int rebuild_pair(struct thump_fd_rebuild *rb, const struct thump_unix_socket *sock,
			int *fd_ret, struct thump_err *err)
{
	auto_close int fd = thump_stash_take(rb, thump_kind_unix_socket.kind_id, sock->id);
	auto_close int other = -1;
	const char *failed;
	int ends[2];

	if (fd < 0) {
		if (socketpair(AF_UNIX, sock->type | SOCK_CLOEXEC, 0, ends) < 0)
			return thump_fail_errno(err, "socketpair");
		fd = ends[0];
		other = ends[1];
	}
	if (thump_sock_apply_options(fd, &sock->options, &failed) < 0)
		return thump_fail_errno(err, "%s", failed);
	if (sock->peer_id == 0) {
		if (other < 0 || thump_unix_fill_queue(other, &sock->queue, err) < 0)
			return other < 0 ? thump_damaged(err, "unix socket: peer of a closed end")
					 : -1;
	} else if (other >= 0 && thump_stash_put(rb, thump_kind_unix_socket.kind_id, sock->peer_id,
						 thump_take_fd(&other), err) < 0) {
		return -1;
	}
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

int thump_unix_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
		       struct thump_err *err)
{
	const struct thump_unix_socket *sock = object;

	(void)ofd_id;
	return sock->state == THUMP_UNIX_PAIR ? rebuild_pair(rb, sock, fd_ret, err)
					      : rebuild_single(rb, sock, fd_ret, err);
}

static int shut_down(int fd, uint8_t how, struct thump_err *err)
{
	if ((how & THUMP_UNIX_SHUT_READ) && shutdown(fd, SHUT_RD) < 0)
		return thump_fail_errno(err, "shutdown(SHUT_RD)");
	if ((how & THUMP_UNIX_SHUT_WRITE) && shutdown(fd, SHUT_WR) < 0)
		return thump_fail_errno(err, "shutdown(SHUT_WR)");
	return 0;
}

/* Now, as the name may be one of the process's own. Nobody there: the program finds out when it
 * sends, as after a restart of the other side. */
static void connect_to_name(const struct thump_unix_socket *sock, int fd)
{
	struct sockaddr_un address;
	socklen_t len = to_address(&sock->peer_name, &address);

	(void)connect(fd, (const struct sockaddr *)&address, len);
}

/* Each end's queue is sent by the other; only when both are full are they shut down. */
int thump_unix_connect(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int fd,
		       struct thump_err *err)
{
	const struct thump_unix_socket *sock = object, *other;
	uint32_t peer;

	if (sock->state == THUMP_UNIX_TO_NAME)
		connect_to_name(sock, fd);
	if (sock->state != THUMP_UNIX_PAIR || sock->peer_id == 0)
		return 0;
	peer = find_peer(rb, sock);
	if (peer == THUMP_NO_ID || rb->ofd_fds[peer] < 0)
		return thump_damaged(err, "unix socket: its other end is not there");
	if (thump_unix_fill_queue(rb->ofd_fds[peer], &sock->queue, err) < 0)
		return -1;
	other = rb->objects[peer];
	if (peer > ofd_id)
		return 0;
	if (shut_down(fd, sock->shutdown, err) < 0)
		return -1;
	return shut_down(rb->ofd_fds[peer], other->shutdown, err);
}
