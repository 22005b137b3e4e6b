/* SPDX-License-Identifier: Apache-2.0 */
/* Listening UNIX sockets: with a path (which may be there or gone), abstract, stream and packet. */
#include "workload.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static int make(int type, const char *name, bool abstract)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = (int)MUST(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
	size_t size = offsetof(struct sockaddr_un, sun_path) + (size_t)abstract + strlen(name);

	memcpy(addr.sun_path + abstract, name, strlen(name));
	if (!abstract) {
		size++;
		(void)unlink(name);
	}
	MUST(bind(fd, (struct sockaddr *)&addr, (socklen_t)size));
	MUST(listen(fd, 7));
	return fd;
}

static void talk(int listener, int type)
{
	struct sockaddr_un addr;
	socklen_t size = sizeof(addr);
	char byte;
	int client = (int)MUST(socket(AF_UNIX, type | SOCK_CLOEXEC, 0)), server;

	MUST(getsockname(listener, (struct sockaddr *)&addr, &size));
	MUST(connect(client, (struct sockaddr *)&addr, size));
	server = (int)MUST(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	must_write(client, "x", 1);
	must_read(server, &byte, 1);
	MUST(close(client));
	MUST(close(server));
}

int main(void)
{
	char abstract_name[64];
	struct stat before, after;
	int by_path, abstract, packet;

	workload_init();
	snprintf(abstract_name, sizeof(abstract_name), "thump-test-%d", getpid());
	by_path = make(SOCK_STREAM, "listening.sock", false);
	MUST(chmod("listening.sock", 0640));
	MUST(stat("listening.sock", &before));
	abstract = make(SOCK_STREAM, abstract_name, true);
	packet = make(SOCK_SEQPACKET, "packets.sock", false);

	if (workload_checkpoint() == WORKLOAD_ORIGINAL)
		MUST(unlink("packets.sock"));

	talk(abstract, SOCK_STREAM);
	MUST(stat("listening.sock", &after));
	CHECK_EQ(after.st_mode, before.st_mode);
	talk(by_path, SOCK_STREAM);
	if (access("packets.sock", F_OK) == 0)
		talk(packet, SOCK_SEQPACKET);
	workload_pass();
}
