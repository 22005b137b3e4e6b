/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which copy this is. A page with MADV_WIPEONFORK says 1 while it has been looked after, and 0 in a
 * process that was just restored: the engine gives such memory back as zeros, as fork(2) does. So a
 * copy is seen by whoever looks first, and nobody has to run at the restore.
 *
 * OpenSSL and libgcrypt look after themselves, if only they see that they are in a copy: they draw
 * from the kernel anew when getpid(2) is not what it was, for the sake of fork(2). A restored
 * process has the pid that it had. So the library has a getpid() of its own, which gives these two,
 * and nobody else, a number that is another one in every copy, and in every child of a copy. There
 * is no moment in which a generator could be used before it is renewed, no lock is taken, and no
 * thread is needed.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "coord/openssl.h"
#include "libthump/library.h"

/* No process has such a pid: PID_MAX_LIMIT is 2^22 (proc_sys_kernel(5)). */
#define NO_PID_BIT  0x40000000
#define NO_PID_MASK 0x3fffffff

struct generation {
	/* A futex, in memory that is zero in a copy; else one more than `changes`, so that it never
	 * is again what somebody waits for. NULL: the kernel has no such memory. */
	uint32_t *alive;
	uint32_t changes; /* how often `number` has changed */
	uint64_t number;
	int64_t restored_ns;
};

static struct generation generation;

static int64_t now_ns(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint64_t draw(void)
{
	uint64_t number = 0;

	/* It can fail only while the kernel's generator is not seeded. */
	while (number == 0)
		if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != (ssize_t)sizeof(number))
			number = (uint64_t)now_ns(CLOCK_REALTIME);
	return number;
}

/* Without a lock, as a signal handler may ask for its pid. Two threads that see a copy at the same
 * time may both change the number, which hurts nobody. */
void generation_renew(void)
{
	uint64_t old = __atomic_load_n(&generation.number, __ATOMIC_ACQUIRE);
	uint32_t alive;

	generation.restored_ns = now_ns(CLOCK_REALTIME);
	(void)__atomic_compare_exchange_n(&generation.number, &old, draw(), false, __ATOMIC_ACQ_REL,
					  __ATOMIC_RELAXED);
	alive = __atomic_add_fetch(&generation.changes, 1, __ATOMIC_ACQ_REL) + 1;
	if (!generation.alive)
		return;
	__atomic_store_n(generation.alive, alive, __ATOMIC_RELEASE);
	(void)library_futex(generation.alive, FUTEX_WAKE_PRIVATE, INT_MAX, NULL);
}

void generation_look(void)
{
	if (generation.alive && !__atomic_load_n(generation.alive, __ATOMIC_ACQUIRE))
		generation_renew();
}

THUMP_EXPORT uint64_t thump_generation(void)
{
	generation_look();
	return __atomic_load_n(&generation.number, __ATOMIC_ACQUIRE);
}

THUMP_EXPORT int64_t thump_restore_time_ns(void)
{
	generation_look();
	return generation.restored_ns;
}

uint32_t generation_alive(void)
{
	return __atomic_load_n(generation.alive, __ATOMIC_ACQUIRE);
}

/* A zero stays: it says that nobody has seen the copy yet. */
void generation_wake(void)
{
	uint32_t alive = generation_alive();

	while (alive != 0) {
		uint32_t next = __atomic_add_fetch(&generation.changes, 1, __ATOMIC_ACQ_REL) + 1;

		if (__atomic_compare_exchange_n(generation.alive, &alive, next, false,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			break;
	}
	(void)library_futex(generation.alive, FUTEX_WAKE_PRIVATE, INT_MAX, NULL);
}

void generation_sleep(uint32_t alive, int64_t timeout_ns)
{
	const struct timespec timeout = {
		.tv_sec = timeout_ns / 1000000000,
		.tv_nsec = timeout_ns % 1000000000,
	};

	(void)library_futex(generation.alive, FUTEX_WAIT_PRIVATE, alive,
			    timeout_ns < 0 ? NULL : &timeout);
}

THUMP_EXPORT int thump_wait_generation(uint64_t seen, int timeout_ms)
{
	const int64_t end_ns = now_ns(CLOCK_MONOTONIC) + (int64_t)timeout_ms * 1000000;

	if (!generation.alive) {
		errno = ENOSYS;
		return -1;
	}
	for (;;) {
		const uint32_t alive = generation_alive();
		int64_t left_ns = -1;

		if (thump_generation() != seen)
			return 0;
		if (timeout_ms >= 0)
			left_ns = end_ns - now_ns(CLOCK_MONOTONIC);
		if (timeout_ms >= 0 && left_ns <= 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		/* The kernel begins the wait anew in a restored process, and finds a zero. */
		generation_sleep(alive, left_ns);
	}
}

/* ---- getpid(2) ----------------------------------------------------------------------------- */

/* Libraries that take another pid for "I am a copy", and use it for nothing else. */
static bool asks_for_copies(const char *path)
{
	const char *slash = strrchr(path, '/');

	return thump_openssl_is(path) ||
	       strncmp(slash ? slash + 1 : path, "libgcrypt", strlen("libgcrypt")) == 0;
}

/* Found without a lock, unlike by dladdr(3). */
static bool caller_asks_for_copies(void *caller)
{
	struct dl_find_object object;

	return _dl_find_object(caller, &object) == 0 && object.dlfo_link_map &&
	       asks_for_copies(object.dlfo_link_map->l_name);
}

/* Takes the place of the C library's where this library comes before it. */
THUMP_EXPORT pid_t getpid(void)
{
	const pid_t pid = (pid_t)syscall(SYS_getpid);
	uint64_t number;

	generation_look();
	number = __atomic_load_n(&generation.number, __ATOMIC_ACQUIRE);
	if (number == 0 || !caller_asks_for_copies(__builtin_return_address(0)))
		return pid;
	/* A child of fork(2) has the number of its parent, and must be seen, too. */
	return (pid_t)((((uint32_t)number + (uint32_t)pid) & NO_PID_MASK) | NO_PID_BIT);
}

/* ---- the beginning ------------------------------------------------------------------------- */

/* The page is zero in the child; but a child is no copy that somebody has to be told of. */
static void after_fork_in_child(void)
{
	*generation.alive = generation.changes + 1;
	library_forget_in_child();
	watch_forget_in_child();
}

/* Takes the library out of LD_PRELOAD again: what the program starts is not ours to be in. env(1)
 * starts exactly one, which was meant. */
static void leave_environment(void)
{
	const char *list = getenv("LD_PRELOAD"), *own;
	Dl_info info;
	size_t rest;

	if (!list || strcmp(program_invocation_short_name, "env") == 0 ||
	    dladdr(&generation, &info) == 0)
		return;
	own = strrchr(list, ':');
	own = own ? own + 1 : list;
	if (strcmp(own, info.dli_fname) != 0)
		return;
	rest = own == list ? 0 : (size_t)(own - list) - 1;
	if (rest == 0) {
		(void)unsetenv("LD_PRELOAD");
	} else {
		char *shorter = strndup(list, rest);

		if (shorter)
			(void)setenv("LD_PRELOAD", shorter, 1);
		free(shorter);
	}
}

__attribute__((constructor)) static void begin(void)
{
	void *page =
		mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	leave_environment();
	if (page == MAP_FAILED)
		return;
	if (madvise(page, PAGE_SIZE, MADV_WIPEONFORK) != 0 ||
	    pthread_atfork(NULL, NULL, after_fork_in_child) != 0) {
		(void)munmap(page, PAGE_SIZE);
		return;
	}
	generation.alive = page;
	*generation.alive = 1;
	if (generators_need_thread())
		watch_begin();
}
