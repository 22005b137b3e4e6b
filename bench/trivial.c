/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest program that can tell when it runs: it reads the clock without end, and whenever
 * time has jumped, because it was just started or restored, it writes the time to standard output.
 * So a restored copy says with its first instructions when they ran. SIGTERM ends it.
 */
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#define JUMP_NS 50000000ULL

static uint64_t now_ns(void)
{
	struct timespec now;

	/* not CLOCK_MONOTONIC: a time namespace may shift that */
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int main(void)
{
	for (uint64_t last = 0, now;; last = now) {
		now = now_ns();
		if (now - last > JUMP_NS && write(STDOUT_FILENO, &now, sizeof(now)) != sizeof(now))
			return 1;
	}
}
