/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP and UDP over IPv4 and IPv6, tcp(7), udp(7): sockets that listen, are bound, or are fresh, UDP
 * sockets with a peer, and TCP connections that are over (ended.h). A TCP connection is refused,
 * naming both addresses.
 *
 * Record: u8 family (4 or 6), u8 type, u32 protocol, u8 state, u32 backlog, ADDRESS, options
 * (sock.h); in state 3 (since version 2) what ended.h says; of UDP (since version 3) in state 4
 * ADDRESS of the peer, and what multicast.h and (since version 4) datagrams.h say. The address of a
 * connection that is over is for people to read.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "kinds/datagrams.h"
#include "kinds/ended.h"
#include "kinds/inet_address.h"
#include "kinds/multicast.h"
#include "kinds/registry.h"
#include "kinds/restore.h"
#include "kinds/sock.h"
#include "proc/text.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define FIRST_FREE_PORT 1024U /* below: CAP_NET_BIND_SERVICE, see ip_unprivileged_port_start */

enum inet_state {
	INET_FRESH = 0,
	INET_BOUND = 1,
	INET_LISTENING = 2,
	INET_ENDED = 3,
	INET_CONNECTED = 4, /* UDP: there is nothing more to it than an address */
};

struct inet {
	bool v6;
	int type, protocol;
	uint8_t state; /* enum inet_state */
	uint32_t backlog;
	union thump_inet_address local, peer;
	struct thump_sock_options options;
	struct thump_ended ended;
	struct thump_memberships memberships;
	struct thump_datagrams datagrams;
};

/* ---- capture ---------------------------------------------------------------------------- */

static bool is_tcp(int type, int protocol)
{
	return type == SOCK_STREAM && (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}

static bool inet_matches(const struct thump_fd_facts *facts)
{
	if (facts->sock_domain != AF_INET && facts->sock_domain != AF_INET6)
		return false;
	return is_tcp(facts->sock_type, facts->sock_protocol) ||
	       (facts->sock_type == SOCK_DGRAM && facts->sock_protocol == IPPROTO_UDP);
}

static const char *protocol_word(int type, int protocol)
{
	if (type == SOCK_DGRAM)
		return "UDP";
	return protocol == IPPROTO_MPTCP ? "MPTCP" : "TCP";
}

static const char *tcp_state_word(uint8_t state)
{
	static const char *const words[] = {
		[TCP_ESTABLISHED] = "established",
		[TCP_SYN_SENT] = "connecting",
		[TCP_SYN_RECV] = "connecting",
		[TCP_FIN_WAIT1] = "closing",
		[TCP_FIN_WAIT2] = "closing",
		[TCP_TIME_WAIT] = "closing",
		[TCP_CLOSE] = "closed",
		[TCP_CLOSE_WAIT] = "closed by the peer",
		[TCP_LAST_ACK] = "closing",
		[TCP_LISTEN] = "listening",
		[TCP_CLOSING] = "closing",
	};

	return state < THUMP_ARRAY_SIZE(words) && words[state] ? words[state] : "in use";
}

/* tcp(7): of a listening socket, tcpi_unacked counts the connections that wait to be accepted, and
 * tcpi_sacked is the backlog. */
static int tcp_facts(struct thump_access *access, struct tcp_info *info_ret, struct thump_err *err)
{
	uint32_t len = sizeof(*info_ret);
	long result;

	memset(info_ret, 0, sizeof(*info_ret));
	if (thump_access_getsockopt(access, IPPROTO_TCP, TCP_INFO, info_ret, &len, &result, err) <
	    0)
		return -1;
	if (result < 0) {
		errno = (int)-result;
		return thump_fail_errno(err, "getsockopt(TCP_INFO)");
	}
	return 0;
}

static void refuse_connected(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			     const union thump_inet_address *local,
			     const union thump_inet_address *peer, uint8_t state)
{
	thump_refuse_fd(
		cap, facts, "tcp-connection", "%s %s -> %s (%s): a connection cannot be saved",
		protocol_word(facts->sock_type, facts->sock_protocol), thump_inet_show(local).text,
		peer->any.sa_family ? thump_inet_show(peer).text : "?", tcp_state_word(state));
}

static void put_inet(struct thump_buf *record, const struct thump_fd_facts *facts, uint8_t state,
		     uint32_t backlog, const union thump_inet_address *local)
{
	thump_buf_put_u8(record, facts->sock_domain == AF_INET6 ? 6 : 4);
	thump_buf_put_u8(record, (uint8_t)facts->sock_type);
	thump_buf_put_u32(record, (uint32_t)facts->sock_protocol);
	thump_buf_put_u8(record, state);
	thump_buf_put_u32(record, backlog);
	thump_inet_put(record, local);
}

static bool is_bound(const union thump_inet_address *local)
{
	return thump_inet_port(local) || !thump_inet_is_any(local);
}

static int capture_tcp(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		       struct thump_ofd *ofd, struct thump_access *access,
		       const struct tcp_info *info, const union thump_inet_address *local,
		       struct thump_buf *record, struct thump_err *err)
{
	bool listening = info->tcpi_state == TCP_LISTEN;
	uint8_t state = listening ? INET_LISTENING : is_bound(local) ? INET_BOUND : INET_FRESH;
	static const char *const words[] = { "fresh", "bound", "listening" };

	if (listening && info->tcpi_unacked)
		thump_warn_fd(cap, facts, "tcp-pending",
			      "TCP %s: %u connections that wait to be accepted are not saved",
			      thump_inet_show(local).text, info->tcpi_unacked);
	put_inet(record, facts, state, listening ? info->tcpi_sacked : 0, local);
	if (thump_sock_capture_options(cap, facts, access, record, err) < 0)
		return -1;
	return thump_ofd_describe(cap, ofd, err, "%s %s %s",
				  protocol_word(facts->sock_type, facts->sock_protocol),
				  thump_inet_show(local).text, words[state]);
}

/* `peer`: NULL when it has none. */
static int capture_udp(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		       struct thump_ofd *ofd, struct thump_access *access,
		       const union thump_inet_address *local, const union thump_inet_address *peer,
		       struct thump_buf *record, struct thump_err *err)
{
	uint8_t state = peer ? INET_CONNECTED : is_bound(local) ? INET_BOUND : INET_FRESH;

	put_inet(record, facts, state, 0, local);
	if (thump_sock_capture_options(cap, facts, access, record, err) < 0)
		return -1;
	if (peer)
		thump_inet_put(record, peer);
	if (thump_multicast_capture(cap, facts, access, record, err) < 0 ||
	    thump_datagrams_capture(cap, facts, access, local, record, err) < 0)
		return -1;
	return thump_ofd_describe(cap, ofd, err, "UDP %s %s%s", thump_inet_show(local).text,
				  peer			? "-> "
				  : state == INET_BOUND ? "bound"
							: "fresh",
				  peer ? thump_inet_show(peer).text : "");
}

/*
 * Closed, or closed by the peer (CLOSE_WAIT), which after the restore is the same: whoever reads
 * gets what is left and the end of file, and nobody is there to write to. *ended_ret: it is one.
 * `round_trip`: tcpi_rtt, 0 when no segment of it was ever acknowledged.
 */
static int capture_ended(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			 struct thump_ofd *ofd, struct thump_access *access, uint32_t round_trip,
			 const union thump_inet_address *local, struct thump_buf *record,
			 bool *ended_ret, struct thump_err *err)
{
	bool closed, closed_by_peer, error;
	const char *why_not;

	if (thump_ended_look(access, &closed, &closed_by_peer, &error, err) < 0)
		return -1;
	*ended_ret = closed || closed_by_peer;
	if (!*ended_ret)
		return 0;
	put_inet(record, facts, INET_ENDED, 0, local);
	if (thump_sock_capture_options(cap, facts, access, record, err) < 0 ||
	    thump_ended_capture(access, facts->sock_protocol, error, round_trip > 0, record,
				&why_not, err) < 0)
		return -1;
	if (why_not)
		thump_refuse_fd(cap, facts, "tcp-ended",
				"%s %s, a connection that has ended: %s: cannot be saved",
				protocol_word(facts->sock_type, facts->sock_protocol),
				thump_inet_show(local).text, why_not);
	else if (closed_by_peer)
		thump_warn_fd(cap, facts, "tcp-ended",
			      "%s %s: the peer has closed this connection: when restored, nothing "
			      "can be sent through it any more",
			      protocol_word(facts->sock_type, facts->sock_protocol),
			      thump_inet_show(local).text);
	return thump_ofd_describe(cap, ofd, err, "%s %s ended",
				  protocol_word(facts->sock_type, facts->sock_protocol),
				  thump_inet_show(local).text);
}

/* A connection that is open, but is to be at its end in the restored program. */
static int capture_as_ended(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			    struct thump_ofd *ofd, struct thump_access *access,
			    const union thump_inet_address *local, struct thump_buf *record,
			    struct thump_err *err)
{
	put_inet(record, facts, INET_ENDED, 0, local);
	if (thump_sock_capture_options(cap, facts, access, record, err) < 0)
		return -1;
	thump_ended_put_quiet(record);
	return thump_ofd_describe(cap, ofd, err, "%s %s ended by the checkpoint",
				  protocol_word(facts->sock_type, facts->sock_protocol),
				  thump_inet_show(local).text);
}

/* Whether a rule, or --drain, ends this connection. */
static int is_to_end(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		     const union thump_inet_address *local, bool *answer_ret, struct thump_err *err)
{
	*answer_ret = cap->ending != THUMP_END_NOT;
	if (*answer_ret || facts->sock_type != SOCK_STREAM || !cap->rules ||
	    !cap->rules->end_accepted)
		return 0;
	return thump_listens_on(cap, thump_inet_port(local), answer_ret, err);
}

static int inet_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	auto_access struct thump_access access = THUMP_ACCESS_INIT;
	union thump_inet_address local = { .any = { 0 } }, peer = { .any = { 0 } };
	struct tcp_info info = { .tcpi_state = TCP_CLOSE };
	long local_result, peer_result;
	bool ended = false, connected, to_end = false;
	uint32_t len;

	if (thump_access_open(cap->target, cap->have_dup_fd, facts->fd, &access, err) < 0 ||
	    thump_sock_name(&access, SYS_getsockname, &local.room, &len, &local_result, err) < 0 ||
	    thump_sock_name(&access, SYS_getpeername, &peer.room, &len, &peer_result, err) < 0)
		return -1;
	local.any.sa_family = (sa_family_t)facts->sock_domain;
	if (facts->sock_type == SOCK_DGRAM)
		return capture_udp(cap, facts, ofd, &access, &local, peer_result < 0 ? NULL : &peer,
				   record, err);
	if (tcp_facts(&access, &info, err) < 0)
		return -1;
	if (info.tcpi_state != TCP_LISTEN &&
	    capture_ended(cap, facts, ofd, &access, info.tcpi_rtt, &local, record, &ended, err) < 0)
		return -1;
	if (ended)
		return 0;
	connected =
		peer_result == 0 || (info.tcpi_state != TCP_CLOSE && info.tcpi_state != TCP_LISTEN);
	if (connected && is_to_end(cap, facts, &local, &to_end, err) < 0)
		return -1;
	if (to_end || cap->ending == THUMP_END_SOCKET)
		return capture_as_ended(cap, facts, ofd, &access, &local, record, err);
	if (connected) {
		refuse_connected(cap, facts, &local, &peer, info.tcpi_state);
		return 0;
	}
	return capture_tcp(cap, facts, ofd, &access, &info, &local, record, err);
}

/* ---- restore ---------------------------------------------------------------------------- */

static bool is_in_range(uint8_t family, const struct inet *inet)
{
	bool udp = inet->type == SOCK_DGRAM && inet->protocol == IPPROTO_UDP;

	if ((family != 4 && family != 6) || inet->state > INET_CONNECTED ||
	    inet->backlog > INT32_MAX || !(udp || is_tcp(inet->type, inet->protocol)))
		return false;
	if (inet->state == INET_LISTENING || inet->state == INET_ENDED)
		return !udp;
	return inet->state != INET_CONNECTED || udp;
}

static int inet_decode(const struct thump_ofd *ofd, struct thump_arena *arena, void **object_ret,
		       struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);
	struct inet *inet = thump_arena_alloc(arena, 1, sizeof(*inet));
	uint8_t family;

	if (!inet)
		return thump_fail(err, "out of memory");
	family = thump_get_u8(&r);
	inet->v6 = family == 6;
	inet->type = thump_get_u8(&r);
	inet->protocol = (int)thump_get_u32(&r);
	inet->state = thump_get_u8(&r);
	inet->backlog = thump_get_u32(&r);
	thump_inet_decode(&r, inet->v6, &inet->local);
	thump_sock_decode_options(&r, arena, &inet->options);
	if (inet->state == INET_ENDED)
		thump_ended_decode(&r, &inet->ended);
	if (inet->state == INET_CONNECTED)
		thump_inet_decode(&r, inet->v6, &inet->peer);
	if (inet->type == SOCK_DGRAM && ofd->version >= 3)
		thump_multicast_decode(&r, arena, &inet->memberships);
	if (inet->type == SOCK_DGRAM && ofd->version >= 4)
		thump_datagrams_decode(&r, arena, inet->v6, &inet->datagrams);
	if (thump_reader_done(&r, "inet socket", err) < 0)
		return -1;
	if (!is_in_range(family, inet))
		return thump_damaged(err, "inet socket: a field is out of range");
	*object_ret = inet;
	return 0;
}

bool thump_inet_listens_on(const void *object, uint16_t port)
{
	const struct inet *inet = object;

	return inet->state == INET_LISTENING && thump_inet_port(&inet->local) == port;
}

/* With --port applied. */
static union thump_inet_address local_address(const struct thump_fd_rebuild *rb,
					      const struct inet *inet)
{
	union thump_inet_address local = inet->local;

	for (size_t i = 0; i < rb->nr_ports; i++) {
		if (!thump_inet_listens_on(inet, rb->ports[i].from))
			continue;
		thump_inet_set_port(&local, rb->ports[i].to);
		break;
	}
	return local;
}

/* Was this port chosen by the kernel, most likely? ip_local_port_range, ip(7) */
static bool is_ephemeral(uint16_t port)
{
	auto_free char *text = NULL;
	const char *at;
	uint64_t first, last;

	if (thump_slurp(AT_FDCWD, "/proc/sys/net/ipv4/ip_local_port_range", &text, NULL) < 0)
		return false;
	at = text;
	if (!thump_text_u64(&at, 10, &first))
		return false;
	thump_text_blanks(&at);
	return thump_text_u64(&at, 10, &last) && port >= first && port <= last;
}

/* A peer takes what comes from any address; most likely nobody chose this one, connect(2) did. */
static int bind_connected(int fd, const union thump_inet_address *local, socklen_t len)
{
	union thump_inet_address any = *local;

	if (bind(fd, &local->any, len) == 0)
		return 0;
	if (errno == EADDRNOTAVAIL) {
		if (any.any.sa_family == AF_INET6)
			any.v6.sin6_addr = in6addr_any;
		else
			any.v4.sin_addr.s_addr = INADDR_ANY;
		if (bind(fd, &any.any, len) == 0)
			return 0;
	}
	return errno == EADDRINUSE && is_ephemeral(thump_inet_port(local)) ? 0 : -1;
}

/* Up to bind(2) of TCP; of UDP there is no more. A later step may bind it. */
static int make_socket(const struct inet *inet, const union thump_inet_address *local,
		       bool bound_late, int *fd_ret, const char **failed_ret)
{
	auto_close int fd =
		socket(inet->v6 ? AF_INET6 : AF_INET, inet->type | SOCK_CLOEXEC, inet->protocol);
	socklen_t len = inet->v6 ? sizeof(local->v6) : sizeof(local->v4);
	bool connected = inet->state == INET_CONNECTED;

	*failed_ret = "socket";
	if (fd < 0 || thump_sock_apply_options(fd, &inet->options, failed_ret) < 0)
		return -1;
	*failed_ret = "bind";
	if (connected ? bind_connected(fd, local, len) < 0
		      : inet->state != INET_FRESH && !bound_late && bind(fd, &local->any, len) < 0)
		return -1;
	if (thump_multicast_join(fd, &inet->memberships, failed_ret) < 0)
		return -1;
	*failed_ret = "connect";
	if (connected && connect(fd, &inet->peer.any, len) < 0)
		return -1;
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

static void warn_about_new_port(struct thump_fd_rebuild *rb, uint32_t ofd_id,
				const struct inet *inet, int fd, struct thump_problems *problems)
{
	union thump_inet_address now = { .any = { 0 } };
	socklen_t len = sizeof(now);

	if (inet->state == INET_CONNECTED && getsockname(fd, &now.any, &len) == 0 &&
	    thump_inet_port(&now) != thump_inet_port(&inet->local))
		thump_misfit_warn(rb, ofd_id, problems, "port",
				  "UDP %s -> %s: its own port is taken: goes on with another",
				  thump_inet_show(&inet->local).text,
				  thump_inet_show(&inet->peer).text);
}

static void warn_about_datagrams(struct thump_fd_rebuild *rb, uint32_t ofd_id,
				 const struct inet *inet, int fd, struct thump_problems *problems)
{
	uint32_t lost = thump_datagrams_lost(rb, &inet->datagrams, fd);

	if (lost)
		thump_misfit_warn(rb, ofd_id, problems, "udp-queue",
				  "UDP %s: %u of %u datagrams that waited are lost: nothing can be "
				  "sent from their senders' addresses here",
				  thump_inet_show(&inet->local).text, lost, inet->datagrams.count);
}

/* Options that its user may not set here, or not any more, matter to nobody. */
static int make_ended(const struct inet *inet, int *fd_ret, struct thump_err *err)
{
	if (thump_ended_make(inet->v6, inet->protocol, &inet->ended, fd_ret, err) < 0)
		return -1;
	thump_sock_try_options(*fd_ret, &inet->options);
	return 0;
}

static const char *bind_advice(int bind_errno)
{
	switch (bind_errno) {
	case EADDRINUSE:
		return " (another program has this port, or, for a minute, connections of one that "
		       "did not set SO_REUSEADDR: end it, wait, or use --port)";
	case EADDRNOTAVAIL:
		return " (this machine does not have this address)";
	case EACCES:
		return " (ports below 1024 need CAP_NET_BIND_SERVICE)";
	default:
		return "";
	}
}

/* A trial bind. Where the child may end up in a user namespace in which it has no right to the
 * port, the bound socket is kept for it. */
static int inet_check(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
		      struct thump_problems *problems, struct thump_err *err)
{
	const struct inet *inet = object;
	union thump_inet_address local = local_address(rb, inet);
	const char *failed;
	auto_close int fd = -1;

	(void)err;
	if (inet->state == INET_ENDED) {
		struct thump_err why = THUMP_ERR_INIT;

		if (make_ended(inet, &fd, &why) < 0)
			thump_misfit(rb, ofd_id, problems, "socket", "%s", why.text);
		return 0;
	}
	if (make_socket(inet, &local, rb->bound_late, &fd, &failed) < 0) {
		int saved_errno = errno;

		thump_misfit(rb, ofd_id, problems, saved_errno == EADDRINUSE ? "port" : "socket",
			     "%s %s: %s: %s%s", protocol_word(inet->type, inet->protocol),
			     thump_inet_show(&local).text, failed, strerror(saved_errno),
			     bind_advice(saved_errno));
		return 0;
	}
	warn_about_new_port(rb, ofd_id, inet, fd, problems);
	thump_warn_about_buffer(rb, ofd_id, &inet->options, fd, problems);
	warn_about_datagrams(rb, ofd_id, inet, fd, problems);
	if (inet->state != INET_FRESH && !rb->bound_late && thump_inet_port(&local) &&
	    thump_inet_port(&local) < FIRST_FREE_PORT)
		rb->kept_fds[ofd_id] = thump_take_fd(&fd);
	return 0;
}

static int inet_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
			struct thump_err *err)
{
	const struct inet *inet = object;
	union thump_inet_address local = local_address(rb, inet);
	const char *failed = "";
	auto_close int fd = thump_take_fd(&rb->kept_fds[ofd_id]);

	if (inet->state == INET_ENDED)
		return make_ended(inet, fd_ret, err);
	if (fd < 0 && make_socket(inet, &local, rb->bound_late, &fd, &failed) < 0)
		return thump_fail_errno(err, "%s %s: %s", protocol_word(inet->type, inet->protocol),
					thump_inet_show(&local).text, failed);
	if (inet->state == INET_LISTENING && !rb->bound_late && listen(fd, (int)inet->backlog) < 0)
		return thump_fail_errno(err, "%s %s: listen",
					protocol_word(inet->type, inet->protocol),
					thump_inet_show(&local).text);
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

static int inet_connect(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int fd,
			struct thump_err *err)
{
	const struct inet *inet = object;

	(void)ofd_id;
	(void)err;
	thump_datagrams_send(rb, &inet->datagrams, fd);
	return 0;
}

/* What is sent to it, or comes from it, does so from the moment that it has its name. */
static bool inet_can_wait(const struct thump_fd_rebuild *rb, uint32_t ofd_id, const void *object)
{
	const struct inet *inet = object;

	(void)rb;
	(void)ofd_id;
	return inet->state != INET_CONNECTED && inet->memberships.count == 0 &&
	       inet->datagrams.count == 0;
}

bool thump_inet_late_bind(const struct thump_fd_rebuild *rb, const void *object,
			  struct thump_late_bind *bind_ret)
{
	const struct inet *inet = object;
	const union thump_inet_address local = local_address(rb, inet);

	if (inet->state != INET_BOUND && inet->state != INET_LISTENING)
		return false;
	*bind_ret = (struct thump_late_bind){
		.backlog = inet->state == INET_LISTENING ? (int)inet->backlog : -1,
		.len = inet->v6 ? sizeof(local.v6) : sizeof(local.v4),
	};
	memcpy(bind_ret->address, &local, bind_ret->len);
	return true;
}

static bool sends_from(const struct inet *inet, const union thump_inet_address *address)
{
	const union thump_inet_address local = thump_inet_unmapped(&inet->local);
	const union thump_inet_address wanted = thump_inet_unmapped(address);

	if (inet->type != SOCK_DGRAM || inet->state == INET_FRESH ||
	    thump_inet_port(&local) != thump_inet_port(&wanted))
		return false;
	/* One of IPv6 that takes any address has those of IPv4, too. */
	if (thump_inet_is_any(&local))
		return inet->v6 || wanted.any.sa_family == AF_INET;
	return memcmp(&local, &wanted, sizeof(local)) == 0;
}

uint32_t thump_inet_find_udp(const struct thump_fd_rebuild *rb,
			     const union thump_inet_address *address, bool *v6_ret)
{
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++) {
		const struct inet *inet = rb->objects[i];

		if (thump_ofd_kind(rb, i) != &thump_kind_inet_socket || !sends_from(inet, address))
			continue;
		*v6_ret = inet->v6;
		return i;
	}
	return THUMP_NO_ID;
}

static void inet_names(const void *object, struct thump_rule_names *names_ret)
{
	const struct inet *inet = object;
	const union thump_inet_address *const addresses[] = { &inet->local, &inet->peer };

	names_ret->family = inet->v6 ? AF_INET6 : AF_INET;
	names_ret->listening = inet->state == INET_LISTENING;
	for (int i = 0; i < 2; i++) {
		struct sockaddr_storage address = { 0 };

		memcpy(&address, addresses[i], sizeof(*addresses[i]));
		if (address.ss_family == names_ret->family)
			thump_rule_take_name(names_ret, i, &address, sizeof(*addresses[i]));
	}
}

const struct thump_kind thump_kind_inet_socket = {
	.name = "inet socket",
	.kind_id = 12,
	.version = 4,
	.can_wait = inet_can_wait,
	.matches = inet_matches,
	.capture = inet_capture,
	.decode = inet_decode,
	.check = inet_check,
	.rebuild = inet_rebuild,
	.connect = inet_connect,
	.names = inet_names,
};
