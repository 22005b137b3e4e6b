/* SPDX-License-Identifier: Apache-2.0 */
/* Pipes inside of the process: content, capacity, flags, packets, and ends that are closed. */
#include "workload.h"

static void make(int fds[2], int flags, size_t fill, uint32_t seed)
{
	static char bytes[65536];

	MUST(pipe2(fds, flags));
	fill_pattern(bytes, fill, seed);
	must_write(fds[1], bytes, fill);
}

static void expect(int fd, size_t fill, uint32_t seed)
{
	static char bytes[65536];

	must_read(fd, bytes, fill);
	CHECK(has_pattern(bytes, fill, seed));
}

int main(void)
{
	int empty[2], full[2], large[2], packets[2], no_writer[2], no_reader[2], dupped;
	char bytes[100];

	workload_init();
	make(empty, O_CLOEXEC, 0, 0);
	make(full, O_NONBLOCK, 65536, 1);
	make(large, O_CLOEXEC, 5000, 2);
	MUST(fcntl(large[0], F_SETPIPE_SZ, 262144));
	dupped = (int)MUST(dup(large[1]));
	make(packets, O_DIRECT | O_NONBLOCK, 10, 3);
	must_write(packets[1], "second packet", 13);
	make(no_writer, O_CLOEXEC, 50, 4);
	MUST(close(no_writer[1]));
	make(no_reader, O_CLOEXEC, 0, 0);
	MUST(close(no_reader[0]));
	MUST(signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -1 : 0);

	workload_checkpoint();

	must_write(empty[1], "x", 1);
	must_read(empty[0], bytes, 1);
	CHECK_EQ(write(full[1], "x", 1), -1);
	CHECK_EQ(errno, EAGAIN);
	expect(full[0], 65536, 1);
	CHECK_EQ(read(full[0], bytes, 1), -1);
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(fcntl(large[0], F_GETPIPE_SZ), 262144);
	must_write(dupped, "after", 5);
	expect(large[0], 5000, 2);
	must_read(large[0], bytes, 5);
	CHECK(memcmp(bytes, "after", 5) == 0);
	CHECK_EQ(read(packets[0], bytes, 100), 10);
	CHECK(has_pattern(bytes, 10, 3));
	CHECK_EQ(read(packets[0], bytes, 100), 13);
	CHECK_EQ(fcntl(packets[1], F_GETFL) & (O_DIRECT | O_NONBLOCK), O_DIRECT | O_NONBLOCK);
	expect(no_writer[0], 50, 4);
	CHECK_EQ(read(no_writer[0], bytes, 1), 0);
	CHECK_EQ(write(no_reader[1], "x", 1), -1);
	CHECK_EQ(errno, EPIPE);
	workload_pass();
}
