/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UNIX connections of a process with itself: accepted ones with the names of both ends and what
 * lies in them, with and without the socket that they were accepted from, and ones that wait to be
 * accepted.
 */
#include "sockets.h"

#include <sys/un.h>

struct address {
	struct sockaddr_un un;
	socklen_t size;
};

struct connection {
	int client, accepted;
};

/* A name that begins with @ is an abstract one. */
static struct address address_for(const char *name)
{
	struct address address = { .un = { .sun_family = AF_UNIX } };

	memcpy(address.un.sun_path, name, strlen(name));
	address.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	if (name[0] == '@')
		address.un.sun_path[0] = '\0';
	else
		address.size++;
	return address;
}

static int bound(int type, const char *name)
{
	struct address address = address_for(name);
	int fd = (int)MUST(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));

	if (name[0] != '@')
		(void)unlink(name);
	MUST(bind(fd, (struct sockaddr *)&address.un, address.size));
	return fd;
}

static int listening(int type, const char *name)
{
	int fd = bound(type, name);

	MUST(listen(fd, 7));
	return fd;
}

static int client_of(const char *server, int type, const char *own)
{
	struct address address = address_for(server);
	int fd = own ? bound(type, own) : (int)MUST(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));

	MUST(connect(fd, (struct sockaddr *)&address.un, address.size));
	return fd;
}

static struct connection connected(int listener, const char *server, int type, const char *own)
{
	struct connection made = { .client = client_of(server, type, own) };

	made.accepted = (int)MUST(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	must_write(made.client, "question", 8);
	must_write(made.accepted, "answer", 6);
	return made;
}

static void check_name(const struct sockaddr_un *have, socklen_t size, const char *want)
{
	struct address address = address_for(want ? want : "");

	CHECK_EQ(size, want ? address.size : sizeof(sa_family_t));
	CHECK(memcmp(have, &address.un, size) == 0);
}

static void check_names(int fd, const char *own, const char *peer)
{
	struct sockaddr_un name;
	socklen_t size = sizeof(name);

	MUST(getsockname(fd, (struct sockaddr *)&name, &size));
	check_name(&name, size, own);
	size = sizeof(name);
	MUST(getpeername(fd, (struct sockaddr *)&name, &size));
	check_name(&name, size, peer);
}

static void check_talk(struct connection connection)
{
	char bytes[10];

	must_read(connection.accepted, bytes, 8);
	CHECK(memcmp(bytes, "question", 8) == 0);
	must_read(connection.client, bytes, 6);
	CHECK(memcmp(bytes, "answer", 6) == 0);
	CHECK_EQ(recv(connection.client, bytes, 1, MSG_DONTWAIT), -1);
	CHECK_EQ(errno, EAGAIN);
	must_write(connection.client, "more", 4);
	must_read(connection.accepted, bytes, 4);
	MUST(close(connection.client));
	CHECK_EQ(read(connection.accepted, bytes, 1), 0);
}

/* The first one has shut down one direction; they come in their order. */
static void check_pending(int listener, const int clients[2])
{
	char byte;
	int accepted;

	accepted = (int)MUST(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	CHECK_EQ(read(accepted, &byte, 1), 0);
	must_write(accepted, "a", 1);
	must_read(clients[0], &byte, 1);
	CHECK_EQ(byte, 'a');
	accepted = (int)MUST(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	must_write(clients[1], "b", 1);
	must_read(accepted, &byte, 1);
	CHECK_EQ(byte, 'b');
}

int main(void)
{
	struct connection plain, both_named, packets, orphan, late;
	char name[64];
	int by_path, abstract, gone, waiting[2];

	workload_init();
	(void)snprintf(name, sizeof(name), "@thump-connections-%d", getpid());
	/* Numbers below those of the socket that it is accepted from, too. */
	late.client = (int)MUST(open("/dev/null", O_RDONLY));
	late.accepted = (int)MUST(open("/dev/null", O_RDONLY));
	by_path = listening(SOCK_STREAM, "server.sock");
	plain = connected(by_path, "server.sock", SOCK_STREAM, NULL);
	MUST(dup2(plain.client, late.client));
	MUST(dup2(plain.accepted, late.accepted));
	MUST(close(plain.client));
	MUST(close(plain.accepted));
	plain = connected(by_path, "server.sock", SOCK_STREAM, NULL);
	both_named = connected(by_path, "server.sock", SOCK_STREAM, "client.sock");
	abstract = listening(SOCK_SEQPACKET, name);
	packets = connected(abstract, name, SOCK_SEQPACKET, NULL);
	gone = listening(SOCK_STREAM, "gone.sock");
	orphan = connected(gone, "gone.sock", SOCK_STREAM, NULL);
	MUST(close(gone));
	MUST(unlink("gone.sock"));
	waiting[0] = client_of("server.sock", SOCK_STREAM, NULL);
	waiting[1] = client_of("server.sock", SOCK_STREAM, "waiting.sock");
	MUST(shutdown(waiting[0], SHUT_WR));

	workload_checkpoint();

	check_names(plain.client, NULL, "server.sock");
	check_names(plain.accepted, "server.sock", NULL);
	check_names(late.accepted, "server.sock", NULL);
	check_names(both_named.client, "client.sock", "server.sock");
	check_names(both_named.accepted, "server.sock", "client.sock");
	check_names(packets.accepted, name, NULL);
	check_names(orphan.client, NULL, "gone.sock");
	check_names(waiting[1], "waiting.sock", "server.sock");
	check_talk(plain);
	check_talk(late);
	check_talk(both_named);
	check_talk(packets);
	check_talk(orphan);
	CHECK_EQ(access("gone.sock", F_OK), -1);
	check_pending(by_path, waiting);
	talk_to(by_path);
	talk_to(abstract);
	workload_pass();
}
