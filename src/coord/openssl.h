/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL inside the process (Netty's tcnative, JNI libraries). Its generators are seeded once an
 * hour, and when getpid(2) has changed, which it has not in a clone with a pid namespace of its
 * own. RAND_poll(3) reseeds the one from which all others of the library are seeded, and those see
 * that before their next number.
 *
 * BoringSSL needs no help: it sees by MADV_WIPEONFORK that it is a copy. A libcrypto that is linked
 * into another library without its symbols is out of reach.
 */
#ifndef THUMP_COORD_OPENSSL_H
#define THUMP_COORD_OPENSSL_H

#include <stdbool.h>

/* Whether the library at this path has generators of OpenSSL's, by its name: libcrypto.so.3, as
 * renamed by a Python wheel (libcrypto-1a2b3c4d.so.3), or the provider fips.so. */
bool thump_openssl_is(const char *path);

void thump_openssl_renew(void);

#endif
