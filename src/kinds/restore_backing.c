/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backings on the restore side. Checked in thump before anything exists; made in the child.
 *   file       must be there and be the one recorded; logs (O_APPEND, or what the launcher made
 *              stdout or stderr) may have grown, been rotated or be gone (warned about)
 *   carried    a deleted file comes back without a name. A temporary one comes back at its path if
 *              that is free; if it is still there, unchanged, it is used when it is only read, and
 *              replaced when nobody has it open; else it comes back without a name (warned about).
 *              So restores at the same time never write to one file
 *   memfd      made anew
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "image/image.h"
#include "kinds/restore.h"
#include "proc/identity.h"

#define COPY_CHUNK_BYTES ((size_t)1 << 20)

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

/* ---- who needs what --------------------------------------------------------------------- */

static void note_mappings(struct thump_fd_rebuild *rb)
{
	for (uint32_t i = 0; i < rb->model->nr_vmas; i++) {
		const struct thump_vma *vma = &rb->model->vmas[i];
		struct thump_backing_plan *plan;

		if (vma->backing_id >= rb->model->nr_backings || vma->kind == THUMP_VMA_DEVICE_ZERO)
			continue;
		plan = &rb->plans[vma->backing_id];
		plan->mapped = true;
		plan->is_log = false;
		if (vma->kind == THUMP_VMA_FILE_SHARED || vma->kind == THUMP_VMA_MEMFD_SHARED)
			plan->mapped_for_write |=
				(vma->traits & THUMP_VMA_MAYWRITE) || (vma->prot & PROT_WRITE);
		plan->written |= plan->mapped_for_write;
	}
}

/* What `command >FILE` opened goes on where others have stopped writing, the launcher for one. */
static bool is_of_a_log(const struct thump_fd_rebuild *rb, uint32_t ofd_id)
{
	uint32_t flags = rb->model->ofds[ofd_id].open_flags;

	if (flags & O_APPEND)
		return (flags & O_ACCMODE) != O_RDONLY;
	return (flags & O_ACCMODE) == O_WRONLY && thump_ofd_launcher_fd(rb, ofd_id) >= 0;
}

static void note_descriptors(struct thump_fd_rebuild *rb)
{
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++) {
		const struct thump_ofd *ofd = &rb->model->ofds[i];
		struct thump_backing_plan *plan;

		if (ofd->backing_id >= rb->model->nr_backings || thump_ofd_is_callers(rb, i) ||
		    rb->closed[i])
			continue;
		plan = &rb->plans[ofd->backing_id];
		plan->any_file |= rb->any_file[i] && !plan->mapped;
		if (plan->ofd_id == THUMP_NO_ID)
			plan->ofd_id = i;
		if (!(ofd->open_flags & O_PATH) && (ofd->open_flags & O_ACCMODE) != O_RDONLY)
			plan->written = true;
		if (!is_of_a_log(rb, i))
			plan->is_log = false;
	}
}

/* ---- check ------------------------------------------------------------------------------ */

/* "fd 5: file PATH: ..." or "mapping of PATH: ..." */
static void backing_problem(struct thump_fd_rebuild *rb, uint32_t id, bool warning,
			    struct thump_problems *problems, const char *word, const char *what)
{
	const struct thump_backing_plan *plan = &rb->plans[id];
	const char *path = rb->model->backings[id].path;
	int fd = plan->ofd_id == THUMP_NO_ID ? -1 : thump_ofd_first_fd(rb->model, plan->ofd_id);

	if (fd >= 0)
		thump_problem_add(problems, warning, fd, word, "fd %d: file %s: %s", fd, path,
				  what);
	else
		thump_problem_add(problems, warning, -1, word, "mapping of %s: %s", path, what);
	if (!warning)
		rb->plans[id].how = THUMP_BACKING_MISFIT;
}

/* Nanoseconds, device and inode of all agree: nobody wrote to it, so content need not be read. */
static bool is_untouched(const struct thump_file_identity *recorded, const struct stat *st)
{
	struct thump_file_identity now;

	thump_identity_from_stat(st, &now);
	return recorded->mtime_ns % 1000000000U != 0 && now.mtime_ns == recorded->mtime_ns &&
	       now.size_bytes == recorded->size_bytes && now.dev == recorded->dev &&
	       now.ino == recorded->ino && now.mode == recorded->mode;
}

static void describe_change(const struct thump_file_identity *recorded,
			    const struct thump_file_identity *now, char *text, size_t text_size)
{
	if ((recorded->mode & S_IFMT) != (now->mode & S_IFMT))
		(void)snprintf(text, text_size, "is no regular file any more");
	else if (recorded->size_bytes != now->size_bytes)
		(void)snprintf(text, text_size,
			       "changed since the checkpoint: it had %llu bytes, now %llu",
			       (unsigned long long)recorded->size_bytes,
			       (unsigned long long)now->size_bytes);
	else
		(void)snprintf(
			text, text_size, "changed since the checkpoint: same size, but another %s",
			recorded->build_id_len && now->build_id_len ? "build-id" : "content");
}

enum sameness { SAME, GROWN, CHANGED };

static int compare_file(int fd, const struct thump_backing *backing, enum sameness *same_ret,
			char *text, size_t text_size, struct thump_err *err)
{
	struct thump_file_identity now;
	struct stat st;
	bool grown;

	if (fstat(fd, &st) < 0)
		return thump_fail_errno(err, "fstat %s", backing->path);
	*same_ret = SAME;
	if (is_untouched(&backing->identity, &st) || thump_identity_is_made_up(fd))
		return 0;
	if (!S_ISREG(st.st_mode))
		thump_identity_from_stat(&st, &now);
	else if (thump_identity_read(fd, &now, err) < 0)
		return thump_add_context(err, "%s", backing->path);
	if (thump_identity_same(&backing->identity, &now))
		return 0;
	describe_change(&backing->identity, &now, text, text_size);
	if (thump_identity_grown(fd, &backing->identity, &grown, err) < 0)
		return thump_add_context(err, "%s", backing->path);
	*same_ret = grown ? GROWN : CHANGED;
	return 0;
}

/*
 * Has anybody but us an open description of it? Only when not is a lease for writing given
 * (F_SETLEASE, fcntl(2)). Not to be found out on some file systems, and of somebody else's file:
 * then nobody is taken to have it. Whoever opens it in between sends us a signal: one that does
 * nothing.
 */
static bool is_in_use(int fd)
{
	if (fcntl(fd, F_SETSIG, SIGURG) < 0 || fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
		return errno == EAGAIN;
	(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	return false;
}

/* A temporary file whose content is in the image, and something is at its path. */
static void check_carried(struct thump_fd_rebuild *rb, uint32_t id, int fd, enum sameness same,
			  struct thump_problems *problems)
{
	struct thump_backing_plan *plan = &rb->plans[id];

	if (same != CHANGED && plan->is_log)
		return; /* a log, as elsewhere */
	if (same == SAME && !plan->written)
		return;
	if (same == SAME && !is_in_use(fd)) {
		plan->how = THUMP_BACKING_REPLACE;
		return;
	}
	plan->how = THUMP_BACKING_MAKE_UNLINKED;
	backing_problem(rb, id, true, problems, "changed-file",
			same == SAME ? "another process uses it: goes on with a copy without a name"
				     : "something else is there now: goes on with a copy without a "
				       "name");
}

static int check_opened(struct thump_fd_rebuild *rb, uint32_t id, int fd,
			struct thump_problems *problems, struct thump_err *err)
{
	const struct thump_backing *backing = &rb->model->backings[id];
	struct thump_backing_plan *plan = &rb->plans[id];
	bool carried = backing->kind == THUMP_BACKING_CARRIED;
	enum sameness same;
	char text[160] = "";
	struct stat st;

	if (fstat(fd, &st) < 0)
		return thump_fail_errno(err, "fstat %s", backing->path);
	if (compare_file(fd, backing, &same, text, sizeof(text), err) < 0)
		return -1;
	plan->how = THUMP_BACKING_OPEN;
	plan->dev = st.st_dev;
	plan->ino = st.st_ino;
	if (carried)
		check_carried(rb, id, fd, same, problems);
	else if (same == SAME || (same == GROWN && plan->is_log) ||
		 (plan->any_file && S_ISREG(st.st_mode)))
		return 0;
	else if (plan->is_log && S_ISREG(st.st_mode))
		backing_problem(rb, id, true, problems, "changed-file",
				"a log that was rotated or rewritten since the checkpoint");
	else
		backing_problem(rb, id, false, problems, "changed-file", text);
	return 0;
}

/* The folder of an absolute path; false when it is too long. */
static bool folder_of(const char *path, char folder[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	int len = slash == path ? 1 : (int)thump_min_u64((uint64_t)(slash - path), PATH_MAX);

	return snprintf(folder, PATH_MAX, "%.*s", len, path) < PATH_MAX;
}

static bool folder_is_there(const char *path)
{
	char folder[PATH_MAX];
	struct stat st;

	return folder_of(path, folder) && stat(folder, &st) == 0 && S_ISDIR(st.st_mode);
}

static void check_absent(struct thump_fd_rebuild *rb, uint32_t id, struct thump_problems *problems,
			 int open_errno)
{
	const struct thump_backing *backing = &rb->model->backings[id];
	struct thump_backing_plan *plan = &rb->plans[id];
	char text[128];

	if (backing->kind == THUMP_BACKING_CARRIED) {
		plan->how = open_errno == ENOENT ? THUMP_BACKING_MAKE_NAMED
						 : THUMP_BACKING_MAKE_UNLINKED;
	} else if (open_errno == ENOENT && plan->is_log && folder_is_there(backing->path)) {
		plan->how = THUMP_BACKING_MAKE_LOG;
		backing_problem(rb, id, true, problems, "missing-file",
				"a log that is gone: made anew, empty");
	} else if (open_errno == ENOENT) {
		backing_problem(rb, id, false, problems, "missing-file", "does not exist");
	} else {
		(void)snprintf(text, sizeof(text), "cannot be opened: %s", strerror(open_errno));
		backing_problem(rb, id, false, problems, "unreadable-file", text);
	}
}

static int open_to_check(const struct thump_backing *backing, const struct thump_backing_plan *plan)
{
	int flags = O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int fd = open(backing->path, flags | (plan->mapped_for_write ? O_RDWR : O_RDONLY));

	/* A log that may only be written, recorded without a look into it. */
	if (fd < 0 && errno == EACCES && plan->is_log)
		fd = open(backing->path, flags | O_PATH);
	return fd;
}

static int check_file(struct thump_fd_rebuild *rb, uint32_t id, struct thump_problems *problems,
		      struct thump_err *err)
{
	const struct thump_backing *backing = &rb->model->backings[id];
	auto_close int fd = -1;

	if (backing->deleted) {
		if (backing->kind == THUMP_BACKING_CARRIED)
			rb->plans[id].how = THUMP_BACKING_MAKE_UNLINKED;
		else
			backing_problem(rb, id, false, problems, "deleted-file",
					"was deleted, and its content is not in the image");
		return 0;
	}
	fd = open_to_check(backing, &rb->plans[id]);
	if (fd < 0) {
		check_absent(rb, id, problems, errno);
		return 0;
	}
	if (check_opened(rb, id, fd, problems, err) < 0)
		return -1;
	if (rb->plans[id].mapped && rb->plans[id].how == THUMP_BACKING_OPEN)
		rb->backing_fds[id] = thump_take_fd(&fd);
	return 0;
}

static int check_backing(struct thump_fd_rebuild *rb, uint32_t id, struct thump_problems *problems,
			 struct thump_err *err)
{
	const struct thump_backing *backing = &rb->model->backings[id];

	switch ((enum thump_backing_kind)backing->kind) {
	case THUMP_BACKING_FILE:
	case THUMP_BACKING_CARRIED:
		if (!backing->path || backing->path[0] != '/')
			return thump_damaged(err, "backing %u: path is not absolute", id);
		return check_file(rb, id, problems, err);
	case THUMP_BACKING_MEMFD:
		rb->plans[id].how = THUMP_BACKING_MAKE_MEMFD;
		return 0;
	case THUMP_BACKING_SHMEM:
		return 0;
	}
	return thump_damaged(err, "backing %u: unknown kind %u", id, backing->kind);
}

int thump_check_backings(struct thump_fd_rebuild *rb, struct thump_problems *problems,
			 struct thump_err *err)
{
	for (uint32_t i = 0; i < rb->model->nr_backings; i++)
		rb->plans[i] = (struct thump_backing_plan){
			.ofd_id = THUMP_NO_ID,
			.is_log = true,
		};
	note_mappings(rb);
	note_descriptors(rb);
	for (uint32_t i = 0; i < rb->model->nr_backings; i++) {
		struct thump_backing_plan *plan = &rb->plans[i];

		if ((plan->mapped || plan->ofd_id != THUMP_NO_ID) &&
		    check_backing(rb, i, problems, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- make ------------------------------------------------------------------------------- */

static int fill(struct thump_fd_rebuild *rb, uint32_t id, int fd, struct thump_err *err)
{
	const struct thump_backing *backing = &rb->model->backings[id];
	uint64_t size = backing->content_size_bytes;
	auto_free unsigned char *chunk = malloc(COPY_CHUNK_BYTES);

	if (!chunk)
		return thump_fail(err, "out of memory");
	if (size > INT64_MAX || ftruncate(fd, (off_t)size) < 0)
		return thump_fail_errno(err, "make %s %llu bytes long", backing->path,
					(unsigned long long)size);
	for (uint32_t i = 0; i < backing->nr_extents; i++) {
		uint64_t end = thump_min_u64(backing->extents[i].end, size);

		for (uint64_t at = backing->extents[i].start; at < end;) {
			size_t part = thump_min_u64(end - at, COPY_CHUNK_BYTES);

			if (thump_image_read_backing(rb->image, id, at, chunk, part, err) < 0)
				return thump_add_context(err, "content of %s", backing->path);
			if (thump_pwrite_full(fd, chunk, part, at) < 0)
				return thump_fail_errno(err, "write %s", backing->path);
			at += part;
		}
	}
	return 0;
}

/* A file without a name, as near to its old place as possible. -1 with errno. */
static int open_unlinked(const char *path)
{
	const char *tmpdir = getenv("TMPDIR");
	const char *places[] = { NULL, tmpdir && tmpdir[0] ? tmpdir : "/tmp", "/tmp", "/dev/shm" };
	char folder[PATH_MAX];

	if (folder_of(path, folder))
		places[0] = folder;
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(places); i++) {
		int fd = places[i] ? open(places[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;

		if (fd >= 0)
			return fd;
	}
	return memfd_create("carried", MFD_CLOEXEC);
}

/* O_EXCL: a file of this name is ours. */
static int open_new(struct thump_fd_rebuild *rb, const char *path, int flags)
{
	struct thump_made_file *made = thump_made_begin(rb, path, false);
	int fd = open(path, flags | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int open_errno = errno;

	thump_made_end(rb, made, fd >= 0);
	errno = open_errno;
	return fd;
}

static bool make_folder_of(struct thump_fd_rebuild *rb, const char *path)
{
	char folder[PATH_MAX];
	struct thump_made_file *made;
	bool success;

	if (!folder_of(path, folder))
		return false;
	made = thump_made_begin(rb, folder, true);
	success = mkdir(folder, 0755) == 0;
	thump_made_end(rb, made, success);
	return success;
}

static int open_named(struct thump_fd_rebuild *rb, const char *path)
{
	int fd = open_new(rb, path, O_RDWR | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT && make_folder_of(rb, path))
		fd = open_new(rb, path, O_RDWR | O_NOFOLLOW);
	return fd;
}

/* A file beside the one that is to be replaced; the caller frees its name. */
static int open_beside(struct thump_fd_rebuild *rb, const char *path, char **name_ret)
{
	uint32_t number;
	int fd;

	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number) ||
	    asprintf(name_ret, "%s.%08x", path, number) < 0) {
		*name_ret = NULL;
		return -1;
	}
	fd = open_new(rb, *name_ret, O_RDWR | O_NOFOLLOW);
	if (fd < 0)
		thump_free_ptr(name_ret);
	return fd;
}

/* In one step, and only while the file that was checked is still there; else the new one has no
 * name, either. */
static void replace(const struct thump_backing_plan *plan, const char *name, const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0 || st.st_dev != plan->dev || st.st_ino != plan->ino ||
	    rename(name, path) < 0)
		(void)unlink(name);
}

static int make_carried(struct thump_fd_rebuild *rb, uint32_t id, struct thump_err *err)
{
	const struct thump_backing *backing = &rb->model->backings[id];
	const struct thump_backing_plan *plan = &rb->plans[id];
	auto_free char *beside = NULL;
	auto_close int fd = -1;

	if (plan->how == THUMP_BACKING_MAKE_NAMED)
		fd = open_named(rb, backing->path);
	else if (plan->how == THUMP_BACKING_REPLACE)
		fd = open_beside(rb, backing->path, &beside);
	if (fd < 0)
		fd = open_unlinked(backing->path);
	if (fd < 0)
		return thump_fail_errno(err, "make a file for %s", backing->path);
	/* Its mode comes last (thump_settle_backings): a set-user-ID bit must not be there while
	 * the file is ours, and descriptors are made that the mode may forbid to open again. */
	thump_give_to_program(rb, fd, "");
	if (fill(rb, id, fd, err) < 0)
		return -1;
	if (beside)
		replace(plan, beside, backing->path);
	rb->backing_fds[id] = thump_take_fd(&fd);
	return 0;
}

static int make_memfd(struct thump_fd_rebuild *rb, uint32_t id, struct thump_err *err)
{
	const struct thump_backing *backing = &rb->model->backings[id];
	const uint32_t sealable = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE |
				  F_SEAL_FUTURE_WRITE | F_SEAL_EXEC;
	/* Without MFD_ALLOW_SEALING exactly this seal is set: nothing can be added. */
	bool sealing = backing->memfd_seals != F_SEAL_SEAL;
	auto_close int fd =
		memfd_create(backing->path, MFD_CLOEXEC | (sealing ? MFD_ALLOW_SEALING : 0U));

	if (fd < 0)
		return thump_fail_errno(err, "memfd_create %s", backing->path);
	if (fill(rb, id, fd, err) < 0)
		return -1;
	if (fchmod(fd, backing->identity.mode & 07777) < 0)
		return thump_fail_errno(err, "chmod memfd %s", backing->path);
	if (sealing && (backing->memfd_seals & sealable) &&
	    fcntl(fd, F_ADD_SEALS, backing->memfd_seals & sealable) < 0)
		return thump_fail_errno(err, "seal memfd %s", backing->path);
	rb->backing_fds[id] = thump_take_fd(&fd);
	return 0;
}

static int make_log(struct thump_fd_rebuild *rb, uint32_t id, struct thump_err *err)
{
	const struct thump_backing *backing = &rb->model->backings[id];
	auto_close int fd = open_new(rb, backing->path, O_WRONLY | O_APPEND);
	struct stat st;

	if (fd < 0)
		return thump_fail_errno(err, "make log %s", backing->path);
	/* In this order: a set-user-ID bit must not be there while the file is ours. */
	thump_give_to_program(rb, fd, "");
	if (fchmod(fd, backing->identity.mode & 07777) < 0 || fstat(fd, &st) < 0)
		return thump_fail_errno(err, "chmod %s", backing->path);
	rb->plans[id].dev = st.st_dev;
	rb->plans[id].ino = st.st_ino;
	return 0;
}

static int make_backing(struct thump_fd_rebuild *rb, uint32_t id, struct thump_err *err)
{
	switch (rb->plans[id].how) {
	case THUMP_BACKING_UNUSED:
	case THUMP_BACKING_OPEN:
		return 0;
	case THUMP_BACKING_MAKE_LOG:
		return make_log(rb, id, err);
	case THUMP_BACKING_MAKE_NAMED:
	case THUMP_BACKING_REPLACE:
	case THUMP_BACKING_MAKE_UNLINKED:
		return make_carried(rb, id, err);
	case THUMP_BACKING_MAKE_MEMFD:
		return make_memfd(rb, id, err);
	case THUMP_BACKING_MISFIT:
		break;
	}
	return thump_refuse(err, "%s does not fit this machine", rb->model->backings[id].path);
}

int thump_make_backings(struct thump_fd_rebuild *rb, struct thump_err *err)
{
	for (uint32_t i = 0; i < rb->model->nr_backings; i++) {
		if (make_backing(rb, i, err) < 0)
			return -1;
		if (rb->backing_fds[i] >= 0 &&
		    thump_move_away(rb, rb->backing_fds[i], &rb->backing_fds[i], err) < 0)
			return -1;
	}
	return 0;
}

int thump_open_backing(struct thump_fd_rebuild *rb, uint32_t backing_id, uint32_t recorded_flags,
		       int *fd_ret, struct thump_err *err)
{
	const struct thump_backing_plan *plan = &rb->plans[backing_id];
	const char *path = rb->model->backings[backing_id].path;
	int flags = thump_open_flags(recorded_flags);
	bool by_path = rb->backing_fds[backing_id] < 0;
	auto_close int fd = -1;
	struct stat st;

	if (by_path && thump_open_regular(path, flags, &fd, err) < 0)
		return thump_add_context(err, "open %s", path);
	if (!by_path)
		fd = thump_reopen(rb->backing_fds[backing_id], flags & ~O_NOFOLLOW);
	if (fd < 0)
		return thump_fail_errno(err, "open %s", path);
	if (by_path && (plan->how == THUMP_BACKING_OPEN || plan->how == THUMP_BACKING_MAKE_LOG)) {
		if (fstat(fd, &st) < 0)
			return thump_fail_errno(err, "fstat %s", path);
		if (st.st_dev != plan->dev || st.st_ino != plan->ino)
			return thump_refuse(err, "%s was replaced while it was restored", path);
	}
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

static bool is_made(enum thump_backing_how how)
{
	return how == THUMP_BACKING_MAKE_NAMED || how == THUMP_BACKING_REPLACE ||
	       how == THUMP_BACKING_MAKE_UNLINKED;
}

int thump_settle_backings(struct thump_fd_rebuild *rb, struct thump_err *err)
{
	for (uint32_t i = 0; i < rb->model->nr_backings; i++) {
		const struct thump_backing *backing = &rb->model->backings[i];

		if (rb->backing_fds[i] < 0)
			continue;
		if (is_made(rb->plans[i].how) &&
		    fchmod(rb->backing_fds[i], backing->identity.mode & 07777) < 0)
			return thump_fail_errno(err, "chmod %s", backing->path);
		if (!rb->plans[i].mapped)
			thump_close_fd(&rb->backing_fds[i]);
		else if (fcntl(rb->backing_fds[i], F_SETFD, 0) < 0)
			return thump_fail_errno(err, "keep fd %d open", rb->backing_fds[i]);
	}
	return 0;
}
