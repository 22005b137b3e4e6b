/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the images are made that `thump run` has made of its program: options of `thump checkpoint`,
 * which are handed on as they came, to the watcher of --checkpoint-when and to the agent of a JVM.
 */
#ifndef THUMP_CLI_MAKING_H
#define THUMP_CLI_MAKING_H

#include <getopt.h>

#include "cli/report.h"

/* As many as the agent takes (coord/wait.h). */
#define THUMP_MAKING_MAX 32u

struct thump_making_word {
	const char *option; /* with its dashes */
	const char *argument;
};

struct thump_making {
	struct thump_making_word list[THUMP_MAKING_MAX];
	size_t count;
	bool hooks_first;
};

enum {
	THUMP_MAKE_DRAIN = 4000,
	THUMP_MAKE_POLICY,
	THUMP_MAKE_MODE,
	THUMP_MAKE_COMPRESS,
	THUMP_MAKE_ENCRYPT_TO,
	THUMP_MAKE_SIGN,
	THUMP_MAKE_HOOKS_FIRST,
	/* Of no table: the passphrase of an image opens it, too, and is an option of cli/keys.h. */
	THUMP_MAKE_PASSPHRASE_FILE,
	THUMP_MAKE_END,
};
/* clang-format off */
#define THUMP_MAKING_OPTIONS                                                                       \
	{ "drain", required_argument, NULL, THUMP_MAKE_DRAIN },                                    \
	{ "policy", required_argument, NULL, THUMP_MAKE_POLICY },                                  \
	{ "mode", required_argument, NULL, THUMP_MAKE_MODE },                                      \
	{ "compress", required_argument, NULL, THUMP_MAKE_COMPRESS },                              \
	{ "encrypt-to", required_argument, NULL, THUMP_MAKE_ENCRYPT_TO },                          \
	{ "sign", required_argument, NULL, THUMP_MAKE_SIGN },                                      \
	{ "hooks-first", no_argument, NULL, THUMP_MAKE_HOOKS_FIRST }
/* clang-format on */

static inline bool thump_making_has(int opt)
{
	return opt >= THUMP_MAKE_DRAIN && opt < THUMP_MAKE_END;
}

/* Notes an option for which _has() is true: -1 to go on, else the status to end with. */
THUMP_MUST_CHECK int thump_making_option(const struct thump_common *common, int opt,
					 const char *argument, struct thump_making *making);

/* The first argument of that option, or NULL. */
const char *thump_making_find(const struct thump_making *making, int opt);

/* The first option that was given and makes an image another than a plain file that anybody may
 * open: "--encrypt-to"; NULL when there is none. */
const char *thump_making_packs(const struct thump_making *making);

#endif
