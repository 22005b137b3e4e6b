/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits in UNIX sockets beside bytes: descriptors (of which the program has others, or no
 * other), credentials, and datagrams with the names of their senders.
 */
#include "workload.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

struct sent {
	int fds[3];
	size_t nr_fds;
	bool credentials;
};

union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(3 * sizeof(int))];
};

static void send_with(int fd, const char *text, const struct sent *sent)
{
	struct ucred own = { .pid = getpid(), .uid = getuid(), .gid = getgid() };
	struct iovec piece = { .iov_base = (char *)text, .iov_len = strlen(text) };
	union control control = { .header = { 0 } };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);
	size_t used = 0;

	if (sent->nr_fds) {
		size_t size = sent->nr_fds * sizeof(int);

		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(cmsg), sent->fds, size);
		used += CMSG_SPACE(size);
		cmsg = CMSG_NXTHDR(&message, cmsg);
	}
	if (sent->credentials) {
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_CREDENTIALS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(own));
		memcpy(CMSG_DATA(cmsg), &own, sizeof(own));
		used += CMSG_SPACE(sizeof(own));
	}
	message.msg_controllen = used;
	CHECK_EQ(sendmsg(fd, &message, 0), strlen(text));
}

/* As many descriptors, and credentials of our own or none, as `want` says. */
static void receive(int fd, const char *text, const struct sent *want, int *fds)
{
	char bytes[64];
	struct iovec piece = { .iov_base = bytes, .iov_len = strlen(text) };
	union control control;
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	struct ucred came = { .pid = 0 };
	size_t nr_fds = 0;

	CHECK_EQ(recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC), strlen(text));
	CHECK(memcmp(bytes, text, strlen(text)) == 0);
	CHECK((message.msg_flags & MSG_CTRUNC) == 0);
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message); cmsg;
	     cmsg = CMSG_NXTHDR(&message, cmsg)) {
		if (cmsg->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&came, CMSG_DATA(cmsg), sizeof(came));
			continue;
		}
		CHECK_EQ(cmsg->cmsg_type, SCM_RIGHTS);
		nr_fds = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(cmsg), nr_fds * sizeof(int));
	}
	CHECK_EQ(nr_fds, want->nr_fds);
	CHECK_EQ(came.pid, want->credentials ? getpid() : 0);
	if (want->credentials) {
		CHECK_EQ(came.uid, getuid());
		CHECK_EQ(came.gid, getgid());
	}
}

static void make_pair(int type, int ends[2])
{
	MUST(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends));
}

/* ---- descriptors in flight ----------------------------------------------------------------- */

static const struct sent three = { .nr_fds = 3 }, one = { .nr_fds = 1 }, nothing = { .nr_fds = 0 };

static struct {
	int stream[2], packets[2], closed[2], file, reader;
} rights;

static void make_rights(void)
{
	int pipe_ends[2], inner[2], secret = (int)MUST(memfd_create("secret", MFD_CLOEXEC));
	struct sent sent;

	make_pair(SOCK_STREAM, rights.stream);
	make_pair(SOCK_SEQPACKET, rights.packets);
	make_pair(SOCK_STREAM, rights.closed);
	make_pair(SOCK_DGRAM, inner);
	MUST(pipe2(pipe_ends, O_CLOEXEC));
	rights.reader = pipe_ends[0];
	rights.file = make_file("passed", 100, 1, O_RDWR);
	MUST(lseek(rights.file, 10, SEEK_SET));
	must_write(secret, "memfd", 5);
	must_write(pipe_ends[1], "piped", 5);
	/* One that stays open here, one whose other end does, one of which nobody has another. */
	must_write(rights.stream[0], "before", 6);
	sent = (struct sent){ .fds = { rights.file, pipe_ends[1], secret }, .nr_fds = 3 };
	send_with(rights.stream[0], "rights", &sent);
	must_write(rights.stream[0], "after", 5);
	/* In a socket that is in flight itself. */
	sent = (struct sent){ .fds = { secret }, .nr_fds = 1 };
	send_with(inner[0], "deep", &sent);
	sent = (struct sent){ .fds = { inner[1], inner[0], inner[1] }, .nr_fds = 3 };
	send_with(rights.packets[0], "sockets", &sent);
	sent = (struct sent){ .fds = { rights.file }, .nr_fds = 1 };
	send_with(rights.closed[0], "last", &sent);
	MUST(close(pipe_ends[1]));
	MUST(close(secret));
	MUST(close(inner[0]));
	MUST(close(inner[1]));
	MUST(close(rights.closed[0]));
}

static void check_secret(int fd)
{
	char bytes[8];

	CHECK_EQ(pread(fd, bytes, sizeof(bytes), 0), 5);
	CHECK(memcmp(bytes, "memfd", 5) == 0);
}

static void check_same(int a, int b)
{
	off_t before = (off_t)MUST(lseek(a, 0, SEEK_CUR));

	MUST(lseek(a, before + 7, SEEK_SET));
	CHECK_EQ(lseek(b, 0, SEEK_CUR), before + 7);
	MUST(lseek(a, before, SEEK_SET));
}

static void check_rights(void)
{
	int fds[3], inner[3], deep, last;
	char bytes[8];

	receive(rights.stream[1], "before", &nothing, fds);
	receive(rights.stream[1], "rights", &three, fds);
	CHECK_EQ(lseek(fds[0], 0, SEEK_CUR), 10);
	check_same(fds[0], rights.file);
	must_read(rights.reader, bytes, 5);
	must_write(fds[1], "more", 4);
	must_read(rights.reader, bytes, 4);
	check_secret(fds[2]);
	receive(rights.packets[1], "sockets", &three, inner);
	receive(inner[0], "deep", &one, &deep);
	check_secret(deep);
	check_same(fds[2], deep);
	must_write(inner[1], "xy", 2);
	must_read(inner[2], bytes, 2);
	receive(rights.stream[1], "after", &nothing, fds);
	receive(rights.closed[1], "last", &one, &last);
	check_same(last, rights.file);
	CHECK_EQ(read(rights.closed[1], bytes, 1), 0);
	/* Now nobody else has it any more. */
	MUST(close(fds[1]));
	CHECK_EQ(read(rights.reader, bytes, 1), 0);
}

/* ---- credentials --------------------------------------------------------------------------- */

static int asking[2], packets[2];

static void make_credentials(void)
{
	const struct sent with = { .credentials = true };
	int on = 1;

	make_pair(SOCK_STREAM, asking);
	make_pair(SOCK_SEQPACKET, packets);
	must_write(asking[0], "old", 3);
	must_write(packets[0], "old", 3);
	send_with(packets[0], "explicit", &with);
	MUST(setsockopt(asking[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	MUST(setsockopt(packets[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	must_write(asking[0], "new", 3);
	must_write(packets[0], "new", 3);
}

static void check_credentials(void)
{
	const struct sent with = { .credentials = true };
	int none;

	receive(asking[1], "old", &nothing, &none);
	receive(asking[1], "new", &with, &none);
	receive(packets[1], "old", &nothing, &none);
	receive(packets[1], "explicit", &with, &none);
	receive(packets[1], "new", &with, &none);
}

/* ---- datagrams to a name ------------------------------------------------------------------- */

static struct sockaddr_un server_name = { .sun_family = AF_UNIX, .sun_path = "server.sock" };
static struct sockaddr_un client_name = { .sun_family = AF_UNIX, .sun_path = "client.sock" };
static int server, client;

static int bound(const struct sockaddr_un *name)
{
	int fd = (int)MUST(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	(void)unlink(name->sun_path);
	MUST(bind(fd, (const struct sockaddr *)name, sizeof(*name)));
	return fd;
}

static void make_datagrams(void)
{
	int unnamed = (int)MUST(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	server = bound(&server_name);
	client = bound(&client_name);
	MUST(connect(client, (struct sockaddr *)&server_name, sizeof(server_name)));
	must_write(client, "named", 5);
	CHECK_EQ(sendto(unnamed, "unnamed", 7, 0, (struct sockaddr *)&server_name,
			sizeof(server_name)),
		 7);
	CHECK_EQ(sendto(server, "answer", 6, 0, (struct sockaddr *)&client_name,
			sizeof(client_name)),
		 6);
	MUST(close(unnamed));
}

static void check_datagram(int fd, const char *text, const char *want_sender)
{
	struct sockaddr_un sender;
	socklen_t size = sizeof(sender);
	char bytes[16];

	CHECK_EQ(
		recvfrom(fd, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&sender, &size),
		strlen(text));
	CHECK(memcmp(bytes, text, strlen(text)) == 0);
	if (want_sender)
		CHECK(strcmp(sender.sun_path, want_sender) == 0);
	else
		CHECK(size <= sizeof(sa_family_t));
}

int main(void)
{
	workload_init();
	make_rights();
	make_credentials();
	make_datagrams();

	workload_checkpoint();

	check_rights();
	check_credentials();
	check_datagram(server, "named", "client.sock");
	check_datagram(server, "unnamed", NULL);
	check_datagram(client, "answer", "server.sock");
	must_write(client, "more", 4);
	check_datagram(server, "more", "client.sock");
	workload_pass();
}
