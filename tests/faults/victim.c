/* SPDX-License-Identifier: Apache-2.0 */
#include "victim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <thump/thump.h>
#include <unistd.h>

#define PATIENCE_S 20
#define REST_NS	   2000000

/* A thread and what it does; one of waiter and worker is set. */
struct seat {
	const struct waiter *waiter;
	const struct worker *worker;
	struct waiter_state state;
	pthread_t thread;
	atomic_int tid; /* 0 until it has set up */
	atomic_ulong rounds;
};

/* ---- errors -------------------------------------------------------------------------------- */

static atomic_int nr_errors, nr_eintrs, nr_late;

void victim_error(const char *who, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	(void)fprintf(stderr, "victim: %s: %s\n", who, text);
	(void)atomic_fetch_add(&nr_errors, 1);
}

void victim_eintr(const char *who)
{
	(void)fprintf(stderr, "victim: %s: EINTR\n", who);
	(void)atomic_fetch_add(&nr_eintrs, 1);
}

void victim_late(const char *who)
{
	(void)fprintf(stderr, "victim: %s: too late\n", who);
	(void)atomic_fetch_add(&nr_late, 1);
}

void victim_must(bool good, const char *what)
{
	if (good)
		return;
	(void)fprintf(stderr, "victim: %s: %s\n", what, strerror(errno));
	_exit(3);
}

/* Workers leave the CPUs to each other and to the tests; one has handlers that cut it short. */
static void rest(void)
{
	const struct timespec pause = { .tv_nsec = REST_NS };

	(void)nanosleep(&pause, NULL);
}

/* ---- threads ------------------------------------------------------------------------------- */

static atomic_bool finishing;

static void run_waiter(struct seat *seat)
{
	long result;

	if (seat->waiter->set_up)
		seat->waiter->set_up(&seat->state);
	seat->state.tid = gettid();
	atomic_store(&seat->tid, gettid());
	while ((result = seat->waiter->wait(&seat->state)) == -1 && errno == EINTR)
		victim_eintr(seat->waiter->name);
	if (!atomic_load(&finishing) || result != seat->waiter->want)
		victim_error(seat->waiter->name, "returned %ld: %s", result, strerror(errno));
}

static void run_worker(struct seat *seat)
{
	if (seat->worker->set_up)
		seat->worker->set_up();
	atomic_store(&seat->tid, gettid());
	while (!atomic_load(&finishing)) {
		seat->worker->round();
		(void)atomic_fetch_add(&seat->rounds, 1);
		rest();
	}
}

static void *run_seat(void *arg)
{
	struct seat *seat = arg;

	if (seat->waiter)
		run_waiter(seat);
	else
		run_worker(seat);
	return NULL;
}

/* Their descriptors, children or registers can be in no image. */
static const char *const unsavable[] = {
	"io_getevents",	   "flock",	   "waitpid",  "waitid", "record lock",
	"mq_timedreceive", "mq_timedsend", "terminal", "tiles",
};

static bool is_savable(const char *name)
{
	for (size_t i = 0; i < sizeof(unsavable) / sizeof(unsavable[0]); i++)
		if (strcmp(unsavable[i], name) == 0)
			return false;
	return true;
}

/* All that are taken. */
struct seats {
	struct seat *list;
	size_t count;
};

static struct seats take_seats(bool savable)
{
	struct seats seats = {
		.list = calloc(victim_nr_waiters + victim_nr_workers, sizeof(*seats.list)),
	};

	victim_must(seats.list != NULL, "calloc");
	for (size_t i = 0; i < victim_nr_waiters; i++)
		if (!savable || is_savable(victim_waiters[i].name))
			seats.list[seats.count++].waiter = &victim_waiters[i];
	for (size_t i = 0; i < victim_nr_workers; i++)
		if (!savable || is_savable(victim_workers[i].name))
			seats.list[seats.count++].worker = &victim_workers[i];
	for (size_t i = 0; i < seats.count; i++)
		victim_must(pthread_create(&seats.list[i].thread, NULL, run_seat, &seats.list[i]) ==
				    0,
			    "pthread_create");
	return seats;
}

/* ---- hooks --------------------------------------------------------------------------------- */

/* Of libthump, where the victim is linked with it: then each checkpoint calls a hook. */
__attribute__((weak)) struct thump_registration *thump_register(const struct thump_hook *hook);
__attribute__((weak)) void thump_unregister(struct thump_registration *registration);

static struct thump_registration *registration;
static atomic_int nr_before, nr_after;

static int before_checkpoint(void *ctx, char *why, size_t why_size_bytes)
{
	(void)ctx;
	(void)why;
	(void)why_size_bytes;
	(void)atomic_fetch_add(&nr_before, 1);
	return 0;
}

static void after_checkpoint(void *ctx, enum thump_outcome outcome)
{
	(void)ctx;
	if (outcome == THUMP_RESTORED)
		victim_error("hook", "is told that this is a restored process");
	(void)atomic_fetch_add(&nr_after, 1);
}

static void register_hook(void)
{
	const struct thump_hook hook = {
		.size_bytes = sizeof(hook),
		.name = "victim",
		.before = before_checkpoint,
		.after = after_checkpoint,
	};

	if (!thump_register)
		return;
	registration = thump_register(&hook);
	victim_must(registration != NULL, "thump_register");
}

/* Waits for the end of a checkpoint that is under way, as thump_unregister() does. */
static void check_hook(void)
{
	if (!thump_register)
		return;
	thump_unregister(registration);
	if (atomic_load(&nr_before) != atomic_load(&nr_after))
		victim_error("hook", "was called %d times before and %d times after",
			     atomic_load(&nr_before), atomic_load(&nr_after));
	register_hook();
}

/* ---- looking at them ----------------------------------------------------------------------- */

/* No event tells that a thread has gone to sleep: look again until it has. */
static bool look_until(bool (*good)(const struct seat *seat, unsigned long extra),
		       const struct seat *seat, unsigned long extra)
{
	const time_t deadline = time(NULL) + PATIENCE_S;

	while (!good(seat, extra)) {
		if (time(NULL) > deadline)
			return false;
		(void)sched_yield();
	}
	return true;
}

static bool is_in_its_call(const struct seat *seat, unsigned long extra)
{
	char path[64], text[256] = { 0 };
	long nr;
	int fd;

	(void)extra;
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", atomic_load(&seat->tid));
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		text[0] = 'r';
	(void)close(fd);
	if (atomic_load(&seat->tid) == 0 || text[0] < '0' || text[0] > '9')
		return false; /* "running" */
	nr = strtol(text, NULL, 10);
	/* After a stop, calls with a restart block go on as restart_syscall(2). */
	return nr == seat->waiter->nr || nr == SYS_restart_syscall;
}

static bool has_gone_on(const struct seat *seat, unsigned long before)
{
	/* Two more: one round that began after the question. */
	return atomic_load(&seat->rounds) >= before + 2;
}

static void check_all(const struct seats *seats)
{
	unsigned long *before = calloc(seats->count, sizeof(*before));

	victim_must(before != NULL, "calloc");
	for (size_t i = 0; i < seats->count; i++)
		before[i] = atomic_load(&seats->list[i].rounds);
	for (size_t i = 0; i < seats->count; i++) {
		if (seats->list[i].waiter && !look_until(is_in_its_call, &seats->list[i], 0))
			victim_error(seats->list[i].waiter->name, "is not in its system call");
		if (seats->list[i].worker && !seats->list[i].worker->slow &&
		    !look_until(has_gone_on, &seats->list[i], before[i]))
			victim_error(seats->list[i].worker->name, "does not go on");
	}
	free(before);
}

static void wake_all(const struct seats *seats)
{
	atomic_store(&finishing, true);
	for (size_t i = 0; i < seats->count; i++) {
		if (seats->list[i].waiter)
			seats->list[i].waiter->wake(&seats->list[i].state);
	}
	for (size_t i = 0; i < seats->count; i++)
		(void)pthread_join(seats->list[i].thread, NULL);
}

static void answer(void)
{
	(void)printf("%d errors %d eintrs %d late\n", atomic_load(&nr_errors),
		     atomic_load(&nr_eintrs), atomic_load(&nr_late));
	(void)fflush(stdout);
}

int main(int argc, char **argv)
{
	const bool savable = argc > 1 && strcmp(argv[1], "savable") == 0;
	struct seats seats;
	sigset_t all;
	char order;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* What a tracer may have threads signal themselves with (trace/train.c) means nothing here.
	 */
	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGURG);
	(void)pthread_sigmask(SIG_BLOCK, &all, NULL);
	seats = take_seats(savable);
	register_hook();
	check_all(&seats);
	(void)puts("ready");
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &order, 1) == 1) {
		check_hook();
		if (order == 'q')
			wake_all(&seats);
		else
			check_all(&seats);
		answer();
		if (order == 'q')
			break;
	}
	return atomic_load(&nr_errors) == 0 ? 0 : 1;
}
