/* SPDX-License-Identifier: Apache-2.0 */
#include "base/send_fds.h"

#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

union control {
	char bytes[CMSG_SPACE(THUMP_SEND_FDS_MAX * sizeof(int))];
	struct cmsghdr align;
};

int thump_send_fds(int socket_fd, const void *bytes, size_t size_bytes, const int *fds,
		   size_t nr_fds)
{
	union control control = { 0 };
	struct iovec part = { (void *)(uintptr_t)bytes, size_bytes };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	struct cmsghdr *header;
	ssize_t sent;

	if (nr_fds > THUMP_SEND_FDS_MAX) {
		errno = EINVAL;
		return -1;
	}
	if (nr_fds) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(nr_fds * sizeof(*fds));
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(nr_fds * sizeof(*fds));
		memcpy(CMSG_DATA(header), fds, nr_fds * sizeof(*fds));
	}
	do
		sent = sendmsg(socket_fd, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -1 : 0;
}

/* Takes what fits, closes the rest. */
static void take(struct cmsghdr *header, int *fds, size_t room, size_t *count)
{
	size_t nr_fds = (header->cmsg_len - CMSG_LEN(0)) / sizeof(*fds);

	for (size_t i = 0; i < nr_fds; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd), sizeof(fd));
		if (*count < room)
			fds[(*count)++] = fd;
		else
			thump_close_fd(&fd);
	}
}

ssize_t thump_receive_fds(int socket_fd, void *bytes, size_t size_bytes, int *fds, size_t room,
			  size_t *nr_fds_ret)
{
	union control control;
	struct iovec part = { bytes, size_bytes };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	size_t count = 0;
	ssize_t got;

	do
		got = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -1;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
	     header = CMSG_NXTHDR(&message, header))
		if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
			take(header, fds, room, &count);
	*nr_fds_ret = count;
	return got;
}
