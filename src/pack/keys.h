/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of users: whom an image is encrypted to, what it is decrypted with, who signs, and whose
 * signature is asked for. They come from files, descriptors and the sockets of agents
 * (key_socket.h); those that are public may also come as a word. What is secret is in memory that
 * is locked, left out of core dumps and wiped.
 */
#ifndef THUMP_PACK_KEYS_H
#define THUMP_PACK_KEYS_H

#include "base/err.h"

#define THUMP_KEY_BYTES	   32u
#define THUMP_KEYS_MAX	   64u /* of each kind */
#define THUMP_KEY_WORD_MAX 80u /* of the text of one key, with its NUL */

/* What a line of a key file can be; its text begins with the name of the kind. */
enum thump_key_kind {
	THUMP_KEY_DECRYPT,   /* X25519, secret */
	THUMP_KEY_RECIPIENT, /* X25519, public */
	THUMP_KEY_SIGN,	     /* the seed of an Ed25519 key, secret */
	/* Ed25519, public: if there are any, an image is opened only if one of them has signed it
	 */
	THUMP_KEY_SIGNER,
	THUMP_KEY_POLICY_SIGNER, /* the same, and one of the others cannot stand in for these */
};
#define THUMP_KEY_KINDS 5

struct thump_keys;

THUMP_MUST_CHECK int thump_keys_create(struct thump_keys **keys_ret, struct thump_err *err);
void thump_keys_destroy(struct thump_keys *keys); /* wipes them; NULL is fine */
/* All that is in `from`; what `keys` had is gone. */
void thump_keys_copy(struct thump_keys *keys, const struct thump_keys *from);

/* In a child: locks of memory are not inherited (mlock(2)). As far as RLIMIT_MEMLOCK allows. */
void thump_keys_lock_again(struct thump_keys *keys);

/* Adds all keys of one kind in the file; it must have at least one. A public key may be given as a
 * word in place of a path. */
THUMP_MUST_CHECK int thump_keys_add(struct thump_keys *keys, enum thump_key_kind kind,
				    const char *path_or_word, struct thump_err *err);

/* What the policy of a system is read from is root's alone to write: else REFUSED. */
THUMP_MUST_CHECK int thump_keys_check_policy_file(int fd, const char *path, struct thump_err *err);
/* The first line, without its end. The descriptor is read to its end, and not closed. */
THUMP_MUST_CHECK int thump_keys_passphrase_file(struct thump_keys *keys, const char *path,
						struct thump_err *err);
THUMP_MUST_CHECK int thump_keys_passphrase_fd(struct thump_keys *keys, int fd,
					      struct thump_err *err);

bool thump_keys_ask_for_signature(const struct thump_keys *keys);
bool thump_keys_encrypt(const struct thump_keys *keys); /* is there whom to encrypt to? */

/* A new pair; secret_path gets the secret one (0400, it must not exist), `public_ret` the text of
 * the public one. `kind` is one of the secret ones. */
THUMP_MUST_CHECK int thump_key_generate(enum thump_key_kind kind, const char *secret_path,
					char public_ret[THUMP_KEY_WORD_MAX], struct thump_err *err);

#endif
