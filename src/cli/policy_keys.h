/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two syntaxes of resource policies have in common: rules are made of keys and values. The
 * readers (policies.c, policies_crac.c) find these and the lines that they stand in.
 */
#ifndef THUMP_CLI_POLICY_KEYS_H
#define THUMP_CLI_POLICY_KEYS_H

#include "base/arena.h"
#include "base/err.h"
#include "kinds/rules.h"

struct thump_policy_reader {
	const char *path; /* for messages */
	unsigned line;	  /* of what is being read */
	struct thump_arena *arena;
	struct thump_fd_rules rules; /* those that are complete */
	struct thump_fd_rule rule;   /* that is being read, */
	unsigned rule_line;	     /* where it begins; 0: none */
	struct thump_err *err;
};

/* Refuses: "PATH:LINE: ..." */
#define thump_policy_wrong(reader, fmt, ...)                                                       \
	thump_refuse((reader)->err, "%s:%u: " fmt, (reader)->path, (reader)->line, ##__VA_ARGS__)

/* A rule that matches everything, of no type and action. */
struct thump_fd_rule thump_policy_empty_rule(void);

void thump_policy_begin_rule(struct thump_policy_reader *reader);
THUMP_MUST_CHECK int thump_policy_take(struct thump_policy_reader *reader, const char *key,
				       const char *value);
THUMP_MUST_CHECK int thump_policy_end_rule(struct thump_policy_reader *reader);

#endif
