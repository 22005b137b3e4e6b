/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `thump run` does with a java command: it adds the agent, and takes out the options of CRaC
 * and OpenJ9 that a stock java would reject, doing what they say.
 */
#ifndef THUMP_CLI_JAVA_H
#define THUMP_CLI_JAVA_H

#include "base/arena.h"
#include "base/err.h"
#include "cli/making.h"

/* File name of the agent. */
#define THUMP_JVM_AGENT "libthump-jvm.so"

struct thump_java_command {
	bool is_java;	   /* the command is a java launcher */
	bool has_agent;	   /* and will run with our agent */
	bool brings_agent; /* by itself, so that the agent is told nothing by us */
	char **argv;	   /* what to start, NULL-terminated; in the arena */
	char **arguments;  /* the same without launcher and agent: what a restore is given */
	const char *image; /* --image, or what the command's own options say; NULL: none */
	/* -XX:CRaCRestoreFrom, -Xrestore: only restore; no main class is given */
	bool restore_only;
	/* -XX:+CRaCIgnoreRestoreIfUnavailable: start the command when it cannot be restored */
	bool ignore_restore_failure;
};

struct thump_java_options {
	const char *image; /* of `thump run --image`, or NULL */
	const char *thump; /* path of this executable */
	const char *agent; /* path of libthump-jvm.so, or NULL when it is not installed */
	const struct thump_making *making; /* for thump checkpoint */
	bool then_continue;		   /* the program goes on after a checkpoint */
	int cpu_level;			   /* keep within it (proc/arch/cpu.h); 0: no need */
};

/* Rewrites argv. Refuses options of CRaC that thump cannot honour, by name. */
THUMP_MUST_CHECK int thump_java_command(struct thump_arena *arena, char *const *argv,
					const struct thump_java_options *options,
					struct thump_java_command *command_ret,
					struct thump_err *err);

/*
 * Whether this is a java of a JDK that has CRaC itself, and is to use it: its libjvm.so has the
 * flags of CRaC, and the command gives some. Such a command is to be started as it is.
 */
bool thump_java_does_crac(struct thump_arena *arena, char *const *argv);

/*
 * Puts the flags that keep a JVM within a level behind argv[0]; see java_level.c. The new list is
 * in `arena`. REFUSED when the libjvm.so of the launcher is not found: which flags it knows is in
 * there.
 */
THUMP_MUST_CHECK int thump_java_keep_level(struct thump_arena *arena, int level, char ***argv,
					   struct thump_err *err);

/* Path of libthump-jvm.so as installed or beside the executable `thump`; NULL when there is none.
 */
const char *thump_java_find_agent(struct thump_arena *arena, const char *thump);

#endif
