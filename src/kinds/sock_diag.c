/* SPDX-License-Identifier: Apache-2.0 */
/* sock_diag(7) for AF_UNIX: the other end, the backlog and who waits there, what was shut down. */
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>

#include "base/fd.h"
#include "kinds/sock.h"
#include "trace/target.h"

/* A netlink socket of ours sees the network namespace that we are in. */
static bool same_network(const struct thump_target *target)
{
	struct stat ours, theirs;

	return stat("/proc/self/ns/net", &ours) == 0 &&
	       fstatat(target->proc_fd, "ns/net", &theirs, 0) == 0 &&
	       ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

static int ask(uint64_t ino, uint32_t show, unsigned char *reply, size_t room, ssize_t *got_ret)
{
	auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	struct {
		struct nlmsghdr header;
		struct unix_diag_req request;
	} message = {
		.header = {
			.nlmsg_len = sizeof(message),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST,
		},
		.request = {
			.sdiag_family = AF_UNIX,
			.udiag_states = UINT32_MAX,
			.udiag_ino = (uint32_t)ino,
			.udiag_show = show,
			.udiag_cookie = { UINT32_MAX, UINT32_MAX }, /* INET_DIAG_NOCOOKIE */
		},
	};

	if (fd < 0 || send(fd, &message, sizeof(message), 0) != (ssize_t)sizeof(message))
		return -1;
	do {
		*got_ret = recv(fd, reply, room, 0);
	} while (*got_ret < 0 && errno == EINTR);
	return *got_ret < 0 ? -1 : 0;
}

/* The attributes that follow the fixed part of an answer; none when it is not one. */
struct attributes {
	const unsigned char *at;
	size_t size_bytes;
};

static struct attributes parse_reply(const unsigned char *reply, size_t size,
				     struct unix_diag_msg *message_ret)
{
	const size_t fixed = NLMSG_LENGTH(sizeof(*message_ret));
	struct nlmsghdr header;

	memset(message_ret, 0, sizeof(*message_ret));
	if (size < fixed)
		return (struct attributes){ 0 };
	memcpy(&header, reply, sizeof(header));
	if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY || header.nlmsg_len < fixed ||
	    header.nlmsg_len > size)
		return (struct attributes){ 0 };
	memcpy(message_ret, reply + NLMSG_HDRLEN, sizeof(*message_ret));
	return (struct attributes){ .at = reply + NLMSG_ALIGN(fixed),
				    .size_bytes = header.nlmsg_len - NLMSG_ALIGN(fixed) };
}

static const struct rtattr *next_attribute(struct attributes *rest)
{
	const struct rtattr *attribute = (const void *)rest->at;
	size_t used;

	if (rest->size_bytes < sizeof(*attribute) || attribute->rta_len < sizeof(*attribute) ||
	    attribute->rta_len > rest->size_bytes)
		return NULL;
	used = RTA_ALIGN(attribute->rta_len);
	if (used > rest->size_bytes)
		used = rest->size_bytes;
	rest->at += used;
	rest->size_bytes -= used;
	return attribute;
}

static void take_attribute(const struct rtattr *attribute, struct thump_unix_diag *diag)
{
	const void *data = RTA_DATA(attribute);
	size_t size = RTA_PAYLOAD(attribute);

	if (attribute->rta_type == UNIX_DIAG_PEER && size >= sizeof(uint32_t)) {
		diag->has_peer = true;
		memcpy(&diag->peer_ino, data, sizeof(uint32_t));
	} else if (attribute->rta_type == UNIX_DIAG_RQLEN &&
		   size >= sizeof(struct unix_diag_rqlen)) {
		struct unix_diag_rqlen lengths;

		memcpy(&lengths, data, sizeof(lengths));
		diag->queued = lengths.udiag_rqueue;
		diag->backlog = lengths.udiag_wqueue;
	} else if (attribute->rta_type == UNIX_DIAG_VFS && size >= sizeof(struct unix_diag_vfs)) {
		struct unix_diag_vfs vfs;

		memcpy(&vfs, data, sizeof(vfs));
		diag->vfs_ino = vfs.udiag_vfs_ino;
		diag->vfs_dev = vfs.udiag_vfs_dev;
	} else if (attribute->rta_type == UNIX_DIAG_SHUTDOWN && size >= 1) {
		memcpy(&diag->shutdown, data, 1);
	}
}

static void take_reply(const unsigned char *reply, size_t size, struct thump_unix_diag *diag)
{
	struct unix_diag_msg message;
	struct attributes rest = parse_reply(reply, size, &message);
	const struct rtattr *attribute;

	if (!rest.at)
		return;
	diag->known = true;
	diag->state = message.udiag_state;
	while ((attribute = next_attribute(&rest)))
		take_attribute(attribute, diag);
}

int thump_unix_diag(const struct thump_target *target, uint64_t ino,
		    struct thump_unix_diag *diag_ret, struct thump_err *err)
{
	_Alignas(8) unsigned char reply[4096];
	struct thump_unix_diag diag = { 0 };
	ssize_t got;

	(void)err;
	/* Not there (CONFIG_UNIX_DIAG, seccomp): the kinds do with less. */
	if (same_network(target) && ask(ino, UDIAG_SHOW_VFS | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN,
					reply, sizeof(reply), &got) == 0)
		take_reply(reply, (size_t)got, &diag);
	*diag_ret = diag;
	return 0;
}

size_t thump_unix_pending(const struct thump_target *target, uint64_t ino, uint32_t *clients,
			  size_t room)
{
	_Alignas(8) unsigned char reply[8192]; /* the kernel gives up at a page */
	struct unix_diag_msg message;
	const struct rtattr *attribute;
	struct attributes rest;
	ssize_t got;
	size_t count = 0;

	if (!same_network(target) || ask(ino, UDIAG_SHOW_ICONS, reply, sizeof(reply), &got) < 0)
		return 0;
	rest = parse_reply(reply, (size_t)got, &message);
	while ((attribute = next_attribute(&rest))) {
		if (attribute->rta_type != UNIX_DIAG_ICONS)
			continue;
		count = RTA_PAYLOAD(attribute) / sizeof(*clients);
		count = count < room ? count : room;
		memcpy(clients, RTA_DATA(attribute), count * sizeof(*clients));
	}
	return count;
}
