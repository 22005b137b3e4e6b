/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories: opened again by path. The offset is a cookie of the file system, good as long as it
 * is the same directory; where it is not taken, reading starts again.
 *
 * Record: str path.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/registry.h"
#include "kinds/restore.h"

struct directory {
	const char *path;
};

static bool directory_matches(const struct thump_fd_facts *facts)
{
	return S_ISDIR(facts->st.st_mode) && facts->link[0] == '/';
}

static int directory_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			     struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	if (facts->deleted)
		thump_refuse_fd(cap, facts, "directory", "directory %s: deleted, cannot be saved",
				facts->link);
	else if (thump_path_leads_elsewhere(cap, facts))
		thump_refuse_fd(cap, facts, "directory",
				"directory %s: another one is at its path by now, cannot be saved",
				facts->link);
	if (strstr(facts->fdinfo, "\nlock:"))
		thump_refuse_fd(cap, facts, "lock", "directory %s: its lock cannot be saved",
				facts->link);
	thump_buf_put_str(record, facts->link);
	return thump_ofd_describe(cap, ofd, err, "directory %s", facts->link);
}

static int directory_decode(const struct thump_ofd *ofd, struct thump_arena *arena,
			    void **object_ret, struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);
	struct directory *directory = thump_arena_alloc(arena, 1, sizeof(*directory));

	if (!directory)
		return thump_fail(err, "out of memory");
	directory->path = thump_get_str(&r, arena, PATH_MAX);
	if (thump_reader_done(&r, "directory", err) < 0)
		return -1;
	if (directory->path[0] != '/')
		return thump_damaged(err, "directory: path is not absolute");
	*object_ret = directory;
	return 0;
}

static int open_directory(const struct directory *directory, uint32_t recorded)
{
	return open(directory->path, thump_open_flags(recorded) | O_DIRECTORY);
}

static int directory_check(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
			   struct thump_problems *problems, struct thump_err *err)
{
	const struct directory *directory = object;
	auto_close int fd = open_directory(directory, rb->model->ofds[ofd_id].open_flags);

	(void)err;
	if (fd < 0)
		thump_misfit(rb, ofd_id, problems, "directory", "directory %s: %s", directory->path,
			     strerror(errno));
	return 0;
}

static int directory_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
			     int *fd_ret, struct thump_err *err)
{
	const struct thump_ofd *ofd = &rb->model->ofds[ofd_id];
	const struct directory *directory = object;
	int fd = open_directory(directory, ofd->open_flags);

	if (fd < 0)
		return thump_fail_errno(err, "open %s", directory->path);
	if (ofd->pos && !(ofd->open_flags & O_PATH))
		(void)lseek(fd, (off_t)ofd->pos, SEEK_SET);
	*fd_ret = fd;
	return 0;
}

static const char *directory_path(const struct thump_fd_rebuild *rb, uint32_t ofd_id,
				  const void *object)
{
	(void)rb;
	(void)ofd_id;
	return ((const struct directory *)object)->path;
}

const struct thump_kind thump_kind_directory = {
	.name = "directory",
	.kind_id = 2,
	.version = 1,
	.can_wait = thump_can_always_wait,
	.matches = directory_matches,
	.capture = directory_capture,
	.decode = directory_decode,
	.check = directory_check,
	.rebuild = directory_rebuild,
	.path = directory_path,
};
