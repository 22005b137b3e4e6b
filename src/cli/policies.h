/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource policies: what is to become of descriptors, as thump-checkpoint(1), *POLICIES*, says. A
 * file of --policy is YAML, read by libyaml: a list of rules, each a mapping.
 *
 *     - type: file                  file, pipe, socket or filedescriptor
 *       path: "*.log"                   of file: a glob
 *       action: close               error, ignore, close, reopen or warn
 *       warn: false
 *     - type: socket
 *       family: ip                  ipv4, ipv6, inet, inet4, inet6, ip, unix
 *       remotePort: 5432            localAddress, remoteAddress, localPort, remotePort, localPath,
 *       action: close               remotePath; "*" is any; of filedescriptor: value, regex, kind
 *
 * A JVM names a file of CRaC's. That has the same keys, but is no YAML: rules are parted by "---",
 * and a value may begin with '*' without quotes.
 */
#ifndef THUMP_CLI_POLICIES_H
#define THUMP_CLI_POLICIES_H

#include "base/arena.h"
#include "base/err.h"
#include "kinds/rules.h"

/* Adds the rules of a text of `size` bytes; `path` is for messages. The list may be moved. */
THUMP_MUST_CHECK int thump_policies_parse(const char *text, size_t size, const char *path,
					  struct thump_arena *arena,
					  struct thump_fd_rules *rules_ret, struct thump_err *err);

/* The same of a text in the syntax of CRaC. policies_crac.c */
THUMP_MUST_CHECK int thump_policies_parse_crac(const char *text, const char *path,
					       struct thump_arena *arena,
					       struct thump_fd_rules *rules_ret,
					       struct thump_err *err);

/* Adds the rules of a file. */
THUMP_MUST_CHECK int thump_policies_read(const char *path, struct thump_arena *arena,
					 struct thump_fd_rules *rules_ret, struct thump_err *err);

/* Adds a rule for the descriptor whose number is `text`, the value of an option. */
THUMP_MUST_CHECK int thump_policies_add_fd(struct thump_arena *arena, enum thump_rule_action action,
					   const char *option, const char *text,
					   struct thump_fd_rules *rules, struct thump_err *err);

/* Adds the rules of the file that a JVM was given with -Djdk.crac.resource-policies=, if any.
 * policies_crac.c */
THUMP_MUST_CHECK int thump_policies_read_of_jvm(pid_t pid, struct thump_arena *arena,
						struct thump_fd_rules *rules_ret,
						struct thump_err *err);

#endif
