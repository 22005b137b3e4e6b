/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/kinds, capture side: how kinds look at a descriptor of the stopped target. */
#ifndef THUMP_KINDS_CAPTURE_H
#define THUMP_KINDS_CAPTURE_H

#include <dirent.h>

#include "kinds/kind.h"
#include "proc/fdinfo.h"

/* ---- facts.c, share.c ------------------------------------------------------------------ */

/* Every descriptor of the target in ascending order, in `arena`. `dup_fd`: pidfd_getfd works. */
THUMP_MUST_CHECK int thump_facts_collect(struct thump_target *target, bool dup_fd,
					 struct thump_arena *arena,
					 struct thump_fd_facts **facts_ret, size_t *count_ret,
					 struct thump_err *err);

/* All about the descriptor facts->fd. */
THUMP_MUST_CHECK int thump_facts_read(struct thump_target *target, bool dup_fd,
				      struct thump_arena *arena, struct thump_fd_facts *facts,
				      struct thump_err *err);

/* /proc/PID/fdinfo/FD, parsed, and its text on the heap. */
THUMP_MUST_CHECK int thump_fdinfo_read(struct thump_target *target, int fd,
				       struct thump_fdinfo *info_ret, char **text_ret,
				       struct thump_err *err);

enum thump_share_way {
	THUMP_SHARE_KCMP,  /* kcmp(2) */
	THUMP_SHARE_QUERY, /* fcntl(F_DUPFD_QUERY) in the target, Linux 6.10 */
	THUMP_SHARE_FLAG,  /* a status flag changed through one shows in the other's fdinfo */
};

/* The best way that works here. */
enum thump_share_way thump_share_probe(struct thump_target *target, int fd);

/* first_ret[i] is the index of the first descriptor with the same open file description as i
 * (i itself when there is none before it). */
THUMP_MUST_CHECK int thump_share_find(struct thump_target *target, enum thump_share_way way,
				      const struct thump_fd_facts *facts, size_t count,
				      size_t *first_ret, struct thump_err *err);

/* ---- access.c -------------------------------------------------------------------------- */

/*
 * System calls on a descriptor of the target: on a duplicate in this process where pidfd_getfd(2)
 * is allowed, else remotely. `bytes` stands for memory that the call may point into; its address as
 * the call sees it is `addr`.
 */
struct thump_access {
	struct thump_target *target;
	int fd; /* the number to pass */
	bool remote;
	unsigned char *bytes;
	uint64_t addr;
	size_t room_bytes;
};

#define THUMP_ACCESS_INIT ((struct thump_access){ .fd = -1 })

THUMP_MUST_CHECK int thump_access_open(struct thump_target *target, bool dup_fd, int fd,
				       struct thump_access *access_ret, struct thump_err *err);
void thump_access_close(struct thump_access *access);
#define auto_access __attribute__((cleanup(thump_access_close)))

/* args[0] of most calls is access->fd. The first used_bytes of `bytes` go in and come back.
 * *result_ret is the raw result: -errno on failure. */
THUMP_MUST_CHECK int thump_access_call(struct thump_access *access, long nr, const uint64_t args[6],
				       size_t used_bytes, long *result_ret, struct thump_err *err);

/* At least this much room for `bytes`; false when that is not to be had (remote). */
bool thump_access_room(struct thump_access *access, size_t size_bytes);

/* getsockopt(2): up to *len_ret bytes into value; *result_ret is 0 or -errno. */
THUMP_MUST_CHECK int thump_access_getsockopt(struct thump_access *access, int level, int name,
					     void *value, uint32_t *len_ret, long *result_ret,
					     struct thump_err *err);

/* ioctl(2) that yields one int. */
THUMP_MUST_CHECK int thump_access_ioctl_int(struct thump_access *access, unsigned long request,
					    int *value_ret, long *result_ret,
					    struct thump_err *err);

/* poll(2) without waiting: what is ready at all. */
THUMP_MUST_CHECK int thump_access_poll(struct thump_access *access, short events,
				       short *revents_ret, struct thump_err *err);

/* statfs(2); linux/magic.h has them only since 5.14 or not at all. */
#define THUMP_FS_SECRETMEM 0x5345434dU
#define THUMP_FS_MQUEUE	   0x19800202U

/* ---- for kinds ------------------------------------------------------------------------- */

/* stat(2) of an absolute path as the target sees it, in its root directory and mounts. */
THUMP_MUST_CHECK int thump_target_stat(const struct thump_target *target, const char *path,
				       struct stat *st_ret);

/* Value of NAME= in the target's environment as it was at its start, in `arena`, or NULL. */
const char *thump_target_env(struct thump_target *target, struct thump_arena *arena,
			     const char *name);

/* A new description in this process of what /proc/PID/fd/N refers to; CLOEXEC. -1 with errno. */
THUMP_MUST_CHECK int thump_target_reopen(const struct thump_target *target, int fd, int flags);

/* Is something else at the path of facts (replaced, mounted over)? Unknown is no. */
bool thump_path_leads_elsewhere(const struct thump_fd_capture *cap,
				const struct thump_fd_facts *facts);

/* The lowest descriptor below facts->fd with the same inode; NULL when there is none. */
const struct thump_fd_facts *thump_facts_before(const struct thump_fd_capture *cap,
						const struct thump_fd_facts *facts);

/* Is the file of facts mapped (shared and for writing)? For rare cases: reads all mappings. */
bool thump_is_mapped(const struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		     bool for_writing);

/* The number that an entry of a folder of descriptors names, or -1. */
int thump_fd_of_entry(const struct dirent *entry);

static inline uint32_t thump_facts_access_mode(const struct thump_fd_facts *facts)
{
	return facts->open_flags & 3U; /* O_ACCMODE */
}

static inline bool thump_same_inode(const struct thump_fd_facts *a, const struct thump_fd_facts *b)
{
	return a->st.st_ino == b->st.st_ino && a->st.st_dev == b->st.st_dev;
}

/* Lists "fd N: ..." as something that cannot be saved. `word` is short and stable, for scripts. */
void thump_refuse_fd(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		     const char *word, const char *fmt, ...) THUMP_PRINTF(4, 5);
void thump_warn_fd(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		   const char *word, const char *fmt, ...) THUMP_PRINTF(4, 5);

/* ofd->text = printf; out of memory is a failure. */
THUMP_MUST_CHECK int thump_ofd_describe(struct thump_fd_capture *cap, struct thump_ofd *ofd,
					struct thump_err *err, const char *fmt, ...)
	THUMP_PRINTF(4, 5);

/* Lists "fd N: <name>: cannot be saved" for what no kind matches. refuse.c */
void thump_refuse_unknown(struct thump_fd_capture *cap, const struct thump_fd_facts *facts);

#endif
