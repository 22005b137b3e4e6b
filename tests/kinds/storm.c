/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: storm KIND: does what a stop can come in the middle of, all the time, and checks that it
 * works each time. SIGUSR1 or SIGUSR2 ends it: 0 if nothing ever went wrong.
 */
#include "workload.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;

static bool is_over(void)
{
	sigset_t set;

	MUST(sigpending(&set));
	return sigismember(&set, SIGUSR1) || sigismember(&set, SIGUSR2);
}

/* ---- what a round does --------------------------------------------------------------------- */

static void expect_exit(pid_t child, int want)
{
	int status;

	/* No handler is installed: nothing may interrupt this. */
	CHECK_EQ(MUST(waitpid(child, &status, 0)), child);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), want);
}

static void fork_once(void)
{
	pid_t child = (pid_t)MUST(fork());

	if (child == 0)
		_exit(7);
	expect_exit(child, 7);
}

static void vfork_once(void)
{
	pid_t child = vfork();

	CHECK(child >= 0);
	if (child == 0)
		_exit(8);
	expect_exit(child, 8);
}

static void spawn_once(void)
{
	char *argv[] = { (char *)"true", NULL };
	pid_t child;

	CHECK_EQ(posix_spawnp(&child, "true", NULL, NULL, argv, environ), 0);
	expect_exit(child, 0);
}

static void *add_one(void *arg)
{
	int *number = arg;

	(*number)++;
	return arg;
}

static void thread_once(void)
{
	enum { AT_ONCE = 4 };
	pthread_t threads[AT_ONCE];
	int numbers[AT_ONCE] = { 0 };

	for (int i = 0; i < AT_ONCE; i++)
		MUST_PTHREAD(pthread_create(&threads[i], NULL, add_one, &numbers[i]));
	for (int i = 0; i < AT_ONCE; i++) {
		void *result;

		MUST_PTHREAD(pthread_join(threads[i], &result));
		CHECK(result == &numbers[i]);
		CHECK_EQ(numbers[i], 1);
	}
}

/* The next one goes on with the same pid, mask and pending signals. */
static void exec_once(void)
{
	char *argv[] = { (char *)"storm", (char *)"exec", (char *)"again", NULL };

	MUST(execv("/proc/self/exe", argv));
}

static volatile sig_atomic_t nr_handled;
static int nr_sent;

static void count(int signo)
{
	(void)signo;
	nr_handled++;
}

/* Real-time signals are queued: none may be lost, none may come twice. */
static void signal_once(void)
{
	enum { BURST = 50 };

	for (int i = 0; i < BURST; i++) {
		MUST(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = i }));
		nr_sent++;
	}
	CHECK_EQ(nr_handled, nr_sent);
}

static void memory_once(void)
{
	const size_t size_bytes = 64 * 4096;
	char *at = must_mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);

	fill_pattern(at, size_bytes, 5);
	CHECK(has_pattern(at, size_bytes, 5));
	MUST(munmap(at, size_bytes));
}

static const struct {
	const char *name;
	void (*once)(void);
} kinds[] = {
	{ "fork", fork_once },	   { "vfork", vfork_once }, { "spawn", spawn_once },
	{ "thread", thread_once }, { "exec", exec_once },   { "signal", signal_once },
	{ "memory", memory_once },
};

static void (*find(const char *name))(void)
{
	for (size_t i = 0; i < NR_OF(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return kinds[i].once;
	FAIL("no storm is called %s", name);
}

int main(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = count, .sa_flags = SA_RESTART };
	void (*once)(void);

	CHECK(argc > 1);
	once = find(argv[1]);
	workload_init();
	MUST(sigaction(SIGRTMIN + 1, &action, NULL));
	if (argc == 2)
		workload_ready();
	while (!is_over())
		once();
	workload_pass();
}
