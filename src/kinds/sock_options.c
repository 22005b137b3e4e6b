/* SPDX-License-Identifier: Apache-2.0 */
#include "kinds/sock.h"

#include <limits.h>
#include <linux/filter.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/net_tstamp.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/if.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/fd.h"

/* Newer than the headers that thump is built with. */
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef SO_TXREHASH
#define SO_TXREHASH 74
#endif
#ifndef SO_RCVMARK
#define SO_RCVMARK 75
#endif
#ifndef SO_RCVPRIORITY
#define SO_RCVPRIORITY 82
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif
#ifndef SO_INQ
#define SO_INQ 84
#endif
#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS	  44
#define TCP_RTO_MIN_US	  45
#define TCP_DELACK_MAX_US 46
#endif

#define LOCKED_SNDBUF	 1 /* SOCK_SNDBUF_LOCK */
#define LOCKED_RCVBUF	 2 /* SOCK_RCVBUF_LOCK */
#define NR_OPTIONS_LIMIT 256U

/* Which sockets have it. */
enum { ANY, ON_INET, ON_INET6, ON_TCP, ON_UDP, ON_UNIX };

struct option {
	const char *text;
	int level, name;
	uint8_t on;
	uint8_t size_bytes;
	bool refused; /* cannot be saved unless it is as in a fresh socket */
};

#define INT(on_, level_, name_)                                                                    \
	{                                                                                          \
		.text = #name_, .level = (level_), .name = (name_), .on = (on_),                   \
		.size_bytes = sizeof(int)                                                          \
	}
#define SIZED(on_, level_, name_, size_)                                                           \
	{                                                                                          \
		.text = #name_, .level = (level_), .name = (name_), .on = (on_),                   \
		.size_bytes = (size_)                                                              \
	}

#define REFUSED(on_, level_, name_)                                                                \
	{                                                                                          \
		.text = #name_, .level = (level_), .name = (name_), .on = (on_),                   \
		.size_bytes = THUMP_SOCK_OPTION_MAX_BYTES, .refused = true                         \
	}

/*
 * socket(7), ip(7), ipv6(7), tcp(7), udp(7), unix(7): all that getsockopt(2) tells of and that is
 * not derived by the kernel (SO_INCOMING_CPU, TCP_QUICKACK). Applied in this order: the older
 * timestamp options before the newer ones, which show in both.
 */
/* clang-format off: one per line */
static const struct option options[] = {
	INT(ANY, SOL_SOCKET, SO_REUSEADDR),
	INT(ON_INET, SOL_SOCKET, SO_REUSEPORT),
	INT(ANY, SOL_SOCKET, SO_KEEPALIVE),
	INT(ANY, SOL_SOCKET, SO_BROADCAST),
	INT(ANY, SOL_SOCKET, SO_OOBINLINE),
	INT(ANY, SOL_SOCKET, SO_DONTROUTE),
	INT(ANY, SOL_SOCKET, SO_PRIORITY),
	INT(ANY, SOL_SOCKET, SO_MARK),
	INT(ANY, SOL_SOCKET, SO_RCVLOWAT),
	INT(ANY, SOL_SOCKET, SO_RCVBUF),
	INT(ANY, SOL_SOCKET, SO_SNDBUF),
	INT(ANY, SOL_SOCKET, SO_TIMESTAMP),
	INT(ANY, SOL_SOCKET, SO_TIMESTAMPNS),
	INT(ANY, SOL_SOCKET, SO_NO_CHECK),
	INT(ANY, SOL_SOCKET, SO_BUSY_POLL),
	INT(ANY, SOL_SOCKET, SO_ZEROCOPY),
	INT(ANY, SOL_SOCKET, SO_RXQ_OVFL),
	INT(ANY, SOL_SOCKET, SO_DEBUG),
	INT(ANY, SOL_SOCKET, SO_LOCK_FILTER),
	INT(ANY, SOL_SOCKET, SO_NOFCS),
	INT(ANY, SOL_SOCKET, SO_WIFI_STATUS),
	INT(ANY, SOL_SOCKET, SO_PEEK_OFF),
	INT(ANY, SOL_SOCKET, SO_SELECT_ERR_QUEUE),
	INT(ANY, SOL_SOCKET, SO_PREFER_BUSY_POLL),
	INT(ANY, SOL_SOCKET, SO_BUSY_POLL_BUDGET),
	INT(ANY, SOL_SOCKET, SO_RESERVE_MEM),
	INT(ANY, SOL_SOCKET, SO_TXREHASH),
	INT(ANY, SOL_SOCKET, SO_RCVMARK),
	INT(ANY, SOL_SOCKET, SO_RCVPRIORITY),
	SIZED(ANY, SOL_SOCKET, SO_TIMESTAMPING, 8), /* struct so_timestamping */
	INT(ANY, SOL_SOCKET, SO_TIMESTAMP_NEW),
	INT(ANY, SOL_SOCKET, SO_TIMESTAMPNS_NEW),
	SIZED(ANY, SOL_SOCKET, SO_TIMESTAMPING_NEW, 8),
	SIZED(ON_INET, SOL_SOCKET, SO_TXTIME, sizeof(struct sock_txtime)),
	SIZED(ON_INET, SOL_SOCKET, SO_MAX_PACING_RATE, 8),
	SIZED(ANY, SOL_SOCKET, SO_LINGER, sizeof(struct linger)),
	SIZED(ANY, SOL_SOCKET, SO_RCVTIMEO, sizeof(struct timeval)),
	SIZED(ANY, SOL_SOCKET, SO_SNDTIMEO, sizeof(struct timeval)),
	SIZED(ON_INET, SOL_SOCKET, SO_BINDTODEVICE, IFNAMSIZ),
	INT(ON_UNIX, SOL_SOCKET, SO_PASSCRED),
	INT(ON_UNIX, SOL_SOCKET, SO_PASSSEC),
	INT(ON_UNIX, SOL_SOCKET, SO_PASSPIDFD),
	INT(ON_UNIX, SOL_SOCKET, SO_PASSRIGHTS),
	INT(ON_UNIX, SOL_SOCKET, SO_INQ),
	INT(ON_INET, IPPROTO_IP, IP_TOS),
	INT(ON_INET, IPPROTO_IP, IP_TTL),
	INT(ON_INET, IPPROTO_IP, IP_MTU_DISCOVER),
	INT(ON_INET, IPPROTO_IP, IP_RECVERR),
	INT(ON_INET, IPPROTO_IP, IP_PKTINFO),
	INT(ON_INET, IPPROTO_IP, IP_RECVTTL),
	INT(ON_INET, IPPROTO_IP, IP_RECVTOS),
	INT(ON_INET, IPPROTO_IP, IP_RECVORIGDSTADDR),
	INT(ON_INET, IPPROTO_IP, IP_FREEBIND),
	INT(ON_INET, IPPROTO_IP, IP_TRANSPARENT),
	INT(ON_INET, IPPROTO_IP, IP_MINTTL),
	INT(ON_INET, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
	INT(ON_UDP, IPPROTO_IP, IP_MULTICAST_TTL), /* EINVAL on streams */
	INT(ON_INET, IPPROTO_IP, IP_MULTICAST_LOOP),
	INT(ON_INET, IPPROTO_IP, IP_MULTICAST_ALL),
	INT(ON_INET, IPPROTO_IP, IP_LOCAL_PORT_RANGE),
	INT(ON_INET, IPPROTO_IP, IP_MULTICAST_IF), /* an address; an index is not told */
	INT(ON_INET, IPPROTO_IP, IP_UNICAST_IF),
	INT(ON_INET, IPPROTO_IP, IP_RECVOPTS),
	INT(ON_INET, IPPROTO_IP, IP_RETOPTS),
	INT(ON_INET, IPPROTO_IP, IP_PASSSEC),
	INT(ON_INET, IPPROTO_IP, IP_CHECKSUM),
	INT(ON_INET, IPPROTO_IP, IP_RECVFRAGSIZE),
	INT(ON_INET, IPPROTO_IP, IP_RECVERR_RFC4884),
	REFUSED(ON_INET, IPPROTO_IP, IP_OPTIONS),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_V6ONLY),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_TCLASS),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_UNICAST_HOPS),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_MTU_DISCOVER),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_RECVERR),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_RECVPKTINFO),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_RECVHOPLIMIT),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_RECVTCLASS),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_DONTFRAG),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_TRANSPARENT),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_FREEBIND),
	INT(ON_UDP, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), /* ENOPROTOOPT on streams */
	INT(ON_INET6, IPPROTO_IPV6, IPV6_MULTICAST_LOOP),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_MULTICAST_IF),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_MULTICAST_ALL),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_UNICAST_IF),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_FLOWINFO),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_FLOWINFO_SEND),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_AUTOFLOWLABEL),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_ADDR_PREFERENCES),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_MINHOPCOUNT),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_RECVHOPOPTS),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_RECVRTHDR),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_RECVDSTOPTS),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_RECVPATHMTU),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_RECVFRAGSIZE),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_RECVERR_RFC4884),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_2292PKTINFO),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_2292HOPOPTS),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_2292DSTOPTS),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_2292RTHDR),
	INT(ON_INET6, IPPROTO_IPV6, IPV6_2292HOPLIMIT),
	REFUSED(ON_INET6, IPPROTO_IPV6, IPV6_HOPOPTS),
	REFUSED(ON_INET6, IPPROTO_IPV6, IPV6_RTHDRDSTOPTS),
	REFUSED(ON_INET6, IPPROTO_IPV6, IPV6_RTHDR),
	REFUSED(ON_INET6, IPPROTO_IPV6, IPV6_DSTOPTS),
	INT(ON_TCP, IPPROTO_TCP, TCP_NODELAY),
	INT(ON_TCP, IPPROTO_TCP, TCP_CORK),
	INT(ON_TCP, IPPROTO_TCP, TCP_MAXSEG),
	INT(ON_TCP, IPPROTO_TCP, TCP_KEEPIDLE),
	INT(ON_TCP, IPPROTO_TCP, TCP_KEEPINTVL),
	INT(ON_TCP, IPPROTO_TCP, TCP_KEEPCNT),
	INT(ON_TCP, IPPROTO_TCP, TCP_SYNCNT),
	INT(ON_TCP, IPPROTO_TCP, TCP_LINGER2),
	INT(ON_TCP, IPPROTO_TCP, TCP_DEFER_ACCEPT),
	INT(ON_TCP, IPPROTO_TCP, TCP_WINDOW_CLAMP),
	INT(ON_TCP, IPPROTO_TCP, TCP_USER_TIMEOUT),
	INT(ON_TCP, IPPROTO_TCP, TCP_FASTOPEN),
	INT(ON_TCP, IPPROTO_TCP, TCP_FASTOPEN_CONNECT),
	INT(ON_TCP, IPPROTO_TCP, TCP_NOTSENT_LOWAT),
	INT(ON_TCP, IPPROTO_TCP, TCP_SAVE_SYN),
	INT(ON_TCP, IPPROTO_TCP, TCP_INQ),
	INT(ON_TCP, IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS),
	INT(ON_TCP, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE),
	INT(ON_TCP, IPPROTO_TCP, TCP_TX_DELAY),
	INT(ON_TCP, IPPROTO_TCP, TCP_RTO_MAX_MS),
	INT(ON_TCP, IPPROTO_TCP, TCP_RTO_MIN_US),
	INT(ON_TCP, IPPROTO_TCP, TCP_DELACK_MAX_US),
	REFUSED(ON_TCP, IPPROTO_TCP, TCP_ULP),
	REFUSED(ON_TCP, IPPROTO_TCP, TCP_REPAIR),
	SIZED(ON_TCP, IPPROTO_TCP, TCP_CONGESTION, 16), /* TCP_CA_NAME_MAX */
	INT(ON_UDP, IPPROTO_UDP, UDP_CORK),
	INT(ON_UDP, IPPROTO_UDP, UDP_SEGMENT),
	INT(ON_UDP, IPPROTO_UDP, UDP_GRO),
	INT(ON_UDP, IPPROTO_UDP, UDP_NO_CHECK6_TX),
	INT(ON_UDP, IPPROTO_UDP, UDP_NO_CHECK6_RX),
	REFUSED(ON_UDP, IPPROTO_UDP, UDP_ENCAP),
};
/* clang-format on */

static bool applies(const struct option *option, const struct thump_fd_facts *facts)
{
	bool inet = facts->sock_domain == AF_INET || facts->sock_domain == AF_INET6;

	switch (option->on) {
	case ON_INET:
		return inet;
	case ON_INET6:
		return facts->sock_domain == AF_INET6;
	case ON_TCP:
		return inet && facts->sock_type == SOCK_STREAM;
	case ON_UDP:
		return inet && facts->sock_type == SOCK_DGRAM;
	case ON_UNIX:
		return facts->sock_domain == AF_UNIX;
	default:
		return true;
	}
}

int thump_sock_set_int(struct thump_access *access, int name, int value, struct thump_err *err)
{
	uint64_t args[6] = { (uint64_t)access->fd, SOL_SOCKET, (uint64_t)name, access->addr,
			     sizeof(value) };
	long result;

	memcpy(access->bytes, &value, sizeof(value));
	if (thump_access_call(access, SYS_setsockopt, args, sizeof(value), &result, err) < 0)
		return -1;
	if (result < 0) {
		errno = (int)-result;
		return thump_fail_errno(err, "setsockopt %d", name);
	}
	return 0;
}

int thump_sock_get_int(struct thump_access *access, int level, int name, int *value_ret,
		       long *result_ret, struct thump_err *err)
{
	uint32_t len = sizeof(*value_ret);

	return thump_access_getsockopt(access, level, name, value_ret, &len, result_ret, err);
}

int thump_sock_name(struct thump_access *access, long nr, struct sockaddr_storage *name_ret,
		    uint32_t *len_ret, long *result_ret, struct thump_err *err)
{
	const size_t name_at = 16;
	uint32_t len = sizeof(*name_ret);
	uint64_t args[6] = { (uint64_t)access->fd, access->addr + name_at, access->addr };

	memset(access->bytes, 0, name_at + len);
	memcpy(access->bytes, &len, sizeof(len));
	if (thump_access_call(access, nr, args, name_at + len, result_ret, err) < 0)
		return -1;
	if (*result_ret < 0)
		return 0;
	memcpy(len_ret, access->bytes, sizeof(*len_ret));
	if (*len_ret > len)
		*len_ret = len;
	memset(name_ret, 0, sizeof(*name_ret));
	memcpy(name_ret, access->bytes + name_at, *len_ret);
	return 0;
}

static void put_option(struct thump_buf *list, const struct option *option, const void *value,
		       uint32_t size_bytes)
{
	thump_buf_put_u32(list, (uint32_t)option->level);
	thump_buf_put_u32(list, (uint32_t)option->name);
	thump_buf_put_blob(list, value, size_bytes);
}

static bool is_buffer(int level, int name)
{
	return level == SOL_SOCKET && (name == SO_RCVBUF || name == SO_SNDBUF);
}

/* getsockopt yields twice what setsockopt takes (socket(7)). A size that nobody set grows by itself
 * and is not saved; before Linux 5.14 the kernel does not tell, then one that differs is. */
static bool buffer_was_set(const struct option *option, int locked, bool lock_known)
{
	int bit = option->name == SO_RCVBUF ? LOCKED_RCVBUF : LOCKED_SNDBUF;

	return !lock_known || (locked & bit);
}

/*
 * A value that no socket takes was set by nobody: the kernel derived it, as TCP_MAXSEG of a
 * connection that has ended. Another socket is asked: `fresh` must stay as it is.
 */
static bool is_derived(int fresh, const struct option *option, const void *value)
{
	int domain = 0, type = 0, protocol = 0;
	socklen_t len = sizeof(int);
	auto_close int other = -1;

	if (getsockopt(fresh, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
	    getsockopt(fresh, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockopt(fresh, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) < 0)
		return false;
	other = socket(domain, type | SOCK_CLOEXEC, protocol);
	return other >= 0 &&
	       setsockopt(other, option->level, option->name, value, option->size_bytes) < 0 &&
	       (errno == EINVAL || errno == ENOPROTOOPT);
}

struct option_list {
	struct thump_buf encoded;
	uint32_t count;
	int fresh;  /* a socket of ours, to compare with */
	int locked; /* SO_BUF_LOCK */
	bool lock_known;
	const char *refused; /* an option that cannot be saved, or NULL */
};

static int capture_option(struct thump_access *access, const struct option *option,
			  struct option_list *list, struct thump_err *err)
{
	unsigned char value[THUMP_SOCK_OPTION_MAX_BYTES], usual[THUMP_SOCK_OPTION_MAX_BYTES];
	uint32_t len = option->size_bytes;
	socklen_t usual_len = option->size_bytes;
	long result;

	memset(value, 0, sizeof(value));
	memset(usual, 0, sizeof(usual));
	if (thump_access_getsockopt(access, option->level, option->name, value, &len, &result,
				    err) < 0)
		return -1;
	if (result < 0) /* not known to this kernel, or not for this socket */
		return 0;
	if (getsockopt(list->fresh, option->level, option->name, usual, &usual_len) == 0 &&
	    memcmp(value, usual, sizeof(value)) == 0)
		return 0;
	if (option->refused) {
		list->refused = option->text;
		return 0;
	}
	if (is_buffer(option->level, option->name)) {
		int size;

		if (!buffer_was_set(option, list->locked, list->lock_known))
			return 0;
		memcpy(&size, value, sizeof(size));
		size /= 2;
		memcpy(value, &size, sizeof(size));
	}
	if (is_derived(list->fresh, option, value))
		return 0;
	/* A string may come shorter than its room; its full room is what is recorded. */
	put_option(&list->encoded, option, value, option->size_bytes);
	list->count++;
	return 0;
}

/* getsockopt(SO_GET_FILTER) without room yields the number of instructions; EACCES: eBPF. */
static int refuse_filter(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			 struct thump_access *access, struct thump_err *err)
{
	const size_t len_bytes = sizeof(uint32_t);
	uint64_t args[6] = { (uint64_t)access->fd, SOL_SOCKET, SO_GET_FILTER, 0, access->addr };
	uint32_t count = 0;
	long result;

	memset(access->bytes, 0, len_bytes);
	if (thump_access_call(access, SYS_getsockopt, args, len_bytes, &result, err) < 0)
		return -1;
	memcpy(&count, access->bytes, len_bytes);
	if ((result == 0 && count > 0) || result == -EACCES)
		thump_refuse_fd(cap, facts, "socket-filter",
				"socket with a filter (SO_ATTACH_FILTER): cannot be saved");
	return 0;
}

static int capture_list(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			struct thump_access *access, struct option_list *list,
			struct thump_err *err)
{
	long lock_result;

	if (thump_sock_get_int(access, SOL_SOCKET, SO_BUF_LOCK, &list->locked, &lock_result, err) <
	    0)
		return -1;
	list->lock_known = lock_result == 0;
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(options); i++) {
		list->refused = NULL;
		if (applies(&options[i], facts) &&
		    capture_option(access, &options[i], list, err) < 0)
			return -1;
		if (list->refused)
			thump_refuse_fd(cap, facts, "socket-option",
					"socket with the option %s: cannot be saved",
					list->refused);
	}
	return 0;
}

int thump_sock_capture_options(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			       struct thump_access *access, struct thump_buf *record,
			       struct thump_err *err)
{
	auto_close int fresh =
		socket(facts->sock_domain, facts->sock_type | SOCK_CLOEXEC, facts->sock_protocol);
	struct option_list list = { .fresh = fresh };
	int status;

	if (fresh < 0)
		return thump_fail_errno(err, "socket(%d, %d, %d)", facts->sock_domain,
					facts->sock_type, facts->sock_protocol);
	if (refuse_filter(cap, facts, access, err) < 0)
		return -1;
	status = capture_list(cap, facts, access, &list, err);
	thump_buf_put_u32(record, list.count);
	thump_buf_put(record, list.encoded.bytes, list.encoded.size_bytes);
	record->failed |= list.encoded.failed;
	thump_buf_deinit(&list.encoded);
	return status;
}

static const struct option *find_option(int32_t level, int32_t name)
{
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(options); i++)
		if (options[i].level == level && options[i].name == name)
			return &options[i];
	return NULL;
}

void thump_sock_decode_options(struct thump_reader *r, struct thump_arena *arena,
			       struct thump_sock_options *options_ret)
{
	uint32_t count = thump_get_u32(r);
	struct thump_sock_options list = { 0 };

	if (count > NR_OPTIONS_LIMIT)
		r->failed = true;
	for (uint32_t i = 0; i < count && !r->failed; i++) {
		struct thump_sock_option option = { .level = (int32_t)thump_get_u32(r),
						    .name = (int32_t)thump_get_u32(r) };
		const struct option *known = find_option(option.level, option.name);
		size_t size_bytes;
		const void *value = thump_get_blob(r, THUMP_SOCK_OPTION_MAX_BYTES, &size_bytes);

		list.list = thump_arena_grow(arena, list.list, i, sizeof(option));
		if (!value || !known || known->refused || known->size_bytes != size_bytes ||
		    !list.list) {
			r->failed = true;
			return;
		}
		option.size_bytes = (uint32_t)size_bytes;
		memcpy(option.value, value, size_bytes);
		list.list[i] = option;
		list.count = i + 1;
	}
	*options_ret = list;
}

/* The limits of the system do not hold for CAP_NET_ADMIN, socket(7). */
static int apply_option(int fd, const struct thump_sock_option *option)
{
	int force = option->name == SO_RCVBUF ? SO_RCVBUFFORCE : SO_SNDBUFFORCE;

	if (is_buffer(option->level, option->name) &&
	    setsockopt(fd, option->level, force, option->value, option->size_bytes) == 0)
		return 0;
	return setsockopt(fd, option->level, option->name, option->value, option->size_bytes);
}

const char *thump_sock_cut_buffer(int fd, const struct thump_sock_options *list, int *wanted_ret,
				  int *have_ret)
{
	for (uint32_t i = 0; i < list->count; i++) {
		const struct thump_sock_option *option = &list->list[i];
		int half, have;
		socklen_t len = sizeof(have);

		if (!is_buffer(option->level, option->name) ||
		    getsockopt(fd, SOL_SOCKET, option->name, &have, &len) < 0)
			continue;
		memcpy(&half, option->value, sizeof(half));
		if (half <= have / 2)
			continue;
		*wanted_ret = half > INT_MAX / 2 ? INT_MAX : 2 * half;
		*have_ret = have;
		return find_option(option->level, option->name)->text;
	}
	return NULL;
}

int thump_sock_apply_options(int fd, const struct thump_sock_options *list, const char **failed_ret)
{
	for (uint32_t i = 0; i < list->count; i++) {
		const struct thump_sock_option *option = &list->list[i];

		if (apply_option(fd, option) < 0) {
			*failed_ret = find_option(option->level, option->name)->text;
			return -1;
		}
	}
	return 0;
}

void thump_sock_try_options(int fd, const struct thump_sock_options *list)
{
	for (uint32_t i = 0; i < list->count; i++)
		(void)apply_option(fd, &list->list[i]);
}
