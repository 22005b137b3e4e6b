/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Draws random numbers: one of each generator before `ready`, so that all are seeded, and COUNT of
 * each after SIGUSR2, as lines "GENERATOR NUMBER".
 *
 *     draws COUNT [hook] [fork]
 *
 * hook: a hook of libthump is registered; fork: two children of fork(2) then draw as many.
 */
#include <dlfcn.h>
#include <gcrypt.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <thump/thump.h>
#include <unistd.h>

enum { NUMBER_BYTES = 16 };

static void say(const char *name, const unsigned char *number)
{
	(void)printf("%s ", name);
	for (int i = 0; i < NUMBER_BYTES; i++)
		(void)printf("%02x", number[i]);
	(void)putchar('\n');
}

static int draw_one(void)
{
	unsigned char number[NUMBER_BYTES];

	if (RAND_bytes(number, sizeof(number)) != 1)
		return -1;
	say("RAND_bytes", number);
	if (RAND_priv_bytes(number, sizeof(number)) != 1)
		return -1;
	say("RAND_priv_bytes", number);
	gcry_randomize(number, sizeof(number), GCRY_STRONG_RANDOM);
	say("gcry_randomize", number);
	gcry_create_nonce(number, sizeof(number));
	say("gcry_create_nonce", number);
	arc4random_buf(number, sizeof(number));
	say("arc4random", number);
	return 0;
}

static int draw_many(int count)
{
	for (int i = 0; i < count; i++)
		if (draw_one() != 0)
			return -1;
	return 0;
}

/* In a child, which is waited for. */
static int draw_forked(int count)
{
	int status;
	pid_t child;

	(void)fflush(stdout);
	child = fork();
	if (child == 0) {
		status = draw_many(count);
		(void)fflush(stdout);
		_exit(status != 0);
	}
	return child > 0 && waitpid(child, &status, 0) == child && status == 0 ? 0 : -1;
}

static int has_word(char **words, const char *word)
{
	for (; *words; words++)
		if (strcmp(*words, word) == 0)
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	const int count = argc > 1 ? atoi(argv[1]) : 0;
	const int forks = has_word(argv, "fork") ? 2 : 0;
	const struct thump_hook hook = { .size_bytes = sizeof(hook), .name = "draws" };
	sigset_t wanted;
	int signo;

	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGUSR2);
	(void)sigprocmask(SIG_BLOCK, &wanted, NULL);
	if (has_word(argv, "hook")) {
		struct thump_registration *(*reg)(const struct thump_hook *) =
			(struct thump_registration * (*)(const struct thump_hook *))
				dlsym(RTLD_DEFAULT, "thump_register");

		if (!reg || !reg(&hook))
			return 1;
	}
	if (!gcry_check_version(NULL) || gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0) ||
	    draw_one() != 0)
		return 1;
	(void)puts("ready");
	(void)fflush(stdout);
	(void)sigwait(&wanted, &signo);
	if (draw_many(count) != 0)
		return 1;
	for (int i = 0; i < forks; i++)
		if (draw_forked(count) != 0)
			return 1;
	(void)puts("end");
	return 0;
}
