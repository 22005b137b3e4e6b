/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holding all other threads for single-threaded hooks: each is sent a real-time signal, and waits
 * in its handler. They are captured there, and wait on in a restored process until its hooks have
 * run. Nothing here allocates: a thread that is held may hold the locks of malloc(3).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "libthump/library.h"

enum { MAX_THREADS = 8192, LOOK_NS = 10000000, PATIENCE_LOOKS = 200 };

struct park {
	int signo;	  /* 0: none yet */
	uint32_t holding; /* a futex */
	uint32_t nr_held; /* a futex */
	size_t nr_called;
	pid_t called[MAX_THREADS];
	bool held[MAX_THREADS];
};

static struct park park;

static size_t place_of(pid_t tid)
{
	size_t i = 0;

	while (i < park.nr_called && park.called[i] != tid)
		i++;
	return i;
}

static void hold(int signo)
{
	const int saved_errno = errno;
	size_t place;

	(void)signo;
	if (!__atomic_load_n(&park.holding, __ATOMIC_ACQUIRE))
		return; /* late: it is over */
	place = place_of((pid_t)syscall(SYS_gettid));
	if (place == park.nr_called)
		return; /* somebody else's signal */
	park.held[place] = true;
	(void)__atomic_add_fetch(&park.nr_held, 1, __ATOMIC_ACQ_REL);
	(void)library_futex(&park.nr_held, FUTEX_WAKE_PRIVATE, INT_MAX, NULL);
	while (__atomic_load_n(&park.holding, __ATOMIC_ACQUIRE))
		(void)library_futex(&park.holding, FUTEX_WAIT_PRIVATE, 1, NULL);
	(void)__atomic_sub_fetch(&park.nr_held, 1, __ATOMIC_ACQ_REL);
	(void)library_futex(&park.nr_held, FUTEX_WAKE_PRIVATE, INT_MAX, NULL);
	errno = saved_errno;
}

int park_prepare(void)
{
	struct sigaction own = { .sa_handler = hold, .sa_flags = SA_RESTART }, there;

	(void)sigfillset(&own.sa_mask);
	for (int signo = SIGRTMAX; park.signo == 0 && signo >= SIGRTMIN; signo--) {
		if (sigaction(signo, NULL, &there) != 0 || there.sa_handler != SIG_DFL)
			continue;
		if (sigaction(signo, &own, NULL) == 0)
			park.signo = signo;
	}
	return park.signo ? 0 : EBUSY;
}

/* Calls those who were not yet called. -1: the list cannot be read, or is too long; else how many.
 */
static int call_new(int task_fd, const pid_t *but, size_t nr_but)
{
	char buffer[4096] __attribute__((aligned(8)));
	const pid_t own = (pid_t)syscall(SYS_gettid), process = (pid_t)syscall(SYS_getpid);
	long got, nr_new = 0;

	if (lseek(task_fd, 0, SEEK_SET) != 0)
		return -1;
	while ((got = syscall(SYS_getdents64, task_fd, buffer, sizeof(buffer))) > 0) {
		for (long at = 0; at < got;) {
			const struct dirent64 *entry = (const void *)(buffer + at);
			const pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
			bool skip = tid <= 0 || tid == own || place_of(tid) < park.nr_called;

			at += entry->d_reclen;
			for (size_t i = 0; i < nr_but; i++)
				skip |= tid == but[i];
			if (skip)
				continue;
			if (park.nr_called == MAX_THREADS)
				return -1;
			park.held[park.nr_called] = false;
			park.called[park.nr_called] = tid;
			/* One that has just ended is not waited for: see still_there(). */
			__atomic_store_n(&park.nr_called, park.nr_called + 1, __ATOMIC_RELEASE);
			(void)syscall(SYS_tgkill, process, tid, park.signo);
			nr_new++;
		}
	}
	return got < 0 ? -1 : (int)nr_new;
}

/* The first that is neither held nor gone, or 0. */
static pid_t still_there(void)
{
	const pid_t process = (pid_t)syscall(SYS_getpid);

	for (size_t i = 0; i < park.nr_called; i++)
		if (!__atomic_load_n(&park.held[i], __ATOMIC_ACQUIRE) &&
		    (syscall(SYS_tgkill, process, park.called[i], 0) == 0 || errno != ESRCH))
			return park.called[i];
	return 0;
}

/* 0: all that were called are held; else one that is not, within 2 s. */
static pid_t wait_for_held(void)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	pid_t missing = still_there();

	for (int i = 0; missing && i < PATIENCE_LOOKS; i++) {
		uint32_t nr_held = __atomic_load_n(&park.nr_held, __ATOMIC_ACQUIRE);

		missing = still_there();
		if (missing)
			(void)library_futex(&park.nr_held, FUTEX_WAIT_PRIVATE, nr_held, &pause);
	}
	return missing ? still_there() : 0;
}

void park_release(void)
{
	uint32_t nr_held;

	__atomic_store_n(&park.holding, 0, __ATOMIC_RELEASE);
	(void)library_futex(&park.holding, FUTEX_WAKE_PRIVATE, INT_MAX, NULL);
	/* Not before all have left may others be called: they look at the same list. */
	while ((nr_held = __atomic_load_n(&park.nr_held, __ATOMIC_ACQUIRE)) > 0)
		(void)library_futex(&park.nr_held, FUTEX_WAIT_PRIVATE, nr_held, NULL);
}

void park_forget_in_child(void)
{
	park.holding = 0;
	park.nr_held = 0;
	park.nr_called = 0;
}

bool park_all(const pid_t *but, size_t nr_but, char *why, size_t why_size_bytes)
{
	int task_fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC), nr_new;
	pid_t missing = 0;

	park.nr_called = 0;
	__atomic_store_n(&park.holding, 1, __ATOMIC_RELEASE);
	/* Until a listing has nobody new: those who are held make no threads. */
	do {
		nr_new = task_fd < 0 ? -1 : call_new(task_fd, but, nr_but);
		missing = nr_new < 0 ? 0 : wait_for_held();
	} while (nr_new > 0 && !missing);
	if (task_fd >= 0)
		(void)close(task_fd);
	if (nr_new == 0 && !missing)
		return true;
	park_release();
	if (missing)
		(void)snprintf(why, why_size_bytes,
			       "thread %d cannot be held for single-threaded hooks: it does not "
			       "take signal %d",
			       (int)missing, park.signo);
	else
		(void)snprintf(why, why_size_bytes,
			       "the threads cannot be held for single-threaded hooks: "
			       "/proc/self/task cannot be read, or has more than %d",
			       MAX_THREADS);
	return false;
}
