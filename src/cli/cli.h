/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs. This folder is the only one that prints or exits. */
#ifndef THUMP_CLI_CLI_H
#define THUMP_CLI_CLI_H

#include "base/err.h"
#include "base/problems.h"

struct thump_verb {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv); /* argv[0] is the verb; returns the exit status */
};

extern const struct thump_verb thump_verb_run, thump_verb_checkpoint, thump_verb_restore,
	thump_verb_template, thump_verb_spawn, thump_verb_ps, thump_verb_hooks, thump_verb_inspect,
	thump_verb_verify, thump_verb_train, thump_verb_pack, thump_verb_unpack, thump_verb_gc,
	thump_verb_keygen, thump_verb_sign, thump_verb_doctor;

#endif
