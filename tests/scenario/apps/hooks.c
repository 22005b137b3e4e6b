/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program with hooks of libthump that say what they are called for:
 *
 *     hooks [IMAGE [refuse NAME | hang NAME | fork NAME | blocked]...]
 *
 * fork: a child of the hook's asks for a dry run of itself, with a single-threaded hook of its own.
 * SIGUSR1: thump_checkpoint() of itself into IMAGE; SIGUSR2: a hook that hangs returns.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thump/thump.h>
#include <unistd.h>

#include "../../lib/tied_fork.h"

enum { HANG_LIMIT_MS = 100, LOOKS = 1000 };

struct hook {
	const char *name;
	enum thump_mode mode;
	enum thump_priority priority;
	bool refuses, hangs, forks;
};

/* In the order in which they are registered. */
static struct hook hooks[] = {
	{ .name = "c-medium-1" },
	{ .name = "c-low", .priority = THUMP_LOW },
	{ .name = "s-low", .mode = THUMP_SINGLE_THREADED, .priority = THUMP_LOW },
	{ .name = "s-high", .mode = THUMP_SINGLE_THREADED, .priority = THUMP_HIGH },
	{ .name = "c-high", .priority = THUMP_HIGH },
	{ .name = "c-medium-2" },
};
#define NR_HOOKS (sizeof(hooks) / sizeof(hooks[0]))

static sem_t released;
static volatile uint64_t turns;
static unsigned char *secret;

static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	(void)putchar('\n');
	(void)fflush(stdout);
}

/* Whether the other thread does not run. */
static bool is_alone(void)
{
	const uint64_t before = turns;

	for (int i = 0; i < LOOKS; i++)
		(void)sched_yield();
	return turns == before;
}

_Noreturn static void child_main(void)
{
	const struct thump_hook own = {
		.size_bytes = sizeof(own),
		.mode = THUMP_SINGLE_THREADED,
	};
	char why[4096] = "";
	const struct thump_request request = {
		.size_bytes = sizeof(request),
		.dry_run = 1,
		.why = why,
		.why_size_bytes = sizeof(why),
	};

	if (!thump_register(&own))
		_exit(1);
	say("child: %d %s", thump_checkpoint(&request), why);
	_exit(0);
}

static void wait_for_child(void)
{
	const pid_t child = fork();

	if (child == 0)
		child_main();
	(void)waitpid(child, NULL, 0);
}

static int before(void *ctx, char *why, size_t why_size_bytes)
{
	const struct hook *hook = ctx;

	if (hook->mode == THUMP_SINGLE_THREADED && !is_alone())
		say("%s is not alone", hook->name);
	say("before %s", hook->name);
	if (hook->forks)
		wait_for_child();
	while (hook->hangs && sem_wait(&released) != 0)
		;
	if (hook->refuses)
		(void)snprintf(why, why_size_bytes, "not while %s", hook->name);
	return hook->refuses;
}

static void after(void *ctx, enum thump_outcome outcome)
{
	static const char *const words[] = { "not saved", "saved", "restored" };
	const struct hook *hook = ctx;

	/* Who did not return in time finds that the others have gone on. */
	if (hook->mode == THUMP_SINGLE_THREADED && !hook->hangs && !is_alone())
		say("%s is not alone", hook->name);
	say("after %s: %s", hook->name, words[outcome]);
}

static void *turn(void *arg)
{
	(void)arg;
	for (;;) {
		turns++;
		(void)sched_yield();
	}
	return NULL;
}

static void release(int signo)
{
	(void)signo;
	(void)sem_post(&released);
}

static void take_words(char **words)
{
	for (; words[0]; words += 2) {
		if (strcmp(words[0], "child") == 0) {
			if (tied_fork() == 0)
				for (;;)
					(void)pause();
			return;
		}
		if (strcmp(words[0], "blocked") == 0) {
			sigset_t all;

			(void)sigfillset(&all);
			(void)pthread_sigmask(SIG_BLOCK, &all, NULL);
			return;
		}
		for (size_t i = 0; words[1] && i < NR_HOOKS; i++) {
			if (strcmp(hooks[i].name, words[1]) != 0)
				continue;
			hooks[i].refuses |= strcmp(words[0], "refuse") == 0;
			hooks[i].hangs |= strcmp(words[0], "hang") == 0;
			hooks[i].forks |= strcmp(words[0], "fork") == 0;
		}
	}
}

static void register_hooks(void)
{
	for (size_t i = 0; i < NR_HOOKS; i++) {
		const struct thump_hook hook = {
			.size_bytes = sizeof(hook),
			.name = hooks[i].name,
			.ctx = &hooks[i],
			.before = before,
			.after = after,
			.mode = hooks[i].mode,
			.priority = hooks[i].priority,
			.limit_ms = hooks[i].hangs ? HANG_LIMIT_MS : 0,
		};

		if (!thump_register(&hook)) {
			perror("thump_register");
			exit(1);
		}
	}
}

static void save(const char *image)
{
	char why[4096];
	const struct thump_request request = {
		.size_bytes = sizeof(request),
		.image = image,
		.leave_running = 1,
		.why = why,
		.why_size_bytes = sizeof(why),
	};
	int outcome;

	/* What was heard of the last one's end came before it was over. */
	while ((outcome = thump_checkpoint(&request)) < 0 && errno == EBUSY)
		(void)sched_yield();
	if (outcome < 0)
		say("checkpoint: %s: %s", strerrorname_np(errno), why);
	else
		say("checkpoint: %d", outcome);
	say("generation %016" PRIx64 " %s", thump_generation(), secret[0] ? "secret" : "wiped");
}

int main(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = release, .sa_flags = SA_RESTART };
	sigset_t wanted;
	pthread_t thread;
	int signo;

	(void)sigaction(SIGUSR2, &action, NULL);
	(void)sem_init(&released, 0, 0);
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGUSR1);
	(void)pthread_sigmask(SIG_BLOCK, &wanted, NULL);
	secret = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (secret == MAP_FAILED || thump_scrub(secret, 4096) != 0)
		return 1;
	secret[0] = 1;
	if (argc > 2)
		take_words(argv + 2);
	register_hooks();
	if (pthread_create(&thread, NULL, turn, NULL) != 0)
		return 1;
	say("ready");
	while (sigwait(&wanted, &signo) == 0)
		save(argv[1]);
	return 1;
}
