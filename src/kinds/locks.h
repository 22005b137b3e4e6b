/* SPDX-License-Identifier: Apache-2.0 */
/* File locks, as `lock:` lines of fdinfo show them: flock(2), POSIX and OFD locks of fcntl(2). */
#ifndef THUMP_KINDS_LOCKS_H
#define THUMP_KINDS_LOCKS_H

#include "base/bytes.h"

struct thump_fd_rebuild;

enum thump_lock_type {
	THUMP_LOCK_FLOCK = 1, /* flock(2), of the description */
	THUMP_LOCK_POSIX = 2, /* F_SETLK, of the process: gone when any descriptor is closed */
	THUMP_LOCK_OFD = 3,   /* F_OFD_SETLK, of the description */
	THUMP_LOCK_OTHER = 4, /* leases and delegations; never in a record */
};

struct thump_lock {
	uint8_t type; /* enum thump_lock_type */
	bool exclusive;
	uint64_t start, len; /* 0 bytes: to the end, however far that is */
};

struct thump_locks {
	struct thump_lock *list;
	uint32_t count;
};

/* Pure: reads the text of fdinfo. */
THUMP_MUST_CHECK int thump_locks_parse(const char *fdinfo, struct thump_arena *arena,
				       struct thump_locks *locks_ret, struct thump_err *err);

/* Pure: does the text of fdinfo or /proc/locks show a lease or delegation on inode `ino`? Whoever
 * opens the file then takes it away: the kernel tells the holder so by a signal (F_SETLEASE).
 * Device numbers are not compared: those of some file systems differ from what stat(2) says. */
bool thump_locks_show_lease(const char *text, uint64_t ino);

void thump_locks_encode(struct thump_buf *record, const struct thump_locks *locks);
/* Fails the reader on anything out of range. */
void thump_locks_decode(struct thump_reader *r, struct thump_arena *arena,
			struct thump_locks *locks_ret);

bool thump_locks_have(const struct thump_locks *locks, enum thump_lock_type type);

/* Takes all locks of the given type on fd without waiting. -1 with errno EAGAIN when another
 * process holds one. */
THUMP_MUST_CHECK int thump_locks_take(int fd, const struct thump_locks *locks,
				      enum thump_lock_type type);

/*
 * Notes the POSIX locks of descriptor `fd` in rb->late_locks: closing any descriptor of the file
 * ends them (fcntl(2)), so they can be taken only when the one that a mapping was made from is
 * closed.
 */
THUMP_MUST_CHECK int thump_locks_put_off(struct thump_fd_rebuild *rb, int fd,
					 const struct thump_locks *locks, struct thump_err *err);

/* Could all of them be taken? Takes them on `fd`, a description opened for this with the access
 * mode of the one that held them; closing it lets go. False with errno. */
bool thump_locks_free(int fd, const struct thump_locks *locks);

#endif
