/* SPDX-License-Identifier: Apache-2.0 */
/* unix(7), the half that makes sockets anew. */
#include "kinds/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/random.h>

#include "base/fd.h"
#include "kinds/registry.h"

socklen_t thump_unix_address(const struct thump_unix_name *name, struct sockaddr_un *address_ret)
{
	memset(address_ret, 0, sizeof(*address_ret));
	address_ret->sun_family = AF_UNIX;
	memcpy(address_ret->sun_path, name->bytes, name->len);
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

/* Why the path of a socket cannot be had; NULL when it can. */
static const char *path_trouble(const struct thump_unix_socket *sock)
{
	char folder[PATH_MAX + THUMP_UNIX_NAME_MAX_BYTES + 1];
	struct stat st;

	(void)snprintf(folder, sizeof(folder), "%s", sock->path);
	strrchr(folder, '/')[1] = '\0';
	if (access(folder, W_OK | X_OK) < 0)
		return strerror(errno);
	if (lstat(sock->path, &st) < 0)
		return NULL; /* free */
	if (!S_ISSOCK(st.st_mode))
		return "something else is at this path";
	return is_served(sock->path) ? "another process uses it" : NULL;
}

/* Bound as recorded: a relative path from the recorded working directory, the file with `mode` from
 * its first moment on. */
static int bind_path(struct thump_fd_rebuild *rb, const struct thump_unix_socket *sock, mode_t mode,
		     int fd)
{
	struct sockaddr_un address;
	socklen_t len = thump_unix_address(&sock->name, &address);
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
	mask = umask(~mode & 0777);
	made = thump_made_begin(rb, sock->path, false);
	status = bind(fd, (const struct sockaddr *)&address, len);
	thump_made_end(rb, made, status == 0);
	(void)umask(mask);
	if (status == 0)
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
	if (!thump_unix_is_path(&sock->name)) {
		len = thump_unix_address(&sock->name, &address);
		return bind(fd, (const struct sockaddr *)&address, len);
	}
	if (bind_path(rb, sock, sock->mode, fd) < 0)
		return -1;
	/* It had been unlinked already. */
	if (sock->mode == 0)
		(void)unlink(sock->path);
	return 0;
}

/* ---- who is who --------------------------------------------------------------------------- */

static uint32_t find_socket(const struct thump_fd_rebuild *rb, uint64_t id)
{
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++) {
		const struct thump_unix_socket *sock = rb->objects[i];

		if (rb->model->ofds[i].kind_id == thump_kind_unix_socket.kind_id && sock->id == id)
			return i;
	}
	return THUMP_NO_ID;
}

static struct thump_unix_socket *find_peer(const struct thump_fd_rebuild *rb,
					   const struct thump_unix_socket *sock)
{
	uint32_t peer = find_socket(rb, sock->peer_id);
	struct thump_unix_socket *other = peer == THUMP_NO_ID ? NULL : rb->objects[peer];

	return other && other->state == sock->state && other->type == sock->type &&
			       other->peer_id == sock->id
		       ? other
		       : NULL;
}

/* The socket of the process that listens under the name of `sock`. */
static uint32_t find_listener(const struct thump_fd_rebuild *rb,
			      const struct thump_unix_socket *sock)
{
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++) {
		const struct thump_unix_socket *other = rb->objects[i];

		if (rb->model->ofds[i].kind_id == thump_kind_unix_socket.kind_id &&
		    other->state == THUMP_UNIX_LISTENING && other->type == sock->type &&
		    thump_unix_same_name(&other->name, &sock->name))
			return i;
	}
	return THUMP_NO_ID;
}

/*
 * Of the two ends of a connection, the one that was accepted: it has the name of the socket that it
 * was accepted from. Where both have names and nobody listens any more, either one serves.
 */
static bool was_accepted(const struct thump_fd_rebuild *rb, const struct thump_unix_socket *sock,
			 const struct thump_unix_socket *other)
{
	if (sock->name.len == 0 || other->name.len == 0)
		return sock->name.len != 0;
	if (find_listener(rb, sock) != THUMP_NO_ID || find_listener(rb, other) != THUMP_NO_ID)
		return find_listener(rb, sock) != THUMP_NO_ID;
	return sock->id > other->id;
}

/* ---- check -------------------------------------------------------------------------------- */

static const char *name_trouble(struct thump_fd_rebuild *rb, const struct thump_unix_socket *sock)
{
	auto_close int fd = -1;

	if (sock->name.len == 0 || find_listener(rb, sock) != THUMP_NO_ID)
		return NULL; /* checked there */
	if (thump_unix_is_path(&sock->name))
		return path_trouble(sock);
	fd = socket(AF_UNIX, sock->type | SOCK_CLOEXEC, 0);
	return fd < 0 || bind_name(rb, sock, fd) < 0 ? strerror(errno) : NULL;
}

/* Nobody connects to the name of a connection: it can do without. */
static int check_pair(struct thump_fd_rebuild *rb, uint32_t ofd_id, struct thump_unix_socket *sock,
		      struct thump_problems *problems, struct thump_err *err)
{
	struct thump_unix_socket *other = find_peer(rb, sock);
	const char *trouble;

	if (sock->peer_id && !other)
		return thump_damaged(err, "its other end is not there");
	trouble = sock->nameless || !other ? NULL : name_trouble(rb, sock);
	if (!trouble)
		return 0;
	sock->nameless = other->nameless = true;
	thump_misfit_warn(rb, ofd_id, problems, "unix-name",
			  "unix connection: its name %s cannot be had (%s): getsockname(2) and "
			  "getpeername(2) will give none",
			  thump_unix_show(&sock->name).text, trouble);
	return 0;
}

/* Of those that wait and the one that listens each knows the other. */
static int check_pending(const struct thump_fd_rebuild *rb, const struct thump_unix_socket *sock,
			 struct thump_err *err)
{
	const struct thump_unix_socket *listener;
	uint32_t id;
	bool found = false;

	for (uint32_t i = 0; i < sock->nr_pending; i++) {
		const struct thump_unix_socket *waiting;

		id = find_socket(rb, sock->pending[i]);
		waiting = id == THUMP_NO_ID ? NULL : rb->objects[id];
		if (!waiting || waiting->state != THUMP_UNIX_PENDING ||
		    waiting->type != sock->type || waiting->peer_id != sock->id)
			return thump_damaged(err, "what waits to be accepted is not there");
	}
	if (sock->state != THUMP_UNIX_PENDING)
		return 0;
	id = find_socket(rb, sock->peer_id);
	listener = id == THUMP_NO_ID ? NULL : rb->objects[id];
	for (uint32_t i = 0; listener && i < listener->nr_pending; i++)
		found |= listener->pending[i] == sock->id;
	return found ? 0 : thump_damaged(err, "nobody listens to accept it");
}

/* Up to bind(2), but for paths: those would leave a file. */
static void check_single(struct thump_fd_rebuild *rb, uint32_t ofd_id,
			 const struct thump_unix_socket *sock, struct thump_problems *problems)
{
	const char *failed = "socket", *trouble;
	auto_close int fd = socket(AF_UNIX, sock->type | SOCK_CLOEXEC, 0);

	if (fd < 0 || thump_sock_apply_options(fd, &sock->options, &failed) < 0) {
		thump_misfit(rb, ofd_id, problems, "socket", "unix socket: %s: %s", failed,
			     strerror(errno));
		return;
	}
	thump_warn_about_buffer(rb, ofd_id, &sock->options, fd, problems);
	if (sock->state == THUMP_UNIX_PAIR)
		return;
	if (!thump_unix_is_path(&sock->name)) {
		if (bind_name(rb, sock, fd) < 0)
			thump_misfit(rb, ofd_id, problems, "unix-name", "unix socket %s: %s",
				     thump_unix_show(&sock->name).text, strerror(errno));
		return;
	}
	trouble = path_trouble(sock);
	if (trouble)
		thump_misfit(rb, ofd_id, problems, "unix-path", "unix socket %s: %s", sock->path,
			     trouble);
}

int thump_unix_check(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
		     struct thump_problems *problems, struct thump_err *err)
{
	struct thump_unix_socket *sock = object;

	if (sock->state == THUMP_UNIX_LAUNCHER) {
		thump_misfit(rb, ofd_id, problems, "unix-connection",
			     "unix socket to whoever started the program: cannot be kept");
		return 0;
	}
	if (sock->state == THUMP_UNIX_PAIR && check_pair(rb, ofd_id, sock, problems, err) < 0)
		return -1;
	check_single(rb, ofd_id, sock, problems);
	if (thump_unix_check_queue(rb, sock, err) < 0)
		return -1;
	return check_pending(rb, sock, err);
}

/* ---- rebuild ------------------------------------------------------------------------------ */

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

/* connect(2) to what is bound as `sock` is, without waiting for room. */
static int connect_to(const struct thump_unix_socket *sock, int fd)
{
	int flags = fcntl(fd, F_GETFL), status;
	struct sockaddr_un address;
	socklen_t len = thump_unix_address(&sock->name, &address);
	auto_close int file = -1;

	if (thump_unix_is_path(&sock->name)) {
		/* Relative paths, and such that are too long from here. */
		file = open(sock->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (file < 0)
			return -1;
		(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d",
			       file);
		len = sizeof(address);
	}
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -1;
	status = connect(fd, (const struct sockaddr *)&address, len);
	return fcntl(fd, F_SETFL, flags) < 0 ? -1 : status;
}

/*
 * The name is there for everybody from bind(2) on, so others may have come before us: ours is the
 * one through which a random word comes. The others see their connection end, as when a server is
 * restarted.
 */
static int accept_own(int listener, int client, int *fd_ret)
{
	unsigned char word[16], came[sizeof(word)];

	if (getrandom(word, sizeof(word), 0) != (ssize_t)sizeof(word) ||
	    send(client, word, sizeof(word), MSG_NOSIGNAL) != (ssize_t)sizeof(word))
		return -1;
	for (;;) {
		auto_close int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return -1;
		if (recv(fd, came, sizeof(came), MSG_DONTWAIT) == (ssize_t)sizeof(came) &&
		    memcmp(word, came, sizeof(word)) == 0) {
			*fd_ret = thump_take_fd(&fd);
			return 0;
		}
	}
}

/* A socket that listens as the one did from which `accepted` came. It serves for one connection; so
 * its file, while it is there, is for us alone. */
static int listen_for_one(struct thump_fd_rebuild *rb, const struct thump_unix_socket *accepted)
{
	auto_close int fd = socket(AF_UNIX, accepted->type | SOCK_CLOEXEC, 0);
	int status = -1;

	if (fd >= 0)
		status = thump_unix_is_path(&accepted->name) ? bind_path(rb, accepted, 0600, fd)
							     : bind_name(rb, accepted, fd);
	return status < 0 || listen(fd, 1) < 0 ? -1 : thump_take_fd(&fd);
}

/* The file of a socket that listened for one. One that listens for good makes its own. */
static int settle_path(struct thump_fd_rebuild *rb, const struct thump_unix_socket *accepted)
{
	if (!thump_unix_is_path(&accepted->name))
		return 0;
	if (accepted->mode == 0 || find_listener(rb, accepted) != THUMP_NO_ID)
		return unlink(accepted->path);
	return chmod(accepted->path, accepted->mode);
}

/* The socket that listens under this name, if it is in place and to be reached. */
static int listener_in_place(const struct thump_fd_rebuild *rb,
			     const struct thump_unix_socket *accepted)
{
	uint32_t id = find_listener(rb, accepted);
	const struct thump_unix_socket *listener;

	if (id == THUMP_NO_ID || rb->ofd_fds[id] < 0)
		return -1;
	listener = rb->objects[id];
	return thump_unix_is_path(&listener->name) && listener->mode == 0 ? -1 : rb->ofd_fds[id];
}

/* Both ends of an accepted connection: the way to give both their names. */
static int make_connection(struct thump_fd_rebuild *rb, const struct thump_unix_socket *client,
			   const struct thump_unix_socket *accepted, int *client_ret,
			   int *accepted_ret)
{
	auto_close int end = socket(AF_UNIX, client->type | SOCK_CLOEXEC, 0);
	auto_close int other = -1;
	auto_close int own = -1;
	int listener = listener_in_place(rb, accepted);

	if (end < 0 || bind_name(rb, client, end) < 0)
		return -1;
	if (listener < 0) {
		own = listen_for_one(rb, accepted);
		if (own < 0)
			return -1;
	}
	if (connect_to(accepted, end) < 0 ||
	    accept_own(own < 0 ? listener : own, end, &other) < 0 ||
	    (own >= 0 && settle_path(rb, accepted) < 0))
		return -1;
	*client_ret = thump_take_fd(&end);
	*accepted_ret = thump_take_fd(&other);
	return 0;
}

/* ends_ret[0] is that of `sock`. A datagram socket needs no connection to have a name. */
static int make_ends(struct thump_fd_rebuild *rb, const struct thump_unix_socket *sock,
		     int ends_ret[2], struct thump_err *err)
{
	const struct thump_unix_socket *other = find_peer(rb, sock);
	bool named = other && !sock->nameless && (sock->name.len || other->name.len);
	int status;

	if (named && sock->type != SOCK_DGRAM) {
		if (was_accepted(rb, sock, other))
			status = make_connection(rb, other, sock, &ends_ret[1], &ends_ret[0]);
		else
			status = make_connection(rb, sock, other, &ends_ret[0], &ends_ret[1]);
		if (status < 0)
			return thump_fail_errno(
				err, "connect to %s",
				thump_unix_show(sock->name.len ? &sock->name : &other->name).text);
		return 0;
	}
	if (socketpair(AF_UNIX, sock->type | SOCK_CLOEXEC, 0, ends_ret) < 0)
		return thump_fail_errno(err, "socketpair");
	if (named &&
	    (bind_name(rb, sock, ends_ret[0]) < 0 || bind_name(rb, other, ends_ret[1]) < 0))
		return thump_fail_errno(err, "bind an end of a pair");
	return 0;
}

static int rebuild_pair(struct thump_fd_rebuild *rb, struct thump_unix_socket *sock, int *fd_ret,
			struct thump_err *err)
{
	auto_close int fd = thump_stash_take(rb, thump_kind_unix_socket.kind_id, sock->id);
	auto_close int other = -1;
	const char *failed;
	int ends[2];

	if (fd < 0) {
		if (make_ends(rb, sock, ends, err) < 0)
			return -1;
		fd = ends[0];
		other = ends[1];
	}
	if (thump_sock_apply_options(fd, &sock->options, &failed) < 0)
		return thump_fail_errno(err, "%s", failed);
	if (sock->peer_id == 0) {
		if (other < 0)
			return thump_damaged(err, "unix socket: peer of a closed end");
		if (thump_move_away(rb, thump_take_fd(&other), &sock->closing_fd, err) < 0)
			return -1;
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
	struct thump_unix_socket *sock = object;

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

/* ---- connect ------------------------------------------------------------------------------ */

/* Now, as the name may be one of the process's own. Nobody there: the program finds out when it
 * sends, as after a restart of the other side. */
static void connect_to_name(const struct thump_unix_socket *sock, int fd)
{
	struct sockaddr_un address;
	socklen_t len = thump_unix_address(&sock->peer_name, &address);

	(void)connect(fd, (const struct sockaddr *)&address, len);
}

/* Those that waited to be accepted wait again, in their order. */
static int connect_pending(const struct thump_fd_rebuild *rb, const struct thump_unix_socket *sock,
			   struct thump_err *err)
{
	for (uint32_t i = 0; i < sock->nr_pending; i++) {
		uint32_t id = find_socket(rb, sock->pending[i]);
		const struct thump_unix_socket *waiting = rb->objects[id];

		if (rb->ofd_fds[id] < 0 || connect_to(sock, rb->ofd_fds[id]) < 0)
			return thump_fail_errno(err, "connect to %s",
						thump_unix_show(&sock->name).text);
		if (shut_down(rb->ofd_fds[id], waiting->shutdown, err) < 0)
			return -1;
	}
	return 0;
}

/* Each end's queue is sent by the other; only when both are full are they shut down. */
static int connect_pair(const struct thump_fd_rebuild *rb, uint32_t ofd_id,
			const struct thump_unix_socket *sock, int fd, struct thump_err *err)
{
	uint32_t peer = find_socket(rb, sock->peer_id);
	const struct thump_unix_socket *other;

	if (peer == THUMP_NO_ID || rb->ofd_fds[peer] < 0)
		return thump_damaged(err, "unix socket: its other end is not there");
	if (thump_unix_put_back(rb, sock, fd, rb->ofd_fds[peer], err) < 0)
		return -1;
	other = rb->objects[peer];
	if (peer > ofd_id)
		return 0;
	if (shut_down(fd, sock->shutdown, err) < 0)
		return -1;
	return shut_down(rb->ofd_fds[peer], other->shutdown, err);
}

/* Of a pair whose other end was closed: after it has sent what it had to. */
static int close_other_end(const struct thump_fd_rebuild *rb, struct thump_unix_socket *sock,
			   int fd, struct thump_err *err)
{
	int status = thump_unix_put_back(rb, sock, fd, sock->closing_fd, err);

	thump_close_fd(&sock->closing_fd);
	return status;
}

int thump_unix_connect(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int fd,
		       struct thump_err *err)
{
	struct thump_unix_socket *sock = object;

	switch ((enum thump_unix_state)sock->state) {
	case THUMP_UNIX_TO_NAME:
		connect_to_name(sock, fd);
		return thump_unix_put_back(rb, sock, fd, -1, err);
	case THUMP_UNIX_BOUND:
		return thump_unix_put_back(rb, sock, fd, -1, err);
	case THUMP_UNIX_LISTENING:
		return connect_pending(rb, sock, err);
	case THUMP_UNIX_PAIR:
		return sock->peer_id ? connect_pair(rb, ofd_id, sock, fd, err)
				     : close_other_end(rb, sock, fd, err);
	case THUMP_UNIX_FRESH:
	case THUMP_UNIX_LAUNCHER:
	case THUMP_UNIX_PENDING: /* by the one that listens */
		break;
	}
	return 0;
}
