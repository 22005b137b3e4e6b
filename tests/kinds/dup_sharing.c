/* SPDX-License-Identifier: Apache-2.0 */
/* Which descriptors share one open file description, found by their effects: offset, O_NONBLOCK. */
#include "workload.h"

#include <sys/socket.h>

static bool share_flags(int a, int b)
{
	int flags = (int)MUST(fcntl(a, F_GETFL));
	bool shared;

	MUST(fcntl(a, F_SETFL, flags ^ O_NONBLOCK));
	shared = MUST(fcntl(b, F_GETFL)) == (flags ^ O_NONBLOCK);
	MUST(fcntl(a, F_SETFL, flags));
	return shared;
}

int main(void)
{
	int file, file_dup, file_again, null, null_dup, null_again, sockets[2], socket_dup, far;

	workload_init();
	file = make_file("shared-offset", 1000, 1, O_RDONLY);
	file_dup = (int)MUST(dup(file));
	file_again = (int)MUST(open("shared-offset", O_RDONLY));
	null = (int)MUST(open("/dev/null", O_RDWR));
	null_dup = (int)MUST(dup3(null, 300, O_CLOEXEC));
	null_again = (int)MUST(open("/dev/null", O_RDWR));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	socket_dup = (int)MUST(dup(sockets[0]));
	far = (int)MUST(fcntl(file, F_DUPFD, 900));

	workload_checkpoint();

	CHECK(share_flags(file, file_dup));
	CHECK(share_flags(far, file_dup));
	CHECK(!share_flags(file, file_again));
	CHECK(share_flags(null, null_dup));
	CHECK(!share_flags(null, null_again));
	CHECK(share_flags(sockets[0], socket_dup));
	CHECK(!share_flags(sockets[0], sockets[1]));
	CHECK_EQ(fcntl(null_dup, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(far, 900);
	MUST(lseek(far, 50, SEEK_SET));
	CHECK_EQ(lseek(file, 0, SEEK_CUR), 50);
	CHECK_EQ(lseek(file_again, 0, SEEK_CUR), 0);
	workload_pass();
}
