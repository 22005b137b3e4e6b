/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inotify(7) without watches. A watch is on an inode, and the kernel tells its number and a file
 * handle, which only open_by_handle_at(2) with CAP_DAC_READ_SEARCH leads back to a path: refused.
 *
 * Record: empty.
 */
#include <string.h>
#include <sys/inotify.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/registry.h"

static bool inotify_matches(const struct thump_fd_facts *facts)
{
	return strcmp(facts->link, "anon_inode:inotify") == 0;
}

static int inotify_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			   struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	unsigned watches = 0;

	(void)record;
	for (const char *at = facts->fdinfo; (at = strstr(at, "inotify wd:")); at++)
		watches++;
	if (watches)
		thump_refuse_fd(cap, facts, "inotify",
				"inotify with %u watch%s: cannot be saved, because the kernel does "
				"not tell their paths",
				watches, watches == 1 ? "" : "es");
	return thump_ofd_describe(cap, ofd, err, "inotify, %u watches", watches);
}

static int inotify_decode(const struct thump_ofd *ofd, struct thump_arena *arena, void **object_ret,
			  struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);

	*object_ret = thump_arena_alloc(arena, 1, 1);
	if (!*object_ret)
		return thump_fail(err, "out of memory");
	return thump_reader_done(&r, "inotify", err);
}

static int inotify_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
			   struct thump_err *err)
{
	int fd = inotify_init1(IN_CLOEXEC);

	(void)rb;
	(void)ofd_id;
	(void)object;
	if (fd < 0)
		return thump_fail_errno(err, "inotify_init1");
	*fd_ret = fd;
	return 0;
}

const struct thump_kind thump_kind_inotify = {
	.name = "inotify",
	.kind_id = 10,
	.version = 1,
	.matches = inotify_matches,
	.capture = inotify_capture,
	.decode = inotify_decode,
	.rebuild = inotify_rebuild,
};
