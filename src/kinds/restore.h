/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/kinds, restore side: what kinds use to make objects. */
#ifndef THUMP_KINDS_RESTORE_H
#define THUMP_KINDS_RESTORE_H

#include "kinds/kind.h"

/* ---- which description is what ---------------------------------------------------------- */

/* The lowest descriptor of this description; -1 when no descriptor refers to it. */
int thump_ofd_first_fd(const struct thump_model *model, uint32_t ofd_id);

/* 0 to 2 for what the launcher gave as stdin, stdout or stderr; else -1. */
int thump_ofd_launcher_fd(const struct thump_fd_rebuild *rb, uint32_t ofd_id);

/* The restoring command's own stdin, stdout or stderr takes the place of this description. */
bool thump_ofd_is_callers(const struct thump_fd_rebuild *rb, uint32_t ofd_id);

/* The kind that makes it: its own, or `closed` where a rule says so. */
const struct thump_kind *thump_ofd_kind(const struct thump_fd_rebuild *rb, uint32_t ofd_id);

/* For can_wait of kinds that nobody outside sees. */
bool thump_can_always_wait(const struct thump_fd_rebuild *rb, uint32_t ofd_id, const void *object);

/* Finds the rule for each description and notes in rb what it says (restore_rules.c). */
THUMP_MUST_CHECK int thump_apply_restore_rules(struct thump_fd_rebuild *rb,
					       struct thump_problems *problems,
					       struct thump_err *err);

/* Adds a misfit "fd N: ..." about the first descriptor of ofd_id. */
void thump_misfit(const struct thump_fd_rebuild *rb, uint32_t ofd_id,
		  struct thump_problems *problems, const char *word, const char *fmt, ...)
	THUMP_PRINTF(5, 6);
void thump_misfit_warn(const struct thump_fd_rebuild *rb, uint32_t ofd_id,
		       struct thump_problems *problems, const char *word, const char *fmt, ...)
	THUMP_PRINTF(5, 6);

/* Fills rb->terminals; objects are decoded. tty.c */
void thump_terminals_look(struct thump_fd_rebuild *rb);

/* Warns about a buffer of the socket `fd` that is smaller than it was. */
struct thump_sock_options;
void thump_warn_about_buffer(const struct thump_fd_rebuild *rb, uint32_t ofd_id,
			     const struct thump_sock_options *options, int fd,
			     struct thump_problems *problems);

/* ---- making descriptors ------------------------------------------------------------------ */

/* A new description of what `fd` of this process refers to; CLOEXEC. -1 with errno. */
THUMP_MUST_CHECK int thump_reopen(int fd, int flags);

/* Descriptors are made before root takes on the program's ids, as the program may have opened them
 * before it did so: files made on the way are given to it. "" is dir_fd itself. */
void thump_give_to_program(const struct thump_fd_rebuild *rb, int dir_fd, const char *path);

/* Before and after a file or folder is made, for thump_made_undo(). One at a time. */
struct thump_made_file;
struct thump_made_file *thump_made_begin(struct thump_fd_rebuild *rb, const char *path,
					 bool is_folder);
void thump_made_end(struct thump_fd_rebuild *rb, struct thump_made_file *file, bool success);

/* The flags of open(2) that a recorded description keeps; never one that creates or truncates. */
int thump_open_flags(uint32_t recorded);

/*
 * Ends of pipes and pairs that were made together with another one and wait for their turn, by
 * (kind, key). put takes over the fd, also on failure. take gives the oldest; -1 when there is
 * none. What nobody takes is closed at the end: an end that nobody held.
 */
THUMP_MUST_CHECK int thump_stash_put(struct thump_fd_rebuild *rb, uint16_t kind_id, uint64_t key,
				     int fd, struct thump_err *err);
int thump_stash_take(struct thump_fd_rebuild *rb, uint16_t kind_id, uint64_t key);
void thump_stash_close(struct thump_fd_rebuild *rb);

/* From check: the new process itself opens `path` (of at most THUMP_OWN_PROC_MAX_BYTES and some) in
 * the place of what the child made; NULL: no memory. own_proc.c */
THUMP_MUST_CHECK int thump_open_late(struct thump_fd_rebuild *rb, uint32_t ofd_id, const char *path,
				     struct thump_err *err);

/* Moves a descriptor out of the numbers of the target; CLOEXEC stays as it was. Closes `fd`. */
THUMP_MUST_CHECK int thump_move_away(struct thump_fd_rebuild *rb, int fd, int *fd_ret,
				     struct thump_err *err);

/* ---- backings ---------------------------------------------------------------------------- */

enum thump_backing_how {
	THUMP_BACKING_UNUSED = 0,    /* only descriptors that are the caller's refer to it */
	THUMP_BACKING_OPEN,	     /* the file at its path */
	THUMP_BACKING_MAKE_LOG,	     /* a log that is gone: made anew, empty */
	THUMP_BACKING_MAKE_NAMED,    /* a carried file at its path */
	THUMP_BACKING_REPLACE,	     /* the same, in place of the one that was left there */
	THUMP_BACKING_MAKE_UNLINKED, /* a carried file without a name */
	THUMP_BACKING_MAKE_MEMFD,
	THUMP_BACKING_MISFIT, /* listed */
};

struct thump_backing_plan {
	enum thump_backing_how how;
	bool mapped; /* a mapping needs it: open until the end */
	bool mapped_for_write;
	bool written;  /* the program may write to it */
	bool any_file; /* a policy: whatever file is at its path now */
	bool is_log; /* only ever written at its end: by O_APPEND, or as a launcher's output file */
	uint32_t ofd_id;   /* the first description that refers to it, or THUMP_NO_ID */
	uint64_t dev, ino; /* of the file that was checked */
};

THUMP_MUST_CHECK int thump_check_backings(struct thump_fd_rebuild *rb,
					  struct thump_problems *problems, struct thump_err *err);
/* In the child: makes what is to be made. */
THUMP_MUST_CHECK int thump_make_backings(struct thump_fd_rebuild *rb, struct thump_err *err);
/* When all descriptors are there: modes of the files that were made; what no mapping needs is
 * closed.
 */
THUMP_MUST_CHECK int thump_settle_backings(struct thump_fd_rebuild *rb, struct thump_err *err);
/* A description of the backing with the given flags of open(2), as recorded. */
THUMP_MUST_CHECK int thump_open_backing(struct thump_fd_rebuild *rb, uint32_t backing_id,
					uint32_t recorded_flags, int *fd_ret,
					struct thump_err *err);

#endif
