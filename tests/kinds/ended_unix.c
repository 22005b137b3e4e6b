/* SPDX-License-Identifier: Apache-2.0 */
/* An accepted UNIX connection whose client has gone, beside the socket that goes on listening. */
#include "sockets.h"

#include <poll.h>
#include <sys/un.h>

int main(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "server.sock" };
	int listener, client, accepted;
	char last[10];

	workload_init();
	(void)unlink(addr.sun_path);
	listener = (int)MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	MUST(bind(listener, (struct sockaddr *)&addr, sizeof(addr)));
	MUST(listen(listener, 5));
	connect_to(listener, &client, &accepted);
	must_write(client, "last words", sizeof(last));
	MUST(close(client));
	wait_for_event(accepted, POLLHUP);

	workload_checkpoint();

	must_read(accepted, last, sizeof(last));
	CHECK(memcmp(last, "last words", sizeof(last)) == 0);
	CHECK_EQ(read(accepted, last, 1), 0);
	CHECK_EQ(send(accepted, "x", 1, MSG_NOSIGNAL), -1);
	CHECK_EQ(errno, EPIPE);
	talk_to(listener);
	workload_pass();
}
