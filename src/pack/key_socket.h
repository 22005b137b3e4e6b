/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of an agent: whoever connects to its unix socket (unix(7), SOCK_STREAM) gets what a file of
 * keys would have, or a passphrase, and the end of the stream. So do the credentials of systemd
 * (systemd.exec(5), LoadCredential=).
 */
#ifndef THUMP_PACK_KEY_SOCKET_H
#define THUMP_PACK_KEY_SOCKET_H

#include <stdbool.h>

#include "base/err.h"
#include "base/types.h"

bool thump_is_key_socket(const char *path);

/* Connects; *fd_ret is the caller's to read and to close. Who listens must be root or the caller:
 * anybody else could give a key of his own, and would be told that it is needed. */
THUMP_MUST_CHECK int thump_key_socket_open(const char *path, int *fd_ret, struct thump_err *err);

#endif
