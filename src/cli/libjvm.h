/* SPDX-License-Identifier: Apache-2.0 */
/* The libjvm.so that a java command will load: what this JVM can do is written in there. */
#ifndef THUMP_CLI_LIBJVM_H
#define THUMP_CLI_LIBJVM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

struct thump_libjvm {
	const char *path; /* where it was looked for; NULL: there is no such command */
	char *content;	  /* mapped; NULL: it is not there */
	size_t size_bytes;
};

/* The one of the JDK that `java` (a path, or a word to be looked for in PATH) lies in. */
void thump_libjvm_open(struct thump_arena *arena, const char *java,
		       struct thump_libjvm *libjvm_ret);
void thump_libjvm_close(struct thump_libjvm *libjvm);

/* Whether it has a -XX flag of this name. */
bool thump_libjvm_knows(const struct thump_libjvm *libjvm, const char *flag);

#endif
