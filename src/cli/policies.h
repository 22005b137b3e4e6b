/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of resource policies, in the syntax of CRaC (its documentation of file descriptor
 * policies): rules of "key: value" lines, parted by "---", with comments from '#'. It looks like
 * YAML, but is none: a value may begin with '*', as paths do.
 *
 *     type: file                    file, pipe, socket or filedescriptor
 *     path: *.log                       of file: a glob
 *     action: close                 error, ignore, close or reopen
 *     warn: false
 *     ---
 *     type: socket
 *     family: ip                    ipv4, ipv6, inet, inet4, inet6, ip, unix
 *     remotePort: 5432              localAddress, remoteAddress, localPort, remotePort, localPath,
 *     action: close                 remotePath; '*' is any; of filedescriptor: value, regex
 */
#ifndef THUMP_CLI_POLICIES_H
#define THUMP_CLI_POLICIES_H

#include "base/arena.h"
#include "base/err.h"
#include "kinds/rules.h"

/* Adds the rules of a text; `path` is for messages. The list may be moved. */
THUMP_MUST_CHECK int thump_policies_parse(const char *text, const char *path,
					  struct thump_arena *arena,
					  struct thump_fd_rules *rules_ret, struct thump_err *err);

/* Adds the rules of a file. */
THUMP_MUST_CHECK int thump_policies_read(const char *path, struct thump_arena *arena,
					 struct thump_fd_rules *rules_ret, struct thump_err *err);

/* Adds a rule for the descriptor whose number is `text`, the value of an option. */
THUMP_MUST_CHECK int thump_policies_add_fd(struct thump_arena *arena, enum thump_rule_action action,
					   const char *option, const char *text,
					   struct thump_fd_rules *rules, struct thump_err *err);

/*
 * The file that a JVM was given with -Djdk.crac.resource-policies=, as a path that leads there from
 * here, in `arena`; NULL: none.
 */
const char *thump_policies_of_jvm(pid_t pid, struct thump_arena *arena);

#endif
