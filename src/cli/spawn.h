/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THUMP_CLI_SPAWN_H
#define THUMP_CLI_SPAWN_H

#include "cli/templates.h"
#include "proc/cgroup_move.h"

/* What an operand FILE or NAME of thump spawn leads to. */
struct thump_spawn_source {
	char path[PATH_MAX];			/* of the image */
	char name[THUMP_TEMPLATE_NAME_MAX + 1]; /* of the template, if there is one */
	uint32_t nr_spares;
	int keeper_fd; /* the template's keeper; -1: there is none that can be used */
	struct thump_cgroup_move groups; /* those that we have, where the template has others */
	/* Why not, where there is an image all the same. */
	struct thump_err why;
};

void thump_spawn_source_deinit(struct thump_spawn_source *source);

/* -1 when there is neither a template of that name nor a file. To be called before any limit or
 * other attribute of ours is changed: they are held against those of the template. */
THUMP_MUST_CHECK int thump_spawn_find(const char *operand, struct thump_spawn_source *source,
				      struct thump_err *err);

#endif
