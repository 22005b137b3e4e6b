/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options that say how an image is opened: keys, passphrases, the chunk store. They are noted as
 * they come and read when all of the command line is known to be right. A verb's table of options
 * has one of the macros, or both.
 */
#ifndef THUMP_CLI_KEYS_H
#define THUMP_CLI_KEYS_H

#include <getopt.h>

#include "cli/report.h"
#include "pack/pack.h"

enum {
	THUMP_OPT_DECRYPT_WITH = 3000,
	THUMP_OPT_SIGNED_BY,
	THUMP_OPT_PASSPHRASE_FILE,
	THUMP_OPT_PASSPHRASE_FD,
	THUMP_OPT_ENCRYPT_TO,
	THUMP_OPT_SIGN,
	THUMP_OPT_STORE,
	THUMP_OPT_KEYS_END,
};
/* clang-format off */
#define THUMP_PASSPHRASE_OPTIONS                                                                   \
	{ "passphrase-file", required_argument, NULL, THUMP_OPT_PASSPHRASE_FILE },                 \
	{ "passphrase-fd", required_argument, NULL, THUMP_OPT_PASSPHRASE_FD }
#define THUMP_DECRYPT_OPTIONS                                                                      \
	{ "decrypt-with", required_argument, NULL, THUMP_OPT_DECRYPT_WITH }
#define THUMP_STORE_OPTION                                                                         \
	{ "store", required_argument, NULL, THUMP_OPT_STORE }
#define THUMP_SEAL_OPTIONS                                                                         \
	{ "encrypt-to", required_argument, NULL, THUMP_OPT_ENCRYPT_TO },                           \
	{ "sign", required_argument, NULL, THUMP_OPT_SIGN }
/* clang-format on */

struct thump_key_words {
	struct {
		int opt;
		const char *word;
	} list[2 * THUMP_KEYS_MAX];
	size_t count, lost;	 /* more than there is room for */
	struct thump_keys *kept; /* read from them for good; NULL: they are read each time */
	const char *store;	 /* no key, but where to find what they open; NULL: not given */
};

/* Is this one of the options above? Then it is noted. */
bool thump_key_option(struct thump_key_words *words, int opt, const char *argument);
/* Was that option noted? */
bool thump_key_words_have(const struct thump_key_words *words, int opt);

/* A file that is there only for the first who reads it: a pipe. What is no path is a public key. */
bool thump_is_read_once(const char *path_or_word);

/* --compress. -1 to go on, else the status to exit with. */
int thump_compression_option(const struct thump_common *common, const char *text,
			     struct thump_compression *compression_ret);

/*
 * For who needs them more than once: if one of them is a file that can be read only once, a pipe,
 * all are read now and kept in locked memory until _forget.
 */
THUMP_MUST_CHECK int thump_key_words_keep(struct thump_key_words *words, struct thump_err *err);
void thump_key_words_forget(struct thump_key_words *words);

/* Reads them; *keys_ret is NULL when there are none. */
THUMP_MUST_CHECK int thump_keys_load(const struct thump_key_words *words,
				     struct thump_keys **keys_ret, struct thump_err *err);

/* The same, and what the policy of this system demands of images that are restored. */
THUMP_MUST_CHECK int thump_keys_load_for_restore(const struct thump_key_words *words,
						 struct thump_keys **keys_ret,
						 struct thump_err *err);

/* The text of a policy; `path` is for messages. thump-restore(1) has its form. */
THUMP_MUST_CHECK int thump_policy_apply(const char *text, const char *path, struct thump_keys *keys,
					struct thump_err *err);

#endif
