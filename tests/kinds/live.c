/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests/scenario/live.py: a program that notices when an image of it holds two moments at once,
 * or when it is shown a process that it did not make.
 *
 * usage: live [shared SIZE-MB | unforked SIZE-MB | subreaper]: with so much memory that a copy
 * would lack, or as the one to whom orphans go, who does not wait for them
 */
#include "workload.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define PAGE  ((size_t)4096)
#define LARGE ((size_t)16 << 20)

/* One counter in each kind of memory that is captured in another way, on pages of their own. */
static struct counters {
	atomic_ulong *private_memory, *shared_memory, *memfd, *unforked;
} counters;
static atomic_bool finishing, broken;

static void *count(void *unused)
{
	atomic_ulong *const all[] = { counters.private_memory, counters.shared_memory,
				      counters.memfd, counters.unforked };

	(void)unused;
	while (!atomic_load(&finishing)) {
		const unsigned long before = atomic_load(all[0]);

		for (size_t i = 0; i < NR_OF(all); i++) {
			if (atomic_fetch_add(all[i], 1) != before)
				atomic_store(&broken, true);
		}
	}
	return NULL;
}

/* Whoever waits for all children, with or without an exit signal, is never shown one. */
static void *wait_for_children(void *unused)
{
	static const int flags[] = { (int)__WALL, (int)__WALL | WNOHANG, (int)__WCLONE, WNOHANG };

	(void)unused;
	for (size_t i = 0; !atomic_load(&finishing); i = (i + 1) % NR_OF(flags)) {
		if (waitpid(-1, NULL, flags[i]) > 0)
			atomic_store(&broken, true);
		(void)sched_yield();
	}
	return NULL;
}

static void take_note(int signo)
{
	(void)signo;
	atomic_store(&broken, true);
}

static void *map(int flags, int fd)
{
	return must_mmap(NULL, PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
}

static void make_counters(int memfd)
{
	counters = (struct counters){
		.private_memory = map(MAP_PRIVATE | MAP_ANONYMOUS, -1),
		.shared_memory = map(MAP_SHARED | MAP_ANONYMOUS, -1),
		.memfd = map(MAP_SHARED, memfd),
		.unforked = map(MAP_PRIVATE | MAP_ANONYMOUS, -1),
	};
	MUST(madvise(counters.unforked, PAGE, MADV_DONTFORK));
}

static void make_large(const char *what, const char *size_mb)
{
	const size_t size_bytes = strtoul(size_mb, NULL, 10) << 20;
	const bool shared = strcmp(what, "shared") == 0;
	char *memory = must_mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
				 MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);

	if (!shared)
		MUST(madvise(memory, size_bytes, MADV_DONTFORK));
	memset(memory, 1, size_bytes);
}

int main(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = take_note };
	const bool subreaper = argc == 2 && strcmp(argv[1], "subreaper") == 0;
	pthread_t counter, waiter;
	int memfd, locked;
	char *large;

	workload_init();
	MUST(sigaction(SIGCHLD, &action, NULL));
	memfd = (int)MUST(memfd_create("counter", MFD_CLOEXEC));
	MUST(ftruncate(memfd, (off_t)PAGE));
	/* A POSIX lock is gone as soon as anybody with this table of descriptors closes the file.
	 */
	locked = make_file("locked", PAGE, 1, O_RDWR);
	MUST(lockf(locked, F_LOCK, 0));
	MUST(flock(locked, LOCK_EX));
	make_counters(memfd);
	/* So much that it takes a while to be read. */
	large = must_mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill_pattern(large, LARGE, 2);
	if (argc == 3)
		make_large(argv[1], argv[2]);
	if (subreaper)
		MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	MUST_PTHREAD(pthread_create(&counter, NULL, count, NULL));
	if (!subreaper)
		MUST_PTHREAD(pthread_create(&waiter, NULL, wait_for_children, NULL));

	(void)workload_checkpoint();

	CHECK(has_pattern(large, LARGE, 2));
	atomic_store(&finishing, true);
	MUST_PTHREAD(pthread_join(counter, NULL));
	if (!subreaper)
		MUST_PTHREAD(pthread_join(waiter, NULL));
	CHECK(!atomic_load(&broken));
	CHECK_EQ(waitpid(-1, NULL, __WALL), -1);
	CHECK_EQ(errno, ECHILD);
	workload_pass();
}
