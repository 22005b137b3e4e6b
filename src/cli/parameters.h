/* SPDX-License-Identifier: Apache-2.0 */
/* What the user wants to be different in the restored program, in the words of coord/abi.h. */
#ifndef THUMP_CLI_PARAMETERS_H
#define THUMP_CLI_PARAMETERS_H

#include "base/arena.h"
#include "base/err.h"
#include "model/model.h"
#include "rebuild/rebuild.h"

enum thump_environment {
	THUMP_ENVIRONMENT_MERGE = 0, /* the caller's variables over the program's */
	THUMP_ENVIRONMENT_REPLACE,   /* the caller's only */
	THUMP_ENVIRONMENT_KEEP,	     /* the program's only */
};

/* When the program was restored but its hooks failed then, and nobody can catch that. */
enum thump_on_failure {
	THUMP_ON_FAILURE_CONTINUE = 0, /* it goes on */
	THUMP_ON_FAILURE_EXIT,	       /* it ends with THUMP_HOOKS_FAILED */
	THUMP_ON_FAILURE_START,	       /* the same; then `thump run` starts the command */
};

/* Exit status of a program that ends because its hooks failed; one more than thump's own. */
#define THUMP_HOOKS_FAILED 125

struct thump_restore_words {
	char *const *arguments; /* after the image, NULL-terminated; NULL: none */
	enum thump_environment environment;
	bool environment_asked; /* it was said, and is not just the default */
	enum thump_on_failure on_failure;
	bool times; /* the program is to say what it took */
};

/* Of a NULL-terminated list; 0 for NULL. */
size_t thump_count_words(char *const *words);

/* "merge", "replace", "keep" */
THUMP_MUST_CHECK bool thump_environment_parse(const char *word,
					      enum thump_environment *environment_ret);

/* "continue", "exit", "start" */
THUMP_MUST_CHECK bool thump_on_failure_parse(const char *word,
					     enum thump_on_failure *on_failure_ret);

/*
 * The parameters for the runtime of an image; in the arena. REFUSED when there is none that takes
 * any, and for what the runtime is known not to take, by name. runtime->name may be NULL.
 */
THUMP_MUST_CHECK int thump_parameters(struct thump_arena *arena,
				      const struct thump_runtime *runtime,
				      const struct thump_restore_words *words,
				      const struct thump_rebuild_options *options,
				      const char *const **list_ret, size_t *count_ret,
				      struct thump_err *err);

/* Refuses, by name, what a JVM cannot be given in a restore; cli/java_restore.c. */
THUMP_MUST_CHECK int thump_java_check_restore(char *const *arguments, struct thump_err *err);

#endif
