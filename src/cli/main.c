/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/types.h"
#include "cli/cli.h"
#include "cli/report.h"
#include "version.h"

#define BIG_BYTES (128 << 10)

static const struct thump_verb *const verbs[] = {
	&thump_verb_run,    &thump_verb_checkpoint, &thump_verb_restore, &thump_verb_template,
	&thump_verb_spawn,  &thump_verb_ps,	    &thump_verb_hooks,	 &thump_verb_inspect,
	&thump_verb_verify, &thump_verb_train,	    &thump_verb_pack,	 &thump_verb_unpack,
	&thump_verb_gc,	    &thump_verb_keygen,	    &thump_verb_sign,	 &thump_verb_doctor,
};

static void print_help(FILE *out)
{
	fprintf(out, "usage: thump VERB [OPTION...]\n\n"
		     "Saves a running program into one file, and brings it back.\n\n");
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(verbs); i++)
		fprintf(out, "  %-11s %s\n", verbs[i]->name, verbs[i]->summary);
	fprintf(out, "\n`thump VERB --help` tells more; so do the manual pages, thump(1) first.\n"
		     "Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 image damaged; run and\n"
		     "restore pass on their program's status and use 121-124 for the last four.\n");
}

/*
 * What the caller closed stays free for no file of ours, which would pass for the program's stdio,
 * or get our messages. Using them fails as before, and they are closed again for what we exec.
 */
static void hold_closed_stdio(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int mode = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

		/* The lowest number is taken, so all below are open. */
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", mode | O_CLOEXEC) != fd)
			return;
	}
}

static int run_verb(const struct thump_verb *verb, int argc, char **argv)
{
	char name[32];

	/* What getopt_long(3) puts in front of its messages. */
	(void)snprintf(name, sizeof(name), "thump %s", verb->name);
	argv[0] = name;
	return verb->run(argc, argv);
}

int main(int argc, char **argv)
{
	hold_closed_stdio();
	/* Our threads hardly use the heap: one for each costs more than it saves. */
	(void)mallopt(M_ARENA_MAX, 1);
	/* What is big goes back to the kernel when it is freed, always: by default the first time
	 * only (mallopt(3), M_MMAP_THRESHOLD). */
	(void)mallopt(M_MMAP_THRESHOLD, BIG_BYTES);
	if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
		printf("thump %s\n", THUMP_VERSION);
		return thump_end_of_output(THUMP_OK);
	}
	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		print_help(stdout);
		return thump_end_of_output(THUMP_OK);
	}
	if (argc < 2) {
		print_help(stderr);
		return THUMP_USAGE;
	}
	if (sysconf(_SC_PAGESIZE) != (long)THUMP_PAGE_SIZE) {
		fprintf(stderr, "thump: pages of %ld bytes are not supported\n",
			sysconf(_SC_PAGESIZE));
		return THUMP_REFUSED;
	}
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(verbs); i++)
		if (strcmp(argv[1], verbs[i]->name) == 0)
			return run_verb(verbs[i], argc - 1, argv + 1);
	fprintf(stderr, "thump: there is no verb %s\nTry `thump --help`.\n", argv[1]);
	return THUMP_USAGE;
}
