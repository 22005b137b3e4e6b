/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One small file per image in $XDG_STATE_HOME/thump/verified (~/.local/state). Its name is a slot
 * number made of device and inode: so there are never more than NR_SLOTS of them, and two images
 * that share a slot only cost each other the note. A note is no proof against somebody who may
 * write here or there: images are trusted by their owner, checksums find accidents.
 */
#include "rebuild/verified.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

#define NR_SLOTS 1024u
/* Multiplier of a Fibonacci hash: 2^64 divided by the golden ratio. */
#define SCATTER UINT64_C(0x9e3779b97f4a7c15)

#ifndef STATX_ATTR_VERITY
#define STATX_ATTR_VERITY 0x00100000 /* since Linux 5.5 */
#endif

static uint64_t nanoseconds(const struct timespec *time)
{
	return (uint64_t)time->tv_sec * UINT64_C(1000000000) + (uint64_t)time->tv_nsec;
}

struct thump_file_state thump_file_state_of(const struct stat *st)
{
	return (struct thump_file_state){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size_bytes = (uint64_t)st->st_size,
		.mtime_ns = nanoseconds(&st->st_mtim),
		.ctime_ns = nanoseconds(&st->st_ctim),
	};
}

static void slot_name(const struct thump_file_state *state, char name[16])
{
	uint64_t hash = (state->ino * SCATTER ^ state->dev) * SCATTER;

	(void)snprintf(name, 16, "%03x", (unsigned)(hash >> 32) % NR_SLOTS);
}

static int format_note(const struct thump_file_state *state, char *text, size_t size)
{
	return snprintf(text, size, "%" PRIx64 " %" PRIx64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
			state->dev, state->ino, state->size_bytes, state->mtime_ns,
			state->ctime_ns);
}

/* Goes into a directory, making it when asked to. Takes *fd; -1 when it is not there. */
static int enter(int *fd, const char *name, bool make)
{
	auto_close int from = thump_take_fd(fd);

	if (make)
		(void)mkdirat(from, name, 0700);
	return openat(from, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The directory of the notes; -1: there is none, or it is not ours alone to write. */
static int open_notes(bool make)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	auto_close int fd = -1;
	struct stat st;

	if (state && state[0] == '/') {
		if (make) /* as the XDG Base Directory Specification wants it */
			(void)mkdir(state, 0700);
		fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} else if (home && home[0] == '/') {
		fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			fd = enter(&fd, ".local", make);
		if (fd >= 0)
			fd = enter(&fd, "state", make);
	}
	if (fd >= 0)
		fd = enter(&fd, "thump", make);
	if (fd >= 0)
		fd = enter(&fd, "verified", make);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 022))
		return -1;
	return thump_take_fd(&fd);
}

static bool has_verity(int fd)
{
	struct statx stx;

	return statx(fd, "", AT_EMPTY_PATH, STATX_INO, &stx) == 0 &&
	       (stx.stx_attributes & STATX_ATTR_VERITY);
}

bool thump_is_verified(int image_fd, const struct thump_file_state *state)
{
	char name[16], wanted[128], note[128];
	auto_close int dir = -1, fd = -1;
	int len = format_note(state, wanted, sizeof(wanted));

	if (has_verity(image_fd))
		return true;
	dir = open_notes(false);
	if (dir < 0)
		return false;
	slot_name(state, name);
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	return fd >= 0 && read(fd, note, sizeof(note)) == (ssize_t)len &&
	       memcmp(note, wanted, (size_t)len) == 0;
}

void thump_note_verified(const struct thump_file_state *state)
{
	char name[16], temporary[32], note[128];
	auto_close int dir = open_notes(true), fd = -1;
	int len = format_note(state, note, sizeof(note));

	if (dir < 0)
		return;
	slot_name(state, name);
	(void)snprintf(temporary, sizeof(temporary), ".%s.%d", name, (int)getpid());
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (thump_write_full(fd, note, (size_t)len) < 0 || renameat(dir, temporary, dir, name) < 0)
		(void)unlinkat(dir, temporary, 0);
}
