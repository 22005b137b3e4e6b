/* SPDX-License-Identifier: Apache-2.0 */
#include "libthump/library.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEFAULT_LIMIT_MS 30000

/* The one piece of state: a process has one registry, whoever asks for it. */
static struct library the_library = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.idle = PTHREAD_COND_INITIALIZER,
	.client_fd = -1,
};

struct library *library(void)
{
	return &the_library;
}

/* ---- serving ------------------------------------------------------------------------------- */

/* On the stack of who starts it, who waits until the tid is there. */
struct start {
	void *(*run)(void *arg);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t begun;
	pid_t tid;
};

static void *begin_thread(void *arg)
{
	struct start *start = arg;
	void *(*run)(void *arg) = start->run;
	void *run_arg = start->arg;

	(void)pthread_mutex_lock(&start->lock);
	start->tid = (pid_t)syscall(SYS_gettid);
	(void)pthread_cond_signal(&start->begun);
	(void)pthread_mutex_unlock(&start->lock);
	return run(run_arg);
}

int library_start_thread(pthread_t *thread_ret, pid_t *tid_ret, void *(*run)(void *arg), void *arg)
{
	struct start start = {
		.run = run,
		.arg = arg,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.begun = PTHREAD_COND_INITIALIZER,
	};
	sigset_t all, before;
	int error;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(thread_ret, NULL, begin_thread, &start);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		return error;
	(void)pthread_mutex_lock(&start.lock);
	while (!start.tid)
		(void)pthread_cond_wait(&start.begun, &start.lock);
	(void)pthread_mutex_unlock(&start.lock);
	*tid_ret = start.tid;
	return 0;
}

int library_serve_locked(struct library *lib)
{
	int error;

	if (lib->page)
		return 0;
	lib->page = mmap(NULL, sizeof(*lib->page), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (lib->page == MAP_FAILED) {
		lib->page = NULL;
		return ENOMEM;
	}
	thump_coord_listener_init(&lib->listener);
	error = library_start_thread(&lib->listener.thread, &lib->server_tid, server_main, lib);
	if (error == 0) {
		(void)pthread_detach(lib->listener.thread);
		return 0;
	}
	thump_coord_listener_deinit(&lib->listener);
	(void)munmap(lib->page, sizeof(*lib->page));
	lib->page = NULL;
	return error;
}

/* ---- hooks --------------------------------------------------------------------------------- */

static bool is_known(const struct thump_hook *hook)
{
	return hook && hook->size_bytes == sizeof(*hook) && hook->priority >= THUMP_LOW &&
	       hook->priority <= THUMP_HIGH &&
	       (hook->mode == THUMP_CONCURRENT || hook->mode == THUMP_SINGLE_THREADED);
}

static struct thump_registration *make(const struct thump_hook *hook)
{
	struct thump_registration *registration = calloc(1, sizeof(*registration));

	if (!registration)
		return NULL;
	if (hook->name)
		(void)snprintf(registration->name, sizeof(registration->name), "%s", hook->name);
	else
		(void)snprintf(registration->name, sizeof(registration->name), "%p",
			       (void *)registration);
	registration->ctx = hook->ctx;
	registration->before = hook->before;
	registration->after = hook->after;
	registration->priority = hook->priority;
	registration->mode = hook->mode;
	registration->limit_ms = hook->limit_ms ? hook->limit_ms : DEFAULT_LIMIT_MS;
	return registration;
}

THUMP_EXPORT struct thump_registration *thump_register(const struct thump_hook *hook)
{
	struct thump_registration *registration;
	struct library *lib = library();
	int error;

	if (!is_known(hook)) {
		errno = EINVAL;
		return NULL;
	}
	registration = make(hook);
	if (!registration)
		return NULL;
	(void)pthread_mutex_lock(&lib->lock);
	error = hook->mode == THUMP_SINGLE_THREADED ? park_prepare() : 0;
	if (error == 0)
		error = library_serve_locked(lib);
	if (error == 0) {
		registration->number = lib->next_number++;
		registration->next = lib->hooks;
		lib->hooks = registration;
	}
	(void)pthread_mutex_unlock(&lib->lock);
	if (error == 0)
		return registration;
	free(registration);
	errno = error;
	return NULL;
}

THUMP_EXPORT void thump_unregister(struct thump_registration *registration)
{
	struct library *lib = library();
	struct thump_registration **place = &lib->hooks;
	bool in_round;

	if (!registration)
		return;
	(void)pthread_mutex_lock(&lib->lock);
	while (lib->busy && !library_is_hook_thread_locked(lib))
		(void)pthread_cond_wait(&lib->idle, &lib->lock);
	while (*place && *place != registration)
		place = &(*place)->next;
	if (*place)
		*place = registration->next;
	/* The round that calls us frees what it has in its list. */
	in_round = registration->in_round;
	registration->removed = true;
	(void)pthread_mutex_unlock(&lib->lock);
	if (!in_round)
		free(registration);
}

bool library_is_hook_thread_locked(const struct library *lib)
{
	return lib->has_hook_thread && pthread_equal(lib->hook_thread, pthread_self());
}

/* ---- memory -------------------------------------------------------------------------------- */

static bool overlaps(const struct library *lib, uint64_t start, uint64_t end, uint32_t advice)
{
	for (size_t i = 0; i < lib->nr_ranges; i++)
		if (lib->ranges[i].advice == advice && lib->ranges[i].start < end &&
		    start < lib->ranges[i].end)
			return true;
	return false;
}

/* 0 or an errno. */
static int add_range_locked(struct library *lib, uint64_t start, uint64_t end, uint32_t advice)
{
	struct thump_coord_range *grown;
	size_t place = lib->nr_ranges;
	int error = library_serve_locked(lib);

	if (error)
		return error;
	if (overlaps(lib, start, end, advice))
		return EINVAL;
	grown = realloc(lib->ranges, (lib->nr_ranges + 1) * sizeof(*grown));
	if (!grown)
		return ENOMEM;
	lib->ranges = grown;
	for (; place > 0 && grown[place - 1].start > start; place--)
		grown[place] = grown[place - 1];
	grown[place] = (struct thump_coord_range){ .start = start, .end = end, .advice = advice };
	lib->nr_ranges++;
	return 0;
}

static int add_range(void *addr, size_t size_bytes, uint32_t advice)
{
	const uint64_t start = (uintptr_t)addr, end = start + size_bytes;
	struct library *lib = library();
	int error = EINVAL;

	if ((start | size_bytes) % PAGE_SIZE == 0 && start < end) {
		(void)pthread_mutex_lock(&lib->lock);
		error = add_range_locked(lib, start, end, advice);
		(void)pthread_mutex_unlock(&lib->lock);
	}
	if (error == 0)
		return 0;
	errno = error;
	return -1;
}

THUMP_EXPORT int thump_lazy(void *addr, size_t size_bytes)
{
	return add_range(addr, size_bytes, THUMP_COORD_VOUCHED);
}

THUMP_EXPORT int thump_scrub(void *addr, size_t size_bytes)
{
	return add_range(addr, size_bytes, THUMP_COORD_NEEDLESS);
}

THUMP_EXPORT void thump_forget(void *addr, size_t size_bytes)
{
	const uint64_t start = (uintptr_t)addr, end = start + size_bytes;
	struct library *lib = library();
	size_t kept = 0;

	(void)pthread_mutex_lock(&lib->lock);
	for (size_t i = 0; i < lib->nr_ranges; i++)
		if (lib->ranges[i].start < start || lib->ranges[i].start >= end)
			lib->ranges[kept++] = lib->ranges[i];
	lib->nr_ranges = kept;
	(void)pthread_mutex_unlock(&lib->lock);
}

/* ---- fork ---------------------------------------------------------------------------------- */

void library_hang_up(struct library *lib, int fd)
{
	lib->client_fd = -1;
	(void)shutdown(fd, SHUT_RDWR);
	(void)close(fd);
}

/* The child has neither the threads nor the socket; hooks are its parent's. What they lie in is
 * left where it is: the locks of malloc(3) may be taken. */
void library_forget_in_child(void)
{
	struct library *lib = library();

	if (lib->page && lib->listener.fd >= 0)
		(void)close(lib->listener.fd);
	if (lib->client_fd >= 0)
		(void)close(lib->client_fd);
	park_forget_in_child();
	*lib = (struct library){
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.idle = PTHREAD_COND_INITIALIZER,
		.client_fd = -1,
	};
}
