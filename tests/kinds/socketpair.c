/* SPDX-License-Identifier: Apache-2.0 */
/* Socket pairs inside of the process: content both ways, message boundaries, options, half-closed
 * ones. */
#include "workload.h"

#include <sys/socket.h>

static void expect(int fd, const char *want)
{
	char bytes[100];

	CHECK_EQ(recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT), strlen(want));
	CHECK(memcmp(bytes, want, strlen(want)) == 0);
}

static int option(int fd, int name)
{
	int value;
	socklen_t size = sizeof(value);

	MUST(getsockopt(fd, SOL_SOCKET, name, &value, &size));
	return value;
}

int main(void)
{
	int stream[2], dgram[2], packet[2], shut[2], empty[2], value = 100000;
	struct timeval timeout = { 7, 200000 }, timeout_after;
	socklen_t size = sizeof(timeout_after);
	static char large[50000], large_after[50000];

	workload_init();
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream));
	MUST(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, dgram));
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packet));
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, empty));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, shut));
	must_write(stream[0], "to one", 6);
	fill_pattern(large, sizeof(large), 1);
	must_write(stream[1], large, sizeof(large));
	must_write(dgram[0], "first", 5);
	must_write(dgram[0], "second", 6);
	/* Only alone: between others nobody can tell its place a second time. */
	MUST(send(empty[0], "", 0, 0));
	MUST(send(empty[0], "", 0, 0));
	must_write(dgram[1], "back", 4);
	must_write(packet[0], "packet", 6);
	must_write(packet[0], "another", 7);
	must_write(shut[0], "last words", 10);
	MUST(shutdown(shut[0], SHUT_WR));
	MUST(setsockopt(stream[0], SOL_SOCKET, SO_RCVBUF, &value, sizeof(value)));
	MUST(setsockopt(stream[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)));
	value = 1;
	MUST(setsockopt(dgram[1], SOL_SOCKET, SO_PASSCRED, &value, sizeof(value)));

	workload_checkpoint();

	expect(stream[1], "to one");
	must_read(stream[0], large_after, sizeof(large_after));
	CHECK(has_pattern(large_after, sizeof(large_after), 1));
	expect(dgram[1], "first");
	expect(dgram[1], "second");
	CHECK_EQ(recv(empty[1], large, 10, MSG_DONTWAIT), 0);
	CHECK_EQ(recv(empty[1], large, 10, MSG_DONTWAIT), 0);
	CHECK_EQ(recv(empty[1], large, 10, MSG_DONTWAIT), -1);
	CHECK_EQ(errno, EAGAIN);
	expect(dgram[0], "back");
	expect(packet[1], "packet");
	expect(packet[1], "another");
	expect(shut[1], "last words");
	CHECK_EQ(read(shut[1], large, 1), 0);
	must_write(shut[1], "other way", 9);
	expect(shut[0], "other way");
	CHECK_EQ(option(stream[0], SO_RCVBUF), 200000);
	MUST(getsockopt(stream[0], SOL_SOCKET, SO_RCVTIMEO, &timeout_after, &size));
	CHECK_EQ(timeout_after.tv_sec, 7);
	CHECK_EQ(timeout_after.tv_usec, 200000);
	CHECK_EQ(option(dgram[1], SO_PASSCRED), 1);
	CHECK_EQ(option(dgram[0], SO_TYPE), SOCK_DGRAM);
	CHECK(fcntl(dgram[0], F_GETFL) & O_NONBLOCK);
	must_write(packet[1], "still alive", 11);
	expect(packet[0], "still alive");
	workload_pass();
}
