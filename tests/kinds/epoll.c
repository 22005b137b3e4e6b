/* SPDX-License-Identifier: Apache-2.0 */
/* epoll: the whole set with events, data, edge-triggered and one-shot (also spent) entries, nested
 * epoll, a target whose descriptor was dup'ed, and an entry whose number is in use twice. */
#include "workload.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static void add(int epoll_fd, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	MUST(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
}

static void kick(int fd)
{
	uint64_t one = 1;

	must_write(fd, &one, sizeof(one));
}

/* The one event that is there now, as its data; 0 when there is none. */
static uint64_t next(int epoll_fd)
{
	struct epoll_event event;

	return MUST(epoll_wait(epoll_fd, &event, 1, 0)) == 1 ? event.data.u64 : 0;
}

static void drain(int fd)
{
	uint64_t count;

	must_read(fd, &count, sizeof(count));
}

int main(void)
{
	int set, outer, level, edge, spent, pipes[2], sockets[2], dupped;

	workload_init();
	set = (int)MUST(epoll_create1(EPOLL_CLOEXEC));
	outer = (int)MUST(epoll_create1(0));
	level = (int)MUST(eventfd(0, EFD_NONBLOCK));
	edge = (int)MUST(eventfd(0, EFD_NONBLOCK));
	spent = (int)MUST(eventfd(0, EFD_NONBLOCK));
	MUST(pipe2(pipes, O_CLOEXEC));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	dupped = (int)MUST(dup(level));
	add(set, level, EPOLLIN, 0x1111111111111111);
	add(set, dupped, EPOLLIN, 0x2222222222222222);
	add(set, edge, EPOLLIN | EPOLLET, 0x3333333333333333);
	add(set, spent, EPOLLIN | EPOLLONESHOT, 0x4444444444444444);
	add(set, pipes[0], EPOLLIN | EPOLLRDHUP, 0x5555555555555555);
	add(set, sockets[0], EPOLLIN | EPOLLPRI, 0x6666666666666666);
	add(outer, set, EPOLLIN, 0x7777777777777777);
	kick(spent);
	CHECK_EQ(next(set), 0x4444444444444444);
	CHECK_EQ(next(set), 0);

	workload_checkpoint();

	CHECK_EQ(next(outer), 0);
	/* Still spent, although readable, until it is armed again. */
	CHECK_EQ(next(set), 0);
	must_write(pipes[1], "x", 1);
	CHECK_EQ(next(outer), 0x7777777777777777);
	CHECK_EQ(next(set), 0x5555555555555555);
	must_read(pipes[0], &(char){ 0 }, 1);
	must_write(sockets[1], "x", 1);
	CHECK_EQ(next(set), 0x6666666666666666);
	must_read(sockets[0], &(char){ 0 }, 1);
	kick(edge);
	CHECK_EQ(next(set), 0x3333333333333333);
	CHECK_EQ(next(set), 0); /* edge */
	kick(level);
	CHECK(next(set) != 0);
	MUST(epoll_ctl(set, EPOLL_CTL_DEL, dupped, NULL));
	CHECK_EQ(next(set), 0x1111111111111111);
	drain(level);
	CHECK_EQ(next(set), 0);
	workload_pass();
}
