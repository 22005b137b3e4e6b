/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where templates are found: one socket for each, whose name is the template's, in a directory of
 * this user's: $XDG_RUNTIME_DIR/thump, else /tmp/thump-UID. What is in it is believed only if
 * nobody else may write there, and a keeper only if it is this user's. Records of what runs
 * (cli/running.h) are there, too; no template can have the name of one.
 */
#ifndef THUMP_CLI_TEMPLATES_H
#define THUMP_CLI_TEMPLATES_H

#include <sys/un.h>

#include "base/err.h"
#include "rebuild/template.h"

/*
 * Templates that were started together share the clones: the first has the name that was given,
 * NAME, the others are NAME.2, NAME.3 and so on.
 */
#define THUMP_TEMPLATE_COUNT_MAX 64

/* The name of member `number` of a group, from 1 on. */
void thump_template_member(const char *group, unsigned number,
			   char name[THUMP_TEMPLATE_NAME_MAX + 1]);

/* A name that can be one. */
bool thump_template_name_fits(const char *name);

/* The path of that directory, which is made where it is asked to. REFUSED when somebody else may
 * write to it. */
THUMP_MUST_CHECK int thump_template_folder(char *path, size_t size_bytes, bool make,
					   struct thump_err *err);
/* The address of the socket of template `name`; makes the directory where it is asked to. REFUSED
 * when somebody else may write to it. */
THUMP_MUST_CHECK int thump_template_address(const char *name, bool make,
					    struct sockaddr_un *address_ret, struct thump_err *err);

/* Connects, checks who is there, and hears its hello. Codes: FAILED with ENOENT or ECONNREFUSED
 * when there is no such template. */
THUMP_MUST_CHECK int thump_template_connect(const char *name, int *fd_ret,
					    struct thump_template_hello *hello_ret,
					    struct thump_err *err);

/* Names of all there may be, sorted; heap, NULL-terminated. No directory: none. */
THUMP_MUST_CHECK int thump_template_names(char ***names_ret, struct thump_err *err);
void thump_template_names_free(char **names);

/* The uid of who is at the other end of a unix socket is ours. */
bool thump_peer_is_us(int socket_fd);

#endif
