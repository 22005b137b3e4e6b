/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One const struct of operations per kind of kernel object behind a descriptor; both directions
 * in one file; registered by one line in kinds/registry.c. docs/ADDING-A-KIND.md is the recipe.
 *
 * capture side, in the checkpointing process, target stopped:
 *     facts --matches--> kind --capture--> ofd (record, open flags, text)   or a listed problem
 * restore side:
 *     record --decode--> checked object (no side effects)     } in thump, before anything exists;
 *     object --check--> problems (files gone, port taken ...)  } all misfits are collected
 *     object --rebuild--> fd                  in the child, after fork and before exec
 *     object --connect                        in the child, when every descriptor has its number
 */
#ifndef THUMP_KINDS_KIND_H
#define THUMP_KINDS_KIND_H

#include <fcntl.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/problems.h"
#include "kinds/rules.h"
#include "model/model.h"

struct thump_target;
struct thump_fd_capture;
struct thump_fd_rebuild;

/* What is known about one descriptor from outside, before any kind looks at it. */
struct thump_fd_facts {
	int fd;
	const char *link;    /* readlink of /proc/PID/fd/N, e.g. "socket:[123]", "/etc/passwd" */
	bool deleted;	     /* link ended in " (deleted)" and that was cut off */
	struct stat st;	     /* fstat through /proc/PID/fd/N */
	uint64_t fs_type;    /* statfs(2), of regular files; 0: not known */
	const char *fdinfo;  /* text of /proc/PID/fdinfo/N */
	uint32_t open_flags; /* from fdinfo, octal field `flags:`, without O_CLOEXEC */
	bool cloexec;
	uint64_t pos;
	uint32_t mnt_id;
	/* socket(7) facts, when st is a socket and they could be read; else -1 */
	int sock_domain, sock_type, sock_protocol;
};

struct thump_kind {
	const char *name; /* the word of the man page: "eventfd", "pipe", "epoll" */
	uint16_t kind_id; /* on disk, never reused; table in docs/FORMAT.md */
	uint16_t version; /* of the record; decode gets the version that it was written with */
	/* It belongs to the process that makes it, and would mean something else in another one
	 * that it is handed to: no clone of a template gets one. Pure. May be NULL: it does not. */
	bool (*stays)(const void *object);
	/* Made long before its program runs (a spare of a template), it is as good as one that is
	 * made right then. Pure, after check. May be NULL: it is not. */
	bool (*can_wait)(const struct thump_fd_rebuild *rb, uint32_t ofd_id, const void *object);
	/* Pure: looks only at facts. The first match in registry order wins. */
	bool (*matches)(const struct thump_fd_facts *facts);
	/*
	 * Fills ofd->record (through `record`) and ofd->text; facts of a second descriptor of the
	 * same description never come here. What cannot be saved is added to cap->problems, naming
	 * it, and 0 is returned; -1 is for failures of thump or the kernel.
	 */
	int (*capture)(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		       struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err);
	/* Untrusted bytes -> *object_ret in `arena`; checks every field; no side effects. */
	int (*decode)(const struct thump_ofd *ofd, struct thump_arena *arena, void **object_ret,
		      struct thump_err *err);
	/* Adds misfits to problems; may open files and keep them in rb. May be NULL. */
	int (*check)(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
		     struct thump_problems *problems, struct thump_err *err);
	/* Makes the object; the fd is CLOEXEC, any number; flags from ofd->open_flags are set. */
	int (*rebuild)(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
		       struct thump_err *err);
	/* For kinds that refer to other descriptors (epoll, unix sockets with passed fds). `fd` is
	 * the first final number of this description. May be NULL. */
	int (*connect)(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int fd,
		       struct thump_err *err);
	/*
	 * Which of the launcher's descriptors 0 to 2 this description stands for, so that the
	 * restoring command's own takes its place; -1: none. Pure. May be NULL: none.
	 */
	int (*launcher_fd)(const void *object);
	/*
	 * What resource policies of a restore go by: its path, and, of sockets, names. Pure. May be
	 * NULL: only its number and the name of the kind.
	 */
	const char *(*path)(const struct thump_fd_rebuild *rb, uint32_t ofd_id, const void *object);
	void (*names)(const void *object, struct thump_rule_names *names_ret);
};

/* ---- capture side --------------------------------------------------------------------- */

struct thump_fd_capture {
	struct thump_target *target; /* stopped; trace/target.h gives remote calls and dup_fd */
	struct thump_model *model;   /* backings are added here */
	struct thump_problems *problems;
	/* every descriptor of the target, in ascending order: to find the other end of a pipe */
	const struct thump_fd_facts *all;
	size_t nr_all;
	bool have_dup_fd;	    /* pidfd_getfd works here */
	uint64_t carry_limit_bytes; /* open temporary files up to this travel in the image */
	const char *tmpdir;	    /* TMPDIR of the target's environment, or NULL */
	const struct thump_fd_rules *rules; /* or NULL */
	/* What a rule says of the TCP socket that is captured now. */
	enum thump_ending { THUMP_END_NOT, THUMP_END_CONNECTION, THUMP_END_SOCKET } ending;
	uint16_t *listening; /* TCP ports, found when first asked for; else NULL */
	size_t nr_listening;
	bool refusal_listed;	 /* that the target makes no calls for us is listed */
	bool sees_flights;	 /* descriptors in flight are in `all`, after those of the target */
	const uint32_t *ofd_ids; /* [index in all] */
};

/*
 * Index of the backing for the regular file or memfd behind fd, added on first use (same dev:ino
 * = same backing, shared with mappings). THUMP_NO_ID when it cannot be saved: then a problem was
 * listed.
 */
THUMP_MUST_CHECK int thump_capture_backing(struct thump_fd_capture *cap,
					   const struct thump_fd_facts *facts,
					   uint32_t *backing_id_ret, struct thump_err *err);

/* ---- restore side --------------------------------------------------------------------- */

struct thump_image;
struct thump_made;

/* struct termios as the kernel has it. */
struct thump_tty_modes {
	uint32_t input, output, control, local;
	uint8_t line;
	uint8_t characters[19];
};

/* The caller's stdin, stdout and stderr, where they are terminals that take the program's modes. */
struct thump_terminals {
	struct thump_terminal {
		bool differs;
		struct thump_tty_modes before, wanted;
	} at[3];
	bool resized; /* one of them has another size than the program's had */
};

struct thump_port_map {
	uint16_t from, to;
};

/* A POSIX lock that the new process takes itself, when it has closed all that is not its own. */
struct thump_late_lock {
	int fd;
	struct flock range;
};

/* Who gets which signal when the file is ready (F_SETOWN_EX, F_SETSIG): threads exist only then. */
struct thump_late_owner {
	int fd, signo;
	struct f_owner_ex owner;
};

/* What only the new process can open, as it opens itself. */
#define THUMP_OWN_PROC_MAX_BYTES 1024U
struct thump_late_open {
	uint32_t ofd_id;
	const char *path;
	int flags;
	uint64_t pos;
};

struct thump_fd_rebuild {
	const struct thump_model *model;
	struct thump_image *image; /* to read carried content */
	struct thump_arena *arena;
	void **objects;	  /* [ofd_id], from decode */
	int *ofd_fds;	  /* [ofd_id] fd in this process once rebuilt, else -1 */
	int *backing_fds; /* [backing_id], opened by the check stage or made, else -1 */
	const struct thump_port_map *ports;
	size_t nr_ports;
	bool only_backings;		    /* of a template: no descriptor will be made */
	bool handed_over;		    /* another process gets them from the child */
	bool bound_late;		    /* and gives sockets their names: thump_late_binds() */
	bool keep_stdio;		    /* --keep-stdio: do not take the caller's 0, 1, 2 */
	const struct thump_fd_rules *rules; /* asked before anything else; or NULL */
	int64_t monotonic_shift_ns; /* clock here minus clock at the capture; 0 in a time namespace
				     */
	int64_t boottime_shift_ns;
	struct thump_terminals terminals;   /* found by thump_check_fds */
	struct thump_late_lock *late_locks; /* the same */
	size_t nr_late_locks;
	struct thump_late_owner *late_owners; /* the same */
	size_t nr_late_owners;
	struct thump_late_open *late_opens; /* the same */
	size_t nr_late_opens;
	/* From here on private to src/kinds; zero at the beginning. */
	struct thump_backing_plan *plans; /* [backing_id], made by thump_check_fds */
	int *kept_fds; /* [ofd_id] made by check already: the child may not, or need not; else -1 */
	bool *closed, *any_file;   /* [ofd_id] what a rule says: it comes back closed; the file at
				    * its path will do, whatever became of it */
	struct thump_stash *stash; /* ends of pipes and pairs whose turn has not come */
	size_t nr_stash;
	int caller_stdio[3];	 /* the caller's 0 to 2, out of the way; -1 when closed */
	int safe_fd;		 /* above all numbers that the target uses */
	struct thump_made *made; /* files that the child made; shared with it, or NULL */
};

/* Is the owner of a description the process itself, or a thread of it? */
bool thump_owner_is_own(const struct thump_model *model, const struct thump_ofd *ofd);

/* The kinds, in matching order, ended by NULL. */
const struct thump_kind *const *thump_kinds(void);
const struct thump_kind *thump_kind_by_id(uint16_t kind_id);

struct thump_fd_options {
	uint64_t carry_limit_bytes;
	const struct thump_fd_rules *rules; /* NULL: none */
};

/*
 * Captures all descriptors of the target into model->ofds and model->fds; finds shared
 * descriptions with kcmp(2), and where that is refused in other ways (share.c). The one entry point
 * that capture calls.
 */
THUMP_MUST_CHECK int thump_capture_fds(struct thump_target *target, struct thump_model *model,
				       const struct thump_fd_options *options,
				       struct thump_problems *problems, struct thump_err *err);

/*
 * decode + check of every ofd and backing; called in thump before the child exists. Allocates
 * objects, ofd_fds and backing_fds in rb->arena. Afterwards backing_fds holds the files that
 * mappings need, open in this process until thump_close_fds().
 */
THUMP_MUST_CHECK int thump_check_fds(struct thump_fd_rebuild *rb, struct thump_problems *problems,
				     struct thump_err *err);

/*
 * Called in the child, after fork, before exec: makes every description and gives it its final
 * numbers. Fds in keep[] (image, exe, blob data, pipes to thump) are moved out of the way first:
 * their new numbers are written back. On return, all of 0..max are as in the image but without
 * CLOEXEC (a step sets it), everything else but keep[] is CLOEXEC. Backings that mappings need are
 * open in rb->backing_fds (inherited across exec, closed by a step). Anonymous shared memory has no
 * descriptor: its backing_fds stay -1.
 */
THUMP_MUST_CHECK int thump_rebuild_fds(struct thump_fd_rebuild *rb, int *keep, size_t nr_keep,
				       struct thump_err *err);

/*
 * Around the child: what it makes in file systems is noted, and gone again after the undo. Undo it
 * when the child has ended, and with the same rights to files.
 */
THUMP_MUST_CHECK int thump_made_create(struct thump_fd_rebuild *rb, struct thump_err *err);
void thump_made_undo(struct thump_fd_rebuild *rb);
void thump_made_destroy(struct thump_fd_rebuild *rb);

/* When nothing can fail any more: the terminals get the modes that the program had set. After its
 * end, or a failure: those that it left so get back the ones that they had. */
void thump_terminals_adopt(const struct thump_terminals *terminals);
void thump_terminals_put_back(const struct thump_terminals *terminals);

/* For a template: thump_rebuild_fds without any descriptor of the program, and without what is not
 * simply a file to be mapped. */
THUMP_MUST_CHECK int thump_rebuild_backings(struct thump_fd_rebuild *rb, struct thump_err *err);
/* Adds a problem for each description of a kind that `stays`; after thump_check_fds(). */
void thump_check_clonable(const struct thump_fd_rebuild *rb, struct thump_problems *problems);

/* What a spare gets only when somebody takes it, as others may have it until then: names of
 * sockets, with rb->ports as they are now. */
struct thump_late_bind {
	int fd;
	int backlog; /* of listen(2); -1: it does not listen */
	uint32_t len;
	unsigned char address[28]; /* struct sockaddr_in or sockaddr_in6 */
};
/* At most model->nr_ofds; returns how many there are. */
size_t thump_late_binds(const struct thump_fd_rebuild *rb, struct thump_late_bind *list);
/* Which of the caller's descriptors 0 to 2 takes the place of this one; -1: none. */
int thump_callers_number(const struct thump_fd_rebuild *rb, const struct thump_fd *place);
/* Fails when the path of a file leads to another one than was opened. */
THUMP_MUST_CHECK int thump_check_still(const struct thump_fd_rebuild *rb, struct thump_err *err);
/* Adds a problem for each description that cannot wait in a spare; after thump_check_fds(). */
void thump_check_waiting(const struct thump_fd_rebuild *rb, struct thump_problems *problems);

/* In thump, when no more children will be made: closes what thump_check_fds opened. */
void thump_close_fds(struct thump_fd_rebuild *rb);

#endif
