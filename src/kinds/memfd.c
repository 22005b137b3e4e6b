/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memfd_create(2). Name, content, size and seals belong to the inode: a backing, shared with
 * mappings (kinds/backing.c, restore_backing.c). Here is the description: flags and offset.
 *
 * Record: empty.
 */
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/registry.h"
#include "kinds/restore.h"

static bool memfd_matches(const struct thump_fd_facts *facts)
{
	return S_ISREG(facts->st.st_mode) && facts->deleted &&
	       strncmp(facts->link, "/memfd:", strlen("/memfd:")) == 0;
}

static int memfd_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			 struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	(void)record;
	if (strstr(facts->fdinfo, "\nlock:"))
		thump_refuse_fd(cap, facts, "lock", "memfd %s: its lock cannot be saved",
				facts->link);
	if (thump_capture_backing(cap, facts, &ofd->backing_id, err) < 0)
		return -1;
	/* The seal leaves such mappings writable, but no new one can be made. */
	if (ofd->backing_id != THUMP_NO_ID &&
	    (cap->model->backings[ofd->backing_id].memfd_seals & F_SEAL_FUTURE_WRITE) &&
	    thump_is_mapped(cap, facts, true))
		thump_refuse_fd(cap, facts, "memfd",
				"memfd %s: sealed with F_SEAL_FUTURE_WRITE while it is mapped for "
				"writing: cannot be saved",
				facts->link + strlen("/memfd:"));
	return thump_ofd_describe(cap, ofd, err, "memfd %s, %llu bytes",
				  facts->link + strlen("/memfd:"),
				  (unsigned long long)facts->st.st_size);
}

static int memfd_decode(const struct thump_ofd *ofd, struct thump_arena *arena, void **object_ret,
			struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);

	if (ofd->backing_id == THUMP_NO_ID || ofd->pos > INT64_MAX)
		return thump_damaged(err, "memfd: no backing, or offset out of range");
	*object_ret = thump_arena_alloc(arena, 1, 1);
	if (!*object_ret)
		return thump_fail(err, "out of memory");
	return thump_reader_done(&r, "memfd", err);
}

static int memfd_check(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
		       struct thump_problems *problems, struct thump_err *err)
{
	uint32_t id = rb->model->ofds[ofd_id].backing_id;

	(void)object;
	(void)problems;
	if (id >= rb->model->nr_backings || rb->model->backings[id].kind != THUMP_BACKING_MEMFD)
		return thump_damaged(err, "memfd: backing %u is no memfd", id);
	return 0;
}

static int memfd_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
			 struct thump_err *err)
{
	const struct thump_ofd *ofd = &rb->model->ofds[ofd_id];
	auto_close int fd = -1;

	(void)object;
	if (thump_open_backing(rb, ofd->backing_id, ofd->open_flags, &fd, err) < 0)
		return -1;
	if (ofd->pos && lseek(fd, (off_t)ofd->pos, SEEK_SET) < 0)
		return thump_fail_errno(err, "lseek to %llu", (unsigned long long)ofd->pos);
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

const struct thump_kind thump_kind_memfd = {
	.name = "memfd",
	.kind_id = 11,
	.version = 1,
	.matches = memfd_matches,
	.capture = memfd_capture,
	.decode = memfd_decode,
	.check = memfd_check,
	.rebuild = memfd_rebuild,
};
