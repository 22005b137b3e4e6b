/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unix(7), the half that captures: both ends of a pair or a connection in the process (or the other
 * one closed), with what lies in them; listening, bound and fresh sockets; connections of the
 * process with itself that wait to be accepted; datagram sockets connected to a name (syslog). A
 * connection to another process is refused, unless it is stdin, stdout or stderr.
 *
 * Record: u8 state, u8 type, u8 launcher (0 to 2, or 255), u32 backlog, u8 shutdown, u64 id, u64 id
 * of the peer (0: closed), u32 mode of the file (0: it has none), blob name, str absolute path of
 * the name (empty: abstract or none), blob name of the peer, queue (unix_queue.c), options
 * (sock.h), and since version 2 list of u64: ids of the clients that wait to be accepted.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "base/fd.h"
#include "kinds/registry.h"
#include "kinds/unix_socket.h"
#include "trace/target.h"

#define NO_LAUNCHER	255U
#define DEFAULT_BACKLOG 4096U /* net.core.somaxconn cuts it down */

/* ---- capture ---------------------------------------------------------------------------- */

/* What the kernel tells about one socket. */
struct unix_facts {
	struct thump_unix_name name, peer_name;
	struct thump_unix_diag diag;
	bool listening, connected, hung_up;
	bool mutual;			       /* the peer is connected to this one, too */
	const struct thump_fd_facts *peer;     /* in the process */
	const struct thump_fd_facts *listener; /* in the process; waits to be accepted by it */
};

static bool unix_matches(const struct thump_fd_facts *facts)
{
	return facts->sock_domain == AF_UNIX &&
	       (facts->sock_type == SOCK_STREAM || facts->sock_type == SOCK_DGRAM ||
		facts->sock_type == SOCK_SEQPACKET);
}

void thump_unix_name_of(const void *address, size_t size_bytes, struct thump_unix_name *name_ret)
{
	const size_t path_at = offsetof(struct sockaddr_un, sun_path);
	const char *path = (const char *)address + path_at;

	memset(name_ret, 0, sizeof(*name_ret));
	if (size_bytes <= path_at || size_bytes - path_at > THUMP_UNIX_NAME_MAX_BYTES)
		return;
	name_ret->len = (uint32_t)(size_bytes - path_at);
	if (path[0])
		name_ret->len = (uint32_t)strnlen(path, name_ret->len);
	memcpy(name_ret->bytes, path, name_ret->len);
}

static int get_name(struct thump_access *access, long nr, struct thump_unix_name *name_ret,
		    bool *there_ret, struct thump_err *err)
{
	struct sockaddr_storage room;
	uint32_t len = 0;
	long result;

	if (thump_sock_name(access, nr, &room, &len, &result, err) < 0)
		return -1;
	*there_ret = result == 0;
	thump_unix_name_of(&room, result < 0 ? 0 : len, name_ret);
	return 0;
}

int thump_unix_is_own_name(struct thump_fd_capture *cap, const struct thump_unix_name *name,
			   bool *own_ret, struct thump_err *err)
{
	*own_ret = false;
	for (size_t i = 0; i < cap->nr_all && !*own_ret; i++) {
		const struct thump_fd_facts *facts = &cap->all[i];
		auto_access struct thump_access access = THUMP_ACCESS_INIT;
		struct thump_unix_name other;
		bool there;

		if (facts->sock_domain != AF_UNIX || facts->sock_type != SOCK_DGRAM)
			continue;
		if (thump_access_open(cap->target, cap->have_dup_fd, facts->fd, &access, err) < 0 ||
		    get_name(&access, SYS_getsockname, &other, &there, err) < 0)
			return -1;
		*own_ret = thump_unix_same_name(&other, name);
	}
	return 0;
}

static const struct thump_fd_facts *find_inode(const struct thump_fd_capture *cap, uint32_t ino)
{
	for (size_t i = 0; i < cap->nr_all; i++)
		if (cap->all[i].sock_domain == AF_UNIX && (uint32_t)cap->all[i].st.st_ino == ino)
			return &cap->all[i];
	return NULL;
}

/* Who listens at the other end of a connection that nobody has accepted yet? */
static const struct thump_fd_facts *find_listener(const struct thump_fd_capture *cap, uint32_t ino)
{
	uint32_t clients[THUMP_UNIX_PENDING_MAX];

	for (size_t i = 0; i < cap->nr_all; i++) {
		const struct thump_fd_facts *facts = &cap->all[i];
		size_t count;

		if (facts->sock_domain != AF_UNIX || facts->sock_type == SOCK_DGRAM)
			continue;
		count = thump_unix_pending(cap->target, facts->st.st_ino, clients,
					   THUMP_ARRAY_SIZE(clients));
		for (size_t k = 0; k < count; k++)
			if (clients[k] == ino)
				return facts;
	}
	return NULL;
}

static int find_other_end(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			  struct unix_facts *unix_, struct thump_err *err)
{
	struct thump_unix_diag of_peer;

	if (!unix_->diag.has_peer)
		return 0;
	/* Before it is accepted, the other end is no file, and has no inode. */
	if (unix_->diag.peer_ino == 0) {
		if (facts->sock_type != SOCK_DGRAM && !unix_->hung_up)
			unix_->listener = find_listener(cap, (uint32_t)facts->st.st_ino);
		return 0;
	}
	unix_->peer = find_inode(cap, unix_->diag.peer_ino);
	if (!unix_->peer)
		return 0;
	if (thump_unix_diag(cap->target, unix_->peer->st.st_ino, &of_peer, err) < 0)
		return -1;
	unix_->mutual = of_peer.has_peer && of_peer.peer_ino == (uint32_t)facts->st.st_ino;
	return 0;
}

static int look(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		struct thump_access *access, struct unix_facts *unix_ret, struct thump_err *err)
{
	int listening = 0;
	long result;
	bool bound;
	short revents;

	memset(unix_ret, 0, sizeof(*unix_ret));
	if (get_name(access, SYS_getsockname, &unix_ret->name, &bound, err) < 0 ||
	    get_name(access, SYS_getpeername, &unix_ret->peer_name, &unix_ret->connected, err) <
		    0 ||
	    thump_sock_get_int(access, SOL_SOCKET, SO_ACCEPTCONN, &listening, &result, err) < 0 ||
	    thump_access_poll(access, 0, &revents, err) < 0 ||
	    thump_unix_diag(cap->target, facts->st.st_ino, &unix_ret->diag, err) < 0)
		return -1;
	unix_ret->listening = listening != 0;
	unix_ret->hung_up = (revents & POLLHUP) != 0;
	return find_other_end(cap, facts, unix_ret, err);
}

struct thump_unix_shown thump_unix_show(const struct thump_unix_name *name)
{
	struct thump_unix_shown shown;

	if (name->len == 0)
		(void)snprintf(shown.text, sizeof(shown.text), "(no name)");
	else
		(void)snprintf(shown.text, sizeof(shown.text), "%s%.*s", name->bytes[0] ? "" : "@",
			       (int)(name->bytes[0] ? name->len : name->len - 1),
			       (const char *)name->bytes + (name->bytes[0] ? 0 : 1));
	return shown;
}

/* Absolute path of the name and mode of the file, if it is still this socket's. */
static int find_file(struct thump_fd_capture *cap, const struct unix_facts *facts, char *path,
		     size_t path_size, uint32_t *mode_ret, struct thump_err *err)
{
	char cwd[PATH_MAX] = "";
	struct stat st;

	path[0] = '\0';
	*mode_ret = 0;
	if (facts->name.len == 0 || facts->name.bytes[0] == '\0')
		return 0;
	if (facts->name.bytes[0] != '/') {
		ssize_t len = readlinkat(cap->target->proc_fd, "cwd", cwd, sizeof(cwd) - 2);

		if (len <= 0)
			return thump_fail_errno(err, "read the working directory");
		cwd[len] = '/';
		cwd[len + 1] = '\0';
	}
	(void)snprintf(path, path_size, "%s%.*s", cwd, (int)facts->name.len,
		       (const char *)facts->name.bytes);
	/* The kernel's dev_t has 20 bits for the minor number; 32 bits of the inode are told. */
	if (thump_target_stat(cap->target, path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    (!facts->diag.known || (uint32_t)st.st_ino == facts->diag.vfs_ino))
		*mode_ret = st.st_mode & 07777;
	return 0;
}

static enum thump_unix_state state_of(const struct thump_fd_facts *facts,
				      const struct unix_facts *unix_)
{
	bool peer_closed = unix_->connected &&
			   (unix_->diag.known ? unix_->diag.has_peer && unix_->diag.peer_ino == 0
					      : unix_->hung_up);

	if (unix_->listening)
		return THUMP_UNIX_LISTENING;
	if (!unix_->connected)
		return unix_->name.len ? THUMP_UNIX_BOUND : THUMP_UNIX_FRESH;
	if (unix_->listener)
		return THUMP_UNIX_PENDING;
	if (facts->sock_type == SOCK_DGRAM && unix_->peer_name.len && !unix_->mutual &&
	    facts->fd > 2)
		return THUMP_UNIX_TO_NAME;
	if (unix_->peer || peer_closed)
		return THUMP_UNIX_PAIR;
	return THUMP_UNIX_LAUNCHER;
}

/* What stands against saving it in this state; true when something was listed. */
static bool refuse_state(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			 const struct unix_facts *unix_, enum thump_unix_state state)
{
	if (state == THUMP_UNIX_LAUNCHER && facts->fd > 2) {
		if (!unix_->diag.known)
			thump_refuse_fd(
				cap, facts, "unix-connection",
				"unix socket connected to %s: its other end cannot be found "
				"(no sock_diag here), so it cannot be saved",
				thump_unix_show(&unix_->peer_name).text);
		else
			thump_refuse_fd(cap, facts, "unix-connection",
					"unix socket connected to %s (socket:[%u]) of another "
					"process: cannot be saved",
					thump_unix_show(&unix_->peer_name).text,
					unix_->diag.peer_ino);
		return true;
	}
	if (state == THUMP_UNIX_PAIR && !unix_->peer && (unix_->name.len || unix_->peer_name.len)) {
		thump_refuse_fd(
			cap, facts, "unix-connection",
			"unix socket connected to %s: its other end is nowhere to be found: "
			"cannot be saved",
			thump_unix_show(unix_->name.len ? &unix_->name : &unix_->peer_name).text);
		return true;
	}
	return false;
}

/* What a client has sent before it is accepted lies where nobody can look. */
static int refuse_sent(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		       struct thump_access *access, const struct unix_facts *unix_,
		       struct thump_err *err)
{
	int sent = 0;
	long result;

	if (thump_access_ioctl_int(access, SIOCOUTQ, &sent, &result, err) < 0)
		return -1;
	if (result < 0 || sent > 0)
		thump_refuse_fd(cap, facts, "unix-pending",
				"unix socket connected to %s: what it has sent cannot be read "
				"before fd %d accepts the connection: cannot be saved",
				thump_unix_show(&unix_->peer_name).text, unix_->listener->fd);
	return 0;
}

static int capture_queue(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			 struct thump_access *access, const struct unix_facts *unix_,
			 enum thump_unix_state state, uint32_t mode, struct thump_buf *record,
			 struct thump_err *err)
{
	short revents;

	if (state == THUMP_UNIX_PAIR)
		return thump_unix_capture_queue(cap, facts, unix_->peer, access, record, err);
	if (state == THUMP_UNIX_PENDING && refuse_sent(cap, facts, access, unix_, err) < 0)
		return -1;
	/* Without a peer, everybody may have sent, also without a name. */
	if ((state == THUMP_UNIX_BOUND || state == THUMP_UNIX_TO_NAME) &&
	    facts->sock_type == SOCK_DGRAM) {
		if (thump_access_poll(access, POLLIN, &revents, err) < 0)
			return -1;
		if ((revents & POLLIN) && mode == 0 && thump_unix_is_path(&unix_->name))
			thump_refuse_fd(cap, facts, "unix-socket",
					"unix socket %s: messages wait to be read, but its file is "
					"gone: cannot be saved",
					thump_unix_show(&unix_->name).text);
		return thump_unix_capture_queue(cap, facts, NULL, access, record, err);
	}
	thump_buf_put_u32(record, 0);
	return 0;
}

/* Connections that wait to be accepted: those whose clients are in the process. */
static int capture_pending(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			   struct thump_access *access, const struct unix_facts *unix_,
			   uint32_t mode, struct thump_buf *record, struct thump_err *err)
{
	uint32_t clients[THUMP_UNIX_PENDING_MAX], kept = 0;
	size_t count = 0;
	short revents = 0;

	if (unix_->listening && thump_access_poll(access, POLLIN, &revents, err) < 0)
		return -1;
	if (revents & POLLIN)
		count = thump_unix_pending(cap->target, facts->st.st_ino, clients,
					   THUMP_ARRAY_SIZE(clients));
	for (size_t i = 0; i < count; i++)
		if (find_inode(cap, clients[i]))
			clients[kept++] = clients[i];
	if ((revents & POLLIN) && (count == 0 || kept < count))
		thump_warn_fd(cap, facts, "unix-pending",
			      "unix socket %s: connections of other processes that wait to be "
			      "accepted are not saved",
			      thump_unix_show(&unix_->name).text);
	if (kept && thump_unix_is_path(&unix_->name) && mode == 0)
		thump_refuse_fd(cap, facts, "unix-pending",
				"unix socket %s: connections wait to be accepted, but its file is "
				"gone: cannot be saved",
				thump_unix_show(&unix_->name).text);
	thump_buf_put_u32(record, kept);
	for (uint32_t i = 0; i < kept; i++)
		thump_buf_put_u64(record, find_inode(cap, clients[i])->st.st_ino);
	return 0;
}

static int describe_pair(struct thump_fd_capture *cap, const struct unix_facts *unix_,
			 struct thump_ofd *ofd, struct thump_err *err)
{
	const struct thump_unix_name *name = unix_->name.len ? &unix_->name : &unix_->peer_name;

	if (!unix_->peer)
		return thump_ofd_describe(cap, ofd, err, "unix socketpair, other end closed");
	if (name->len == 0)
		return thump_ofd_describe(cap, ofd, err, "unix socketpair, other end fd %d",
					  unix_->peer->fd);
	return thump_ofd_describe(cap, ofd, err, "unix connection through %s, other end fd %d",
				  thump_unix_show(name).text, unix_->peer->fd);
}

static int describe(struct thump_fd_capture *cap, const struct unix_facts *unix_,
		    enum thump_unix_state state, struct thump_ofd *ofd, struct thump_err *err)
{
	switch (state) {
	case THUMP_UNIX_FRESH:
		return thump_ofd_describe(cap, ofd, err, "unix socket, fresh");
	case THUMP_UNIX_BOUND:
		return thump_ofd_describe(cap, ofd, err, "unix socket %s",
					  thump_unix_show(&unix_->name).text);
	case THUMP_UNIX_LISTENING:
		return thump_ofd_describe(cap, ofd, err, "unix socket %s listening",
					  thump_unix_show(&unix_->name).text);
	case THUMP_UNIX_PAIR:
		return describe_pair(cap, unix_, ofd, err);
	case THUMP_UNIX_TO_NAME:
		return thump_ofd_describe(cap, ofd, err, "unix socket to %s",
					  thump_unix_show(&unix_->peer_name).text);
	case THUMP_UNIX_PENDING:
		return thump_ofd_describe(
			cap, ofd, err, "unix socket to %s, waits to be accepted by fd %d",
			thump_unix_show(&unix_->peer_name).text, unix_->listener->fd);
	case THUMP_UNIX_LAUNCHER:
		break;
	}
	return thump_ofd_describe(cap, ofd, err, "unix socket of the launcher");
}

static uint8_t shutdown_of(const struct unix_facts *unix_, enum thump_unix_state state)
{
	/* Of a pair whose other end is gone the kernel sets both by itself. */
	if (state != THUMP_UNIX_PENDING && (state != THUMP_UNIX_PAIR || !unix_->peer))
		return 0;
	return unix_->diag.shutdown & (THUMP_UNIX_SHUT_READ | THUMP_UNIX_SHUT_WRITE);
}

static int put_record(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		      struct thump_access *access, const struct unix_facts *unix_,
		      enum thump_unix_state state, struct thump_buf *record, struct thump_err *err)
{
	char path[PATH_MAX + THUMP_UNIX_NAME_MAX_BYTES + 2];
	uint32_t mode, backlog = unix_->diag.known ? unix_->diag.backlog : DEFAULT_BACKLOG;
	const struct thump_fd_facts *peer = unix_->listener ? unix_->listener : unix_->peer;

	if (find_file(cap, unix_, path, sizeof(path), &mode, err) < 0)
		return -1;
	thump_buf_put_u8(record, (uint8_t)state);
	thump_buf_put_u8(record, (uint8_t)facts->sock_type);
	thump_buf_put_u8(record, state == THUMP_UNIX_LAUNCHER ? (uint8_t)facts->fd : NO_LAUNCHER);
	thump_buf_put_u32(record, state == THUMP_UNIX_LISTENING ? backlog : 0);
	thump_buf_put_u8(record, shutdown_of(unix_, state));
	thump_buf_put_u64(record, facts->st.st_ino);
	thump_buf_put_u64(record, peer ? peer->st.st_ino : 0);
	thump_buf_put_u32(record, mode);
	thump_buf_put_blob(record, unix_->name.bytes, unix_->name.len);
	thump_buf_put_str(record, path);
	thump_buf_put_blob(record, unix_->peer_name.bytes, unix_->peer_name.len);
	if (capture_queue(cap, facts, access, unix_, state, mode, record, err) < 0)
		return -1;
	if (thump_sock_capture_options(cap, facts, access, record, err) < 0)
		return -1;
	return capture_pending(cap, facts, access, unix_, mode, record, err);
}

static int unix_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	auto_access struct thump_access access = THUMP_ACCESS_INIT;
	struct unix_facts unix_;
	enum thump_unix_state state;

	if (thump_access_open(cap->target, cap->have_dup_fd, facts->fd, &access, err) < 0 ||
	    look(cap, facts, &access, &unix_, err) < 0)
		return -1;
	state = state_of(facts, &unix_);
	/* A connection that is over is like a pair of which one end was closed: the name is that of
	 * the socket that it was accepted from, and of use to nobody. */
	if (state == THUMP_UNIX_PAIR && !unix_.peer && unix_.hung_up)
		unix_.name.len = unix_.peer_name.len = 0;
	if (!refuse_state(cap, facts, &unix_, state) &&
	    put_record(cap, facts, &access, &unix_, state, record, err) < 0)
		return -1;
	return describe(cap, &unix_, state, ofd, err);
}

/* ---- restore ---------------------------------------------------------------------------- */

void thump_unix_decode_name(struct thump_reader *r, struct thump_unix_name *name)
{
	size_t len;
	const void *bytes = thump_get_blob(r, THUMP_UNIX_NAME_MAX_BYTES, &len);

	if (!bytes)
		return;
	/* A path has no NUL; one would cut it to another path. */
	if (len && ((const char *)bytes)[0] && memchr(bytes, '\0', len))
		r->failed = true;
	memcpy(name->bytes, bytes, len);
	name->len = (uint32_t)len;
}

static bool state_fits(const struct thump_unix_socket *sock)
{
	bool path = sock->name.len && sock->name.bytes[0];

	if (sock->type != SOCK_STREAM && sock->type != SOCK_DGRAM && sock->type != SOCK_SEQPACKET)
		return false;
	if (sock->mode > 07777 || sock->shutdown > 3 || sock->backlog > INT32_MAX)
		return false;
	if ((sock->state == THUMP_UNIX_LAUNCHER) != (sock->launcher <= 2) ||
	    (sock->launcher > 2 && sock->launcher != NO_LAUNCHER))
		return false;
	if (path != (sock->path[0] == '/') || (!path && sock->path[0]))
		return false;
	switch ((enum thump_unix_state)sock->state) {
	case THUMP_UNIX_FRESH:
	case THUMP_UNIX_LAUNCHER:
		return true;
	case THUMP_UNIX_BOUND:
		return sock->name.len > 0;
	case THUMP_UNIX_LISTENING:
		return sock->type != SOCK_DGRAM;
	case THUMP_UNIX_PAIR:
		return sock->id != sock->peer_id && (sock->peer_id || sock->name.len == 0);
	case THUMP_UNIX_PENDING:
		return sock->type != SOCK_DGRAM && sock->id != sock->peer_id;
	case THUMP_UNIX_TO_NAME:
		return sock->type == SOCK_DGRAM && sock->peer_name.len > 0;
	}
	return false;
}

static void decode_pending(struct thump_reader *r, struct thump_arena *arena,
			   struct thump_unix_socket *sock)
{
	uint32_t count = thump_get_u32(r);

	if (count > THUMP_UNIX_PENDING_MAX || (count && sock->state != THUMP_UNIX_LISTENING))
		r->failed = true;
	if (r->failed || count == 0)
		return;
	sock->pending = thump_arena_alloc(arena, count, sizeof(*sock->pending));
	if (!sock->pending) {
		r->failed = true;
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		sock->pending[i] = thump_get_u64(r);
	sock->nr_pending = count;
}

static int unix_decode(const struct thump_ofd *ofd, struct thump_arena *arena, void **object_ret,
		       struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);
	struct thump_unix_socket *sock = thump_arena_alloc(arena, 1, sizeof(*sock));

	if (!sock)
		return thump_fail(err, "out of memory");
	sock->state = thump_get_u8(&r);
	sock->type = thump_get_u8(&r);
	sock->launcher = thump_get_u8(&r);
	sock->backlog = thump_get_u32(&r);
	sock->shutdown = thump_get_u8(&r);
	sock->id = thump_get_u64(&r);
	sock->peer_id = thump_get_u64(&r);
	sock->mode = thump_get_u32(&r);
	thump_unix_decode_name(&r, &sock->name);
	sock->path = thump_get_str(&r, arena, PATH_MAX + THUMP_UNIX_NAME_MAX_BYTES);
	thump_unix_decode_name(&r, &sock->peer_name);
	thump_unix_decode_queue(&r, arena, ofd->version, &sock->queue);
	thump_sock_decode_options(&r, arena, &sock->options);
	if (ofd->version >= 2)
		decode_pending(&r, arena, sock);
	if (thump_reader_done(&r, "unix socket", err) < 0)
		return -1;
	if (!state_fits(sock))
		return thump_damaged(err, "unix socket: a field is out of range");
	*object_ret = sock;
	return 0;
}

static int unix_launcher_fd(const void *object)
{
	const struct thump_unix_socket *sock = object;

	return sock->state == THUMP_UNIX_LAUNCHER ? sock->launcher : -1;
}

static void unix_names(const void *object, struct thump_rule_names *names_ret)
{
	const struct thump_unix_socket *sock = object;
	const struct thump_unix_name *const names[] = { &sock->name, &sock->peer_name };

	names_ret->family = AF_UNIX;
	names_ret->listening = sock->state == THUMP_UNIX_LISTENING;
	for (int i = 0; i < 2; i++) {
		struct sockaddr_storage address = { 0 };
		struct sockaddr_un local;
		const socklen_t len = thump_unix_address(names[i], &local);

		memcpy(&address, &local, sizeof(local));
		thump_rule_take_name(names_ret, i, &address, len);
	}
}

/* Credentials that wait to be read are those of who sent them. */
static bool unix_stays(const void *object)
{
	const struct thump_unix_socket *sock = object;

	for (uint32_t i = 0; i < sock->queue.count; i++)
		if (sock->queue.list[i].has_credentials)
			return true;
	return false;
}

/* Without a name, or with all that knows its name in the process. */
static bool unix_can_wait(const struct thump_fd_rebuild *rb, uint32_t ofd_id, const void *object)
{
	const struct thump_unix_socket *sock = object;

	(void)rb;
	(void)ofd_id;
	return sock->name.len == 0 && sock->peer_name.len == 0 &&
	       (sock->state == THUMP_UNIX_FRESH || sock->state == THUMP_UNIX_PAIR);
}

const struct thump_kind thump_kind_unix_socket = {
	.name = "unix socket",
	.stays = unix_stays,
	.kind_id = 13,
	.version = 3,
	.can_wait = unix_can_wait,
	.matches = unix_matches,
	.capture = unix_capture,
	.decode = unix_decode,
	.check = thump_unix_check,
	.rebuild = thump_unix_rebuild,
	.connect = thump_unix_connect,
	.launcher_fd = unix_launcher_fd,
	.names = unix_names,
};
