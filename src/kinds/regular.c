/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular files. The file itself is a backing (kinds/backing.c, restore_backing.c); here is what
 * belongs to the open file description: flags, offset, locks.
 *
 * Record: u8 launcher (0 to 2: opened by whoever started the program; 255: not), locks.
 */
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/locks.h"
#include "kinds/registry.h"
#include "kinds/restore.h"

#define NO_LAUNCHER 255U

struct regular {
	uint8_t launcher;
	struct thump_locks locks;
};

static bool regular_matches(const struct thump_fd_facts *facts)
{
	/* Regular to stat(2), but not to be had again by opening a path. */
	if (facts->fs_type == THUMP_FS_SECRETMEM || facts->fs_type == THUMP_FS_MQUEUE)
		return false;
	return S_ISREG(facts->st.st_mode) && facts->link[0] == '/';
}

static const char *mode_word(uint32_t open_flags)
{
	if (open_flags & O_PATH)
		return "path only";
	switch (open_flags & O_ACCMODE) {
	case O_RDONLY:
		return "read";
	case O_WRONLY:
		return open_flags & O_APPEND ? "append" : "write";
	default:
		return open_flags & O_APPEND ? "read and append" : "read and write";
	}
}

static int capture_locks(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			 struct thump_buf *record, struct thump_err *err)
{
	struct thump_locks locks;

	if (thump_locks_parse(facts->fdinfo, &cap->model->arena, &locks, err) < 0)
		return -1;
	if (thump_locks_have(&locks, THUMP_LOCK_OTHER))
		thump_refuse_fd(cap, facts, "lease", "file %s: leases cannot be saved",
				facts->link);
	thump_locks_encode(record, &locks);
	return 0;
}

static int regular_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			   struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	bool launcher = facts->fd <= 2 && !(facts->open_flags & O_PATH);

	if (thump_capture_backing(cap, facts, &ofd->backing_id, err) < 0)
		return -1;
	thump_buf_put_u8(record, launcher ? (uint8_t)facts->fd : NO_LAUNCHER);
	if (capture_locks(cap, facts, record, err) < 0)
		return -1;
	return thump_ofd_describe(cap, ofd, err, "file %s%s, %s, at %llu", facts->link,
				  facts->deleted ? " (deleted)" : "", mode_word(facts->open_flags),
				  (unsigned long long)facts->pos);
}

static int regular_decode(const struct thump_ofd *ofd, struct thump_arena *arena, void **object_ret,
			  struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);
	struct regular *regular = thump_arena_alloc(arena, 1, sizeof(*regular));

	if (!regular)
		return thump_fail(err, "out of memory");
	regular->launcher = thump_get_u8(&r);
	if (regular->launcher > 2 && regular->launcher != NO_LAUNCHER)
		r.failed = true;
	thump_locks_decode(&r, arena, &regular->locks);
	if (thump_reader_done(&r, "file", err) < 0)
		return -1;
	if (ofd->backing_id == THUMP_NO_ID)
		return thump_damaged(err, "file: no backing");
	if (ofd->pos > INT64_MAX)
		return thump_damaged(err, "file: offset %llu", (unsigned long long)ofd->pos);
	*object_ret = regular;
	return 0;
}

/* A held lock on a file that travels in the image: then it is somebody else's copy by now. */
static void lock_is_held(struct thump_fd_rebuild *rb, uint32_t ofd_id,
			 struct thump_problems *problems)
{
	const struct thump_ofd *ofd = &rb->model->ofds[ofd_id];
	const struct thump_backing *backing = &rb->model->backings[ofd->backing_id];

	if (backing->kind != THUMP_BACKING_CARRIED) {
		thump_misfit(rb, ofd_id, problems, "locked-file",
			     "file %s: another process holds a lock on it", backing->path);
		return;
	}
	thump_misfit_warn(rb, ofd_id, problems, "locked-file",
			  "file %s: another process holds a lock on it: goes on with a copy "
			  "without a name",
			  backing->path);
	rb->plans[ofd->backing_id].how = THUMP_BACKING_MAKE_UNLINKED;
	thump_close_fd(&rb->backing_fds[ofd->backing_id]);
}

static int regular_check(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
			 struct thump_problems *problems, struct thump_err *err)
{
	const struct thump_ofd *ofd = &rb->model->ofds[ofd_id];
	const struct thump_backing_plan *plan;
	const struct regular *regular = object;
	struct thump_err why = THUMP_ERR_INIT;
	auto_close int fd = -1;

	if (ofd->backing_id >= rb->model->nr_backings)
		return thump_damaged(err, "file: backing %u of %u", ofd->backing_id,
				     rb->model->nr_backings);
	plan = &rb->plans[ofd->backing_id];
	if ((plan->mapped || rb->handed_over) &&
	    thump_locks_put_off(rb, thump_ofd_first_fd(rb->model, ofd_id), &regular->locks, err) <
		    0)
		return -1;
	/* Whoever may only read it finds that out when it is opened; this is what is left. */
	if (plan->how != THUMP_BACKING_OPEN ||
	    ((ofd->open_flags & O_ACCMODE) == O_RDONLY && regular->locks.count == 0))
		return 0;
	if (thump_open_regular(rb->model->backings[ofd->backing_id].path,
			       thump_open_flags(ofd->open_flags), &fd, &why) < 0)
		thump_misfit(rb, ofd_id, problems, "unwritable-file",
			     "file %s: cannot be opened to %s: %s",
			     rb->model->backings[ofd->backing_id].path, mode_word(ofd->open_flags),
			     why.text);
	else if (!thump_locks_free(fd, &regular->locks))
		lock_is_held(rb, ofd_id, problems);
	return 0;
}

/* Of a log that is another by now: to its end, not over what was written there meanwhile. */
static int set_offset(const struct thump_fd_rebuild *rb, const struct thump_ofd *ofd, int fd,
		      struct thump_err *err)
{
	const struct thump_backing *backing = &rb->model->backings[ofd->backing_id];
	bool to_end = false;
	struct stat st;

	if (rb->plans[ofd->backing_id].is_log && !(ofd->open_flags & O_APPEND)) {
		if (fstat(fd, &st) < 0)
			return thump_fail_errno(err, "fstat %s", backing->path);
		to_end = (uint64_t)st.st_size != backing->identity.size_bytes;
	}
	if (to_end ? lseek(fd, 0, SEEK_END) < 0
		   : ofd->pos && lseek(fd, (off_t)ofd->pos, SEEK_SET) < 0)
		return thump_fail_errno(err, "lseek %s", backing->path);
	return 0;
}

static int regular_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
			   struct thump_err *err)
{
	const struct thump_ofd *ofd = &rb->model->ofds[ofd_id];
	const struct regular *regular = object;
	auto_close int fd = -1;

	if (thump_open_backing(rb, ofd->backing_id, ofd->open_flags, &fd, err) < 0)
		return -1;
	if (set_offset(rb, ofd, fd, err) < 0)
		return -1;
	if (thump_locks_take(fd, &regular->locks, THUMP_LOCK_FLOCK) < 0 ||
	    thump_locks_take(fd, &regular->locks, THUMP_LOCK_OFD) < 0)
		return thump_fail_errno(err, "lock %s", rb->model->backings[ofd->backing_id].path);
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

/* POSIX locks last: closing any descriptor of the file would end them. Those of a mapped file come
 * later yet (thump_locks_put_off): the descriptor that the mapping is made from is still there. So
 * do those of who gets its descriptors from us, as they are a process's own. */
static int regular_connect(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int fd,
			   struct thump_err *err)
{
	const uint32_t backing_id = rb->model->ofds[ofd_id].backing_id;
	const struct regular *regular = object;

	if (!rb->plans[backing_id].mapped && !rb->handed_over &&
	    thump_locks_take(fd, &regular->locks, THUMP_LOCK_POSIX) < 0)
		return thump_fail_errno(err, "lock %s", rb->model->backings[backing_id].path);
	return 0;
}

static int regular_launcher_fd(const void *object)
{
	const struct regular *regular = object;

	return regular->launcher == NO_LAUNCHER ? -1 : regular->launcher;
}

static const char *regular_path(const struct thump_fd_rebuild *rb, uint32_t ofd_id,
				const void *object)
{
	const uint32_t id = rb->model->ofds[ofd_id].backing_id;

	(void)object;
	return id < rb->model->nr_backings ? rb->model->backings[id].path : NULL;
}

/* Whether it is still the file at its path is looked at when the spare is taken. */
static bool regular_can_wait(const struct thump_fd_rebuild *rb, uint32_t ofd_id, const void *object)
{
	const struct regular *regular = object;

	(void)rb;
	(void)ofd_id;
	return regular->locks.count == 0;
}

const struct thump_kind thump_kind_regular = {
	.name = "file",
	.kind_id = 1,
	.version = 1,
	.can_wait = regular_can_wait,
	.matches = regular_matches,
	.capture = regular_capture,
	.decode = regular_decode,
	.check = regular_check,
	.rebuild = regular_rebuild,
	.connect = regular_connect,
	.launcher_fd = regular_launcher_fd,
	.path = regular_path,
};
