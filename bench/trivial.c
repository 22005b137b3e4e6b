/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest program that can tell when it runs: it reads the clock without end, and whenever
 * time has jumped, because it was just started or restored, it writes the time to standard output.
 * So a restored copy says with its first instructions when they ran; then it waits. SIGTERM ends
 * it.
 *
 * usage: trivial [THREADS [MAPPINGS]]    with so many threads that wait, and mappings of one page
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

static void *wait_for_good(void *arg)
{
	for (;;)
		(void)pause();
	return arg;
}

static int add_threads(long count)
{
	pthread_t thread;

	while (count-- > 0)
		if (pthread_create(&thread, NULL, wait_for_good, NULL) != 0)
			return -1;
	return 0;
}

/* Every other page has another protection, so that each is a mapping of its own. */
static int add_mappings(long count)
{
	const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	const size_t size_bytes = (size_t)count * page_bytes;
	unsigned char *pages;

	if (count <= 0)
		return 0;
	pages = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		return -1;
	memset(pages, 1, size_bytes);
	for (long i = 0; i < count; i += 2)
		if (mprotect(pages + (size_t)i * page_bytes, page_bytes, PROT_READ) != 0)
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	const pid_t parent = getppid();

	if (add_threads(argc > 1 ? atol(argv[1]) : 0) < 0 ||
	    add_mappings(argc > 2 ? atol(argv[2]) : 0) < 0)
		return 1;
	for (uint64_t last = 0, now;; last = now) {
		/* Asked first: who is saved behind this has yet to say when it runs again. */
		const bool restored = getppid() != parent;

		now = now_ns();
		if (now - last <= JUMP_NS)
			continue;
		if (write(STDOUT_FILENO, &now, sizeof(now)) != sizeof(now))
			return 1;
		/* Nothing else is asked of it, and others want the processor. */
		if (restored)
			wait_for_good(NULL);
	}
}
