/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/keyring.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "image/tempfile.h"
#include "pack/key_file.h"

#define KEY_FILE_MAX ((size_t)64 << 10)
#define TEXT_VARIANT sodium_base64_VARIANT_URLSAFE_NO_PADDING

static const struct {
	const char *prefix;
	const char *name; /* for messages */
	bool secret;
} kinds[THUMP_KEY_KINDS] = {
	[THUMP_KEY_DECRYPT] = { "thump-decrypt-1:", "secret key for decryption", true },
	[THUMP_KEY_RECIPIENT] = { "thump-recipient-1:", "key of a recipient", false },
	[THUMP_KEY_SIGN] = { "thump-sign-1:", "secret key for signing", true },
	[THUMP_KEY_SIGNER] = { "thump-signer-1:", "key of a signer", false },
	[THUMP_KEY_POLICY_SIGNER] = { "thump-signer-1:", "key of a signer", false },
};

/* Memory between pages that nobody may touch, locked as far as RLIMIT_MEMLOCK allows, left out of
 * core dumps: sodium_malloc(3). */
int thump_keys_create(struct thump_keys **keys_ret, struct thump_err *err)
{
	struct thump_keys *keys;

	if (sodium_init() < 0)
		return thump_fail(err, "libsodium cannot be used here");
	keys = sodium_malloc(sizeof(*keys));
	if (!keys)
		return thump_fail_errno(err, "memory for keys");
	sodium_memzero(keys, sizeof(*keys));
	*keys_ret = keys;
	return 0;
}

void thump_keys_destroy(struct thump_keys *keys)
{
	sodium_free(keys);
}

void thump_keys_copy(struct thump_keys *keys, const struct thump_keys *from)
{
	*keys = *from;
}

void thump_keys_lock_again(struct thump_keys *keys)
{
	if (keys)
		(void)sodium_mlock(keys, sizeof(*keys));
}

/* ---- files ---------------------------------------------------------------------------------- */

static void free_secret(char **text)
{
	sodium_free(*text);
}

#define auto_secret __attribute__((cleanup(free_secret)))

/* Reads to the end of the file; the text ends with its only NUL and is in locked memory. */
static int read_secret(int fd, const char *name, char **text_ret, struct thump_err *err)
{
	auto_secret char *text = sodium_malloc(KEY_FILE_MAX + 1);
	struct thump_key_file file;
	size_t size = 0, got;

	if (!text)
		return thump_fail_errno(err, "memory for keys");
	if (thump_key_file_of(fd, name, &file, err) < 0)
		return -1;
	do {
		if (thump_key_file_read(&file, text + size, KEY_FILE_MAX + 1 - size, &got, err) < 0)
			return -1;
		size += got;
		if (size > KEY_FILE_MAX)
			return thump_fail(err,
					  "%s is no file of keys or of a passphrase: it has more "
					  "than %zu bytes",
					  name, KEY_FILE_MAX);
	} while (got != 0);
	/* What is behind it would be left out without a word. */
	if (memchr(text, '\0', size))
		return thump_fail(err,
				  "%s is no text of keys or of a passphrase: there is a zero byte "
				  "in it",
				  name);
	text[size] = '\0';
	*text_ret = text;
	text = NULL;
	return 0;
}

/* As ssh(1) does: a secret that others can read is none. */
static int check_secrecy(int fd, const char *path, struct thump_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return thump_fail_errno(err, "%s", path);
	if (S_ISREG(st.st_mode) && (st.st_mode & (S_IRWXG | S_IRWXO)))
		return thump_refuse(err,
				    "%s is a secret that others may read or write (mode %04o; "
				    "chmod go= %s)",
				    path, st.st_mode & 07777, path);
	return 0;
}

int thump_keys_check_policy_file(int fd, const char *path, struct thump_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return thump_fail_errno(err, "%s", path);
	if (!S_ISREG(st.st_mode))
		return thump_refuse(err, "%s is no regular file", path);
	if (st.st_uid != 0)
		return thump_refuse(err, "%s belongs to user %u, not to root", path, st.st_uid);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return thump_refuse(err, "%s: others may write it (mode %04o)", path,
				    st.st_mode & 07777);
	return 0;
}

/* ---- keys ----------------------------------------------------------------------------------- */

/* Is the key behind the last one there already? */
static bool is_repeated(const struct thump_keys *keys, enum thump_key_kind kind)
{
	for (uint32_t i = 0; i < keys->count[kind]; i++)
		if (sodium_memcmp(keys->keys[kind][i], keys->keys[kind][keys->count[kind]],
				  THUMP_KEY_BYTES) == 0)
			return true;
	return false;
}

static int add_word(struct thump_keys *keys, enum thump_key_kind kind, const char *word, size_t len,
		    struct thump_err *err)
{
	const size_t prefix = strlen(kinds[kind].prefix);
	size_t size = 0;

	if (keys->count[kind] == THUMP_KEYS_MAX)
		return thump_fail(err, "more than %u keys, each of them a %s, at once",
				  THUMP_KEYS_MAX, kinds[kind].name);
	if (sodium_base642bin(keys->keys[kind][keys->count[kind]], THUMP_KEY_BYTES, word + prefix,
			      len - prefix, NULL, &size, NULL, TEXT_VARIANT) != 0 ||
	    size != THUMP_KEY_BYTES)
		return thump_fail(err, "a broken %s", kinds[kind].name);
	keys->count[kind] += !is_repeated(keys, kind);
	return 0;
}

static bool has_prefix(const char *text, enum thump_key_kind kind)
{
	return strncmp(text, kinds[kind].prefix, strlen(kinds[kind].prefix)) == 0;
}

static int add_lines(struct thump_keys *keys, enum thump_key_kind kind, const char *text,
		     const char *path, struct thump_err *err)
{
	bool found = false;

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		size_t len = strcspn(line, " \t\r\n");

		if (!has_prefix(line, kind))
			continue;
		if (add_word(keys, kind, line, len, err) < 0)
			return thump_add_context(err, "%s", path);
		found = true;
	}
	if (!found)
		return thump_fail(err, "%s has no %s (a line that begins with %s)", path,
				  kinds[kind].name, kinds[kind].prefix);
	return 0;
}

/* 1: it is a key of this kind; 0: it is a path. What is a key is not printed as a path would be. */
static int classify_word(enum thump_key_kind kind, const char *word, struct thump_err *err)
{
	for (enum thump_key_kind other = 0; other < THUMP_KEY_KINDS; other++) {
		if (!has_prefix(word, other))
			continue;
		/* Arguments are for everybody to see: /proc/PID/cmdline. */
		if (kinds[other].secret)
			return thump_fail(err,
					  "a secret key must be in a file, or come from a socket");
		if (strcmp(kinds[other].prefix, kinds[kind].prefix) != 0)
			return thump_fail(err, "the %s is wanted, not the %s", kinds[kind].name,
					  kinds[other].name);
		return 1;
	}
	return 0;
}

static int check_key_file(int fd, enum thump_key_kind kind, const char *path, struct thump_err *err)
{
	if (kinds[kind].secret)
		return check_secrecy(fd, path, err);
	return kind == THUMP_KEY_POLICY_SIGNER ? thump_keys_check_policy_file(fd, path, err) : 0;
}

int thump_keys_add(struct thump_keys *keys, enum thump_key_kind kind, const char *path_or_word,
		   struct thump_err *err)
{
	auto_secret char *text = NULL;
	auto_close int fd = -1;
	int is_word = classify_word(kind, path_or_word, err);

	if (is_word < 0)
		return -1;
	if (is_word)
		return add_word(keys, kind, path_or_word, strlen(path_or_word), err);
	if (kind == THUMP_KEY_POLICY_SIGNER && path_or_word[0] != '/')
		return thump_refuse(err, "%s is neither a %s nor an absolute path", path_or_word,
				    kinds[kind].name);
	if (thump_key_file_open(path_or_word, &fd, err) < 0 ||
	    check_key_file(fd, kind, path_or_word, err) < 0 ||
	    read_secret(fd, path_or_word, &text, err) < 0)
		return -1;
	return add_lines(keys, kind, text, path_or_word, err);
}

/* ---- passphrases --------------------------------------------------------------------------- */

static int take_passphrase(struct thump_keys *keys, int fd, const char *name, struct thump_err *err)
{
	auto_secret char *text = NULL;
	size_t len;

	if (read_secret(fd, name, &text, err) < 0)
		return -1;
	len = strcspn(text, "\r\n");
	if (len == 0)
		return thump_fail(err, "%s: the first line, the passphrase, is empty", name);
	if (len > PASSPHRASE_MAX)
		return thump_fail(err, "%s: a passphrase has at most %u bytes", name,
				  PASSPHRASE_MAX);
	memcpy(keys->passphrase, text, len);
	keys->passphrase_len = len;
	return 0;
}

int thump_keys_passphrase_file(struct thump_keys *keys, const char *path, struct thump_err *err)
{
	auto_close int fd = -1;

	if (thump_key_file_open(path, &fd, err) < 0 || check_secrecy(fd, path, err) < 0)
		return -1;
	return take_passphrase(keys, fd, path, err);
}

int thump_keys_passphrase_fd(struct thump_keys *keys, int fd, struct thump_err *err)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "descriptor %d", fd);
	return take_passphrase(keys, fd, name, err);
}

bool thump_keys_ask_for_signature(const struct thump_keys *keys)
{
	return keys && (keys->count[THUMP_KEY_SIGNER] || keys->count[THUMP_KEY_POLICY_SIGNER]);
}

bool thump_keys_encrypt(const struct thump_keys *keys)
{
	return keys && (keys->count[THUMP_KEY_RECIPIENT] || keys->passphrase_len);
}

/* ---- new ones ------------------------------------------------------------------------------ */

static void key_text(enum thump_key_kind kind, const unsigned char key[THUMP_KEY_BYTES],
		     char text[THUMP_KEY_WORD_MAX])
{
	size_t len = strlen(kinds[kind].prefix);

	memcpy(text, kinds[kind].prefix, len);
	(void)sodium_bin2base64(text + len, THUMP_KEY_WORD_MAX - len, key, THUMP_KEY_BYTES,
				TEXT_VARIANT);
}

struct pair {
	unsigned char secret[THUMP_KEY_BYTES], whole[crypto_sign_SECRETKEYBYTES];
	char text[THUMP_KEY_WORD_MAX + 1];
};

static int write_pair(const struct image_tempfile *file, struct pair *pair, struct thump_err *err)
{
	size_t len = strlen(pair->text);

	pair->text[len++] = '\n';
	if (thump_write_full(file->fd, pair->text, len) < 0 || fchmod(file->fd, 0400) < 0 ||
	    fsync(file->fd) < 0)
		return thump_fail_errno(err, "write");
	/* Not in place of another one: who has only half of a pair has lost what it opens. */
	if (image_tempfile_link(file, file->dir_fd, file->name) < 0)
		return thump_fail_errno(err, "give it its name");
	if (fsync(file->dir_fd) == 0 || errno == EINVAL)
		return 0;
	(void)thump_fail_errno(err, "fsync of its directory");
	(void)unlinkat(file->dir_fd, file->name, 0);
	return -1;
}

/* Whole or not there, and for good before anybody hears of the public one. */
static int write_secret(const char *path, struct pair *pair, struct thump_err *err)
{
	struct image_tempfile file;
	int failed = image_tempfile_create(path, &file, err);

	if (!failed) {
		failed = write_pair(&file, pair, err);
		image_tempfile_deinit(&file);
	}
	return failed ? thump_add_context(err, "secret key %s", path) : 0;
}

int thump_key_generate(enum thump_key_kind kind, const char *secret_path,
		       char public_ret[THUMP_KEY_WORD_MAX], struct thump_err *err)
{
	unsigned char public[THUMP_KEY_BYTES];
	struct pair *pair;
	int failed;

	if (sodium_init() < 0)
		return thump_fail(err, "libsodium cannot be used here");
	pair = sodium_malloc(sizeof(*pair));
	if (!pair)
		return thump_fail_errno(err, "memory for keys");
	randombytes_buf(pair->secret, sizeof(pair->secret));
	if (kind == THUMP_KEY_SIGN)
		(void)crypto_sign_seed_keypair(public, pair->whole, pair->secret);
	else
		(void)crypto_scalarmult_base(public, pair->secret);
	key_text(kind, pair->secret, pair->text);
	failed = write_secret(secret_path, pair, err);
	sodium_free(pair);
	if (!failed)
		key_text(kind == THUMP_KEY_SIGN ? THUMP_KEY_SIGNER : THUMP_KEY_RECIPIENT, public,
			 public_ret);
	return failed;
}
