/* SPDX-License-Identifier: Apache-2.0 */
/* eventfds: count, semaphore mode, flags, and one description behind two descriptors. */
#include "workload.h"

#include <sys/eventfd.h>

static uint64_t take(int fd)
{
	uint64_t count;

	must_read(fd, &count, sizeof(count));
	return count;
}

int main(void)
{
	uint64_t huge = 0xfffffffffffffffe, count;
	int plain, semaphore, empty, full, twin;

	workload_init();
	plain = (int)MUST(eventfd(4711, EFD_CLOEXEC));
	semaphore = (int)MUST(eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK));
	empty = (int)MUST(eventfd(0, EFD_NONBLOCK));
	full = (int)MUST(eventfd(0, EFD_NONBLOCK));
	must_write(full, &huge, sizeof(huge));
	twin = (int)MUST(dup(empty));

	workload_checkpoint();

	CHECK_EQ(take(plain), 4711);
	CHECK_EQ(fcntl(plain, F_GETFD), FD_CLOEXEC);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(take(semaphore), 1);
	CHECK_EQ(read(semaphore, &count, sizeof(count)), -1);
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(read(empty, &count, sizeof(count)), -1);
	CHECK_EQ(errno, EAGAIN);
	count = 5;
	must_write(twin, &count, sizeof(count));
	CHECK_EQ(take(empty), 5);
	CHECK_EQ(take(full), (long long)huge);
	workload_pass();
}
