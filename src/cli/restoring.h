/* SPDX-License-Identifier: Apache-2.0 */
/* An image on its way to a process: what `restore` and `run --image` have in common. */
#ifndef THUMP_CLI_RESTORING_H
#define THUMP_CLI_RESTORING_H

#include <jansson.h>
#include <sys/resource.h>

#include "cli/keys.h"
#include "cli/parameters.h"
#include "cli/report.h"
#include "rebuild/rebuild.h"
#include "rebuild/verified.h"

struct thump_restoring {
	const char *path;
	const char *how;		     /* the verb, for the record of what runs */
	const char *template_name;	     /* of a clone, or NULL; set by the caller */
	char *record;			     /* of what runs, once it does */
	struct thump_image *image;	     /* until it was started */
	struct thump_plan *plan;	     /* the same */
	struct thump_head_start *head_start; /* from _open to _plan, or NULL */
	struct thump_problems problems;
	struct thump_restore_words words;	 /* set by the caller before _prepare */
	struct thump_arena arena;		 /* of the parameters, until it was started */
	const struct thump_key_words *key_words; /* set by the caller, or NULL */
	struct thump_rebuild_report report;
	uint64_t open_ns, check_ns;	  /* part of the report once it runs */
	struct thump_terminals terminals; /* once it runs */
	pid_t child;			  /* to wait for; report.pid_host is the program */
	struct thump_prefetch *prefetch;  /* until it was started, or NULL */
	struct rlimit outer_nofile;	  /* as thump got it */
	bool nofile_raised;
	/* Once it runs: what it was made from, and whether it could tell what is hot there. */
	struct thump_file_state state;
	bool untrained;
	bool cloned;			/* from a template */
	bool detached;			/* nobody stays */
	struct thump_progress progress; /* of checking the image */
};

/* `how` is the verb that it is for. */
void thump_restoring_init(struct thump_restoring *restoring, const char *path, const char *how);
void thump_restoring_deinit(struct thump_restoring *restoring);

/* Opens the image. Signals that ask thump to end end it meanwhile, unless it is pid 1: nothing that
 * the caller has made by then may need to be cleaned up. */
THUMP_MUST_CHECK int thump_restoring_open(struct thump_restoring *restoring,
					  const struct thump_rebuild_options *options,
					  struct thump_err *err);
/* Then plans. -1 also when there are misfits (REFUSED; they are in ->problems). */
THUMP_MUST_CHECK int thump_restoring_plan(struct thump_restoring *restoring,
					  const struct thump_rebuild_options *options,
					  struct thump_err *err);
/* Both. */
THUMP_MUST_CHECK int thump_restoring_prepare(struct thump_restoring *restoring,
					     const struct thump_rebuild_options *options,
					     struct thump_err *err);
/* In place of a start: checks the memory that a start would check as it reads it. */
THUMP_MUST_CHECK int thump_restoring_verify(struct thump_restoring *restoring,
					    struct thump_err *err);
/* Makes the process and lets it run. */
THUMP_MUST_CHECK int thump_restoring_start(struct thump_restoring *restoring,
					   struct thump_err *err);

/* "set-tid", "namespace", "spin", "other" */
const char *thump_way_name(enum thump_pid_way way);
const char *thump_memory_mode_name(enum thump_memory_mode mode);
/* Takes the word of --memory, auto, eager or lazy-unsafe: -1 to go on, else the status to end with.
 */
THUMP_MUST_CHECK int thump_memory_option(const struct thump_common *common, const char *word,
					 enum thump_memory_mode *mode_ret);

/* The object that restore --json prints; error may be empty. */
json_t *thump_restoring_json(const struct thump_restoring *restoring,
			     const struct thump_err *error);

#endif
