/* SPDX-License-Identifier: Apache-2.0 */
/* Character devices without state of their own. */
#include "workload.h"

#include <sys/stat.h>

int main(void)
{
	static const char *const names[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random",
					     "/dev/urandom" };
	int fds[NR_OF(names)];
	char bytes[16];

	workload_init();
	for (size_t i = 0; i < NR_OF(names); i++)
		fds[i] = (int)MUST(open(names[i], (i == 3 ? O_RDONLY : O_RDWR) | O_NONBLOCK |
							  (i % 2 ? O_CLOEXEC : 0)));

	workload_checkpoint();

	for (size_t i = 0; i < NR_OF(names); i++) {
		struct stat by_fd, by_name;

		MUST(fstat(fds[i], &by_fd));
		MUST(stat(names[i], &by_name));
		CHECK_EQ(by_fd.st_rdev, by_name.st_rdev);
		CHECK(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
		CHECK_EQ(fcntl(fds[i], F_GETFD), i % 2 ? FD_CLOEXEC : 0);
	}
	CHECK_EQ(read(fds[0], bytes, 16), 0);
	CHECK_EQ(read(fds[1], bytes, 16), 16);
	CHECK(is_zero(bytes, 16));
	CHECK_EQ(write(fds[2], bytes, 16), -1);
	CHECK_EQ(errno, ENOSPC);
	CHECK_EQ(read(fds[4], bytes, 16), 16);
	workload_pass();
}
