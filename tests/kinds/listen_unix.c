/* SPDX-License-Identifier: Apache-2.0 */
/* Listening UNIX sockets: with a path (which may be there or gone), abstract, stream and packet. */
#include "sockets.h"

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

	talk_to(abstract);
	MUST(stat("listening.sock", &after));
	CHECK_EQ(after.st_mode, before.st_mode);
	talk_to(by_path);
	if (access("packets.sock", F_OK) == 0)
		talk_to(packet);
	workload_pass();
}
