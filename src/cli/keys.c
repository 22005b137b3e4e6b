/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"

#define POLICY_PATH THUMP_SYSCONFDIR "/thump/policy"

bool thump_key_option(struct thump_key_words *words, int opt, const char *argument)
{
	if (opt < THUMP_OPT_DECRYPT_WITH || opt >= THUMP_OPT_KEYS_END)
		return false;
	if (opt == THUMP_OPT_STORE) {
		words->store = argument;
		return true;
	}
	if (words->count == THUMP_ARRAY_SIZE(words->list)) {
		words->lost++;
		return true;
	}
	words->list[words->count].opt = opt;
	words->list[words->count++].word = argument;
	return true;
}

bool thump_key_words_have(const struct thump_key_words *words, int opt)
{
	for (size_t i = 0; i < words->count; i++)
		if (words->list[i].opt == opt)
			return true;
	return false;
}

int thump_compression_option(const struct thump_common *common, const char *text,
			     struct thump_compression *compression_ret)
{
	if (thump_compression_parse(text, compression_ret) == 0)
		return -1;
	return thump_usage_error(common, "--compress takes zstd, zstd:LEVEL, lz4 or none, not %s",
				 text);
}

/* Ours from here on: no program that we start is to find what was in it. */
static int passphrase_fd(struct thump_keys *keys, const char *word, struct thump_err *err)
{
	auto_close int fd = -1;
	uint64_t number;

	if (thump_parse_number(word, INT32_MAX, &number) < 0)
		return thump_fail(err, "--passphrase-fd takes the number of a descriptor, not %s",
				  word);
	if (number > STDERR_FILENO)
		fd = (int)number;
	return thump_keys_passphrase_fd(keys, (int)number, err);
}

static int load_word(struct thump_keys *keys, int opt, const char *word, struct thump_err *err)
{
	switch (opt) {
	case THUMP_OPT_DECRYPT_WITH:
		return thump_keys_add(keys, THUMP_KEY_DECRYPT, word, err);
	case THUMP_OPT_SIGNED_BY:
		return thump_keys_add(keys, THUMP_KEY_SIGNER, word, err);
	case THUMP_OPT_PASSPHRASE_FILE:
		return thump_keys_passphrase_file(keys, word, err);
	case THUMP_OPT_PASSPHRASE_FD:
		return passphrase_fd(keys, word, err);
	case THUMP_OPT_ENCRYPT_TO:
		return thump_keys_add(keys, THUMP_KEY_RECIPIENT, word, err);
	default:
		return thump_keys_add(keys, THUMP_KEY_SIGN, word, err);
	}
}

static int load_into(const struct thump_key_words *words, struct thump_keys *keys,
		     struct thump_err *err)
{
	if (words->kept) {
		thump_keys_copy(keys, words->kept);
		return 0;
	}
	if (words->lost)
		return thump_fail(err, "%zu keys are too many", words->count + words->lost);
	for (size_t i = 0; i < words->count; i++)
		if (load_word(keys, words->list[i].opt, words->list[i].word, err) < 0)
			return -1;
	return 0;
}

int thump_keys_load(const struct thump_key_words *words, struct thump_keys **keys_ret,
		    struct thump_err *err)
{
	struct thump_keys *keys;

	*keys_ret = NULL;
	if (words->count == 0)
		return 0;
	if (thump_keys_create(&keys, err) < 0)
		return -1;
	if (load_into(words, keys, err) < 0) {
		thump_keys_destroy(keys);
		return -1;
	}
	*keys_ret = keys;
	return 0;
}

bool thump_is_read_once(const char *word)
{
	struct stat st;

	return stat(word, &st) == 0 && !S_ISREG(st.st_mode);
}

int thump_key_words_keep(struct thump_key_words *words, struct thump_err *err)
{
	bool once = false;

	for (size_t i = 0; i < words->count; i++)
		once |= thump_is_read_once(words->list[i].word);
	return once && !words->kept ? thump_keys_load(words, &words->kept, err) : 0;
}

void thump_key_words_forget(struct thump_key_words *words)
{
	thump_keys_destroy(words->kept);
	words->kept = NULL;
}

/* ---- the policy ------------------------------------------------------------------------------ */

/* What is not understood demands something that we do not know: nothing is restored then. */
static int apply_line(char *line, struct thump_keys *keys, struct thump_err *err)
{
	char *rest = NULL;
	const char *word = strtok_r(line, " \t\r", &rest);
	const char *argument = word ? strtok_r(NULL, " \t\r", &rest) : NULL;

	if (!word || *word == '#')
		return 0;
	if (strcmp(word, "require-signed-by") != 0 || !argument || strtok_r(NULL, " \t\r", &rest))
		return thump_refuse(err, "what begins with %s is not known", word);
	return thump_keys_add(keys, THUMP_KEY_POLICY_SIGNER, argument, err);
}

int thump_policy_apply(const char *text, const char *path, struct thump_keys *keys,
		       struct thump_err *err)
{
	auto_free char *copy = strdup(text);
	char *rest = copy, *line;

	if (!copy)
		return thump_fail_errno(err, "%s", path);
	for (unsigned number = 1; (line = strsep(&rest, "\n")); number++)
		if (apply_line(line, keys, err) < 0)
			return thump_add_context(err, "policy %s, line %u", path, number);
	return 0;
}

/* Who checks a file and then reads what has its name may read another one. */
static int read_checked(int fd, char **text_ret, struct thump_err *err)
{
	char opened[32];

	if (thump_keys_check_policy_file(fd, POLICY_PATH, err) < 0)
		return -1;
	(void)snprintf(opened, sizeof(opened), "/proc/self/fd/%d", fd);
	if (thump_slurp(AT_FDCWD, opened, text_ret, NULL) < 0)
		return thump_fail_errno(err, "%s", POLICY_PATH);
	return 0;
}

/* A file that others may write is nobody's policy, and one that cannot be read might demand
 * anything: both keep us from restoring. */
static int read_policy(char **text_ret, struct thump_err *err)
{
	auto_close int fd = open(POLICY_PATH, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0)
		return thump_fail_errno(err, "policy %s", POLICY_PATH);
	if (read_checked(fd, text_ret, err) < 0)
		return thump_add_context(err, "policy");
	return 0;
}

int thump_keys_load_for_restore(const struct thump_key_words *words, struct thump_keys **keys_ret,
				struct thump_err *err)
{
	auto_free char *policy = NULL;
	struct thump_keys *keys = NULL;

	if (read_policy(&policy, err) < 0)
		return -1;
	if (!policy)
		return thump_keys_load(words, keys_ret, err);
	if (thump_keys_create(&keys, err) < 0)
		return -1;
	if (load_into(words, keys, err) < 0 ||
	    thump_policy_apply(policy, POLICY_PATH, keys, err) < 0) {
		thump_keys_destroy(keys);
		return -1;
	}
	*keys_ret = keys;
	return 0;
}
