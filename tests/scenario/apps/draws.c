/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Draws random numbers: one of each generator before `ready`, so that all are seeded, and COUNT of
 * each after SIGUSR2, as lines "GENERATOR NUMBER".
 *
 *     draws COUNT [hook]    hook: a hook of libthump is registered
 */
#include <dlfcn.h>
#include <gcrypt.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thump/thump.h>

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

int main(int argc, char **argv)
{
	const int count = argc > 1 ? atoi(argv[1]) : 0, with_hook = argc > 2;
	const struct thump_hook hook = { .size_bytes = sizeof(hook), .name = "draws" };
	sigset_t wanted;
	int signo;

	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGUSR2);
	(void)sigprocmask(SIG_BLOCK, &wanted, NULL);
	if (with_hook) {
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
	for (int i = 0; i < count; i++)
		if (draw_one() != 0)
			return 1;
	(void)puts("end");
	return 0;
}
