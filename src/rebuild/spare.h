/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spares: clones of a template that are made before anybody asks for one, as far as to their
 * threads, which stand still, traced. What depends on whoever takes one, and what others would see
 * of it, comes when it is taken: stdin, stdout and stderr, names of sockets, parameters.
 */
#ifndef THUMP_REBUILD_SPARE_H
#define THUMP_REBUILD_SPARE_H

#include "rebuild/rebuild.h"

struct thump_plan;
struct thump_newborn;

/* Whoever takes it. What it points to stays until the start has returned. */
struct thump_taker {
	int stdio[3]; /* all open; the callee's to use, not to close */
	const struct thump_port_map *ports;
	size_t nr_ports;
	const char *const *parameters;
	size_t nr_parameters;
};

/* Called in thump, or in our init of its pid namespace, which shares thump's memory, not its
 * descriptors. */
struct thump_spare_owner {
	void *ctx;
	int fd; /* readable when somebody takes it, and at its end */
	/* It can be taken from now on. */
	int (*ready)(void *ctx, struct thump_err *err);
	/* Called when fd is readable. -1: there is nobody to take it; it ends. */
	int (*take)(void *ctx, struct thump_taker *taker_ret, struct thump_err *err);
};

/* What cannot wait: after thump_check_files(). */
void thump_check_spare(const struct thump_plan *plan, struct thump_problems *problems);

/* The number in a spare of its socket to its maker, above the program's own. */
int thump_spare_fd(const struct thump_model *model);

/* What thump_spare_wait() puts into the region. */
size_t thump_spare_bytes(const struct thump_model *model);

struct thump_region;
/* Waits in the commit until it is taken, then gives it what it lacks. */
THUMP_MUST_CHECK int thump_spare_wait(struct thump_plan *plan, struct thump_region *region,
				      struct thump_newborn *newborn, int clone_fd,
				      struct thump_err *err);

#endif
