/* SPDX-License-Identifier: Apache-2.0 */
/* Accepted connections that have ended, beside the socket that goes on listening on their port: as
 * a server that was stopped between two clients has them, watched by epoll(7). */
#include "sockets.h"

#include <poll.h>
#include <sys/epoll.h>

enum { SHUT, RESET, ANSWERED, CLOSED_BY_PEER, NR_CONNECTIONS };

static void end_all(const int *clients, const int *accepted)
{
	struct linger reset = { .l_onoff = 1 };

	MUST(shutdown(accepted[SHUT], SHUT_RDWR));
	MUST(close(clients[SHUT]));
	MUST(setsockopt(clients[RESET], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)));
	MUST(close(clients[RESET]));
	must_write(clients[ANSWERED], "last words", 10);
	MUST(close(clients[ANSWERED]));
	MUST(shutdown(accepted[ANSWERED], SHUT_WR));
	MUST(close(clients[CLOSED_BY_PEER]));
	for (size_t i = 0; i < NR_CONNECTIONS; i++)
		wait_for_event(accepted[i], i == CLOSED_BY_PEER ? POLLRDHUP : POLLHUP);
}

static void check_events(int epoll_fd)
{
	struct epoll_event events[NR_CONNECTIONS + 1];
	int count = (int)MUST(epoll_wait(epoll_fd, events, NR_OF(events), 0));

	CHECK_EQ(count, NR_CONNECTIONS);
	for (int i = 0; i < count; i++) {
		CHECK(events[i].events & EPOLLIN);
		CHECK(events[i].events & EPOLLRDHUP);
		CHECK_EQ((events[i].events & EPOLLERR) != 0, events[i].data.u32 == RESET);
	}
}

static void check_over(int fd)
{
	char byte;

	CHECK_EQ(read(fd, &byte, 1), 0);
	CHECK_EQ(read(fd, &byte, 1), 0);
}

static void check_cannot_send(int fd)
{
	CHECK_EQ(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	CHECK_EQ(errno, EPIPE);
}

int main(void)
{
	int listener, epoll_fd, clients[NR_CONNECTIONS], accepted[NR_CONNECTIONS];
	char last[10];

	workload_init();
	listener = listen_on_loopback(5);
	epoll_fd = (int)MUST(epoll_create1(EPOLL_CLOEXEC));
	for (uint32_t i = 0; i < NR_CONNECTIONS; i++) {
		struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP, .data.u32 = i };

		connect_to(listener, &clients[i], &accepted[i]);
		MUST(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, accepted[i], &event));
	}
	end_all(clients, accepted);

	enum workload_life life = workload_checkpoint();

	talk_to(listener);
	check_events(epoll_fd);
	check_over(accepted[SHUT]);
	check_cannot_send(accepted[SHUT]);
	CHECK_EQ(read(accepted[RESET], last, 1), -1);
	CHECK_EQ(errno, ECONNRESET);
	check_over(accepted[RESET]);
	must_read(accepted[ANSWERED], last, sizeof(last));
	CHECK(memcmp(last, "last words", sizeof(last)) == 0);
	check_over(accepted[ANSWERED]);
	check_over(accepted[CLOSED_BY_PEER]);
	if (life == WORKLOAD_RESTORED)
		check_cannot_send(accepted[CLOSED_BY_PEER]);
	workload_pass();
}
