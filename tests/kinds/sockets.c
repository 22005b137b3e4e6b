/* SPDX-License-Identifier: Apache-2.0 */
#include "sockets.h"

#include <netinet/in.h>
#include <poll.h>

socklen_t address_of(int fd, struct sockaddr_storage *address_ret)
{
	socklen_t size = sizeof(*address_ret);

	memset(address_ret, 0, sizeof(*address_ret));
	MUST(getsockname(fd, (struct sockaddr *)address_ret, &size));
	return size;
}

int listen_on_loopback(int backlog)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), on = 1;

	MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
	MUST(bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
	MUST(listen(fd, backlog));
	return fd;
}

void connect_to(int listener, int *client_ret, int *accepted_ret)
{
	struct sockaddr_storage addr;
	socklen_t size = address_of(listener, &addr), type_size = sizeof(int);
	int type;

	MUST(getsockopt(listener, SOL_SOCKET, SO_TYPE, &type, &type_size));
	*client_ret = (int)MUST(socket(addr.ss_family, type | SOCK_CLOEXEC, 0));
	MUST(connect(*client_ret, (struct sockaddr *)&addr, size));
	*accepted_ret = (int)MUST(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
}

void talk_to(int listener)
{
	int client, accepted;
	char byte;

	connect_to(listener, &client, &accepted);
	must_write(client, "x", 1);
	must_read(accepted, &byte, 1);
	/* The client closes first: no TIME_WAIT on the listening port. */
	MUST(close(client));
	CHECK_EQ(read(accepted, &byte, 1), 0);
	MUST(close(accepted));
}

void wait_for_event(int fd, short event)
{
	struct pollfd ask = { .fd = fd, .events = POLLIN | POLLRDHUP };

	do {
		MUST(poll(&ask, 1, -1));
	} while (!(ask.revents & event));
}
