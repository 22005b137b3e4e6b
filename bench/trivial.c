/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest program that can tell when it runs: it maps a file that bench/stopwatch shares with
 * it, and whenever the stopwatch is armed stamps the time and wakes it. So a restored copy stamps
 * with its first instructions. Ends when told to.
 *
 * usage: trivial FILE
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shared.h"

static uint64_t now_ns(void)
{
	struct timespec now;

	/* not CLOCK_MONOTONIC: a time namespace may shift that */
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv)
{
	int fd = argc == 2 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		return 2;

	struct bench_shared *shared =
		mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (shared == MAP_FAILED)
		return 2;
	close(fd);
	for (;;) {
		if (__atomic_exchange_n(&shared->armed, 0, __ATOMIC_ACQ_REL)) {
			shared->stamp_ns = now_ns();
			__atomic_store_n(&shared->stamped, 1, __ATOMIC_RELEASE);
			syscall(SYS_futex, &shared->stamped, FUTEX_WAKE, 1, NULL, NULL, 0);
		}
		if (__atomic_load_n(&shared->quit, __ATOMIC_ACQUIRE))
			return 0;
	}
}
