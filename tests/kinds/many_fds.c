/* SPDX-License-Identifier: Apache-2.0 */
/* 1,000 descriptors of several kinds with gaps between the numbers. */
#include "workload.h"

#include <sys/eventfd.h>
#include <sys/resource.h>

#define NR_FDS 1000

int main(void)
{
	struct rlimit limit;

	workload_init();
	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_cur < 2 * NR_FDS + 10)
		workload_skip("RLIMIT_NOFILE is only %llu", (unsigned long long)limit.rlim_max);
	for (int i = 0; i < NR_FDS; i++) {
		int fd = i % 2 ? (int)MUST(eventfd((unsigned)i, 0))
			       : (int)MUST(open("/dev/null", O_RDWR));

		MUST(dup3(fd, 10 + 2 * i, i % 3 ? O_CLOEXEC : 0));
		MUST(close(fd));
	}

	workload_checkpoint();

	for (int i = 0; i < NR_FDS; i++) {
		uint64_t count;

		CHECK_EQ(fcntl(10 + 2 * i, F_GETFD), i % 3 ? FD_CLOEXEC : 0);
		CHECK_EQ(fcntl(11 + 2 * i, F_GETFD), -1);
		if (i % 2) {
			must_read(10 + 2 * i, &count, sizeof(count));
			CHECK_EQ(count, i);
		}
	}
	workload_pass();
}
