/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pidfd_open(2) of the process itself. Of another process: refused, as that one is not in the
 * image.
 *
 * Record: empty.
 */
#include <string.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/registry.h"
#include "proc/text.h"
#include "trace/target.h"

static bool pidfd_matches(const struct thump_fd_facts *facts)
{
	return strcmp(facts->link, "anon_inode:[pidfd]") == 0;
}

static int pidfd_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			 struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	const char *at = thump_text_value(facts->fdinfo, "Pid");
	int64_t pid = -1;

	(void)record;
	/* Pid: in the pid namespace of this /proc, which is the tracer's. */
	if (at && !thump_text_i64(&at, &pid))
		pid = -1;
	if (pid != cap->target->pid)
		thump_refuse_fd(cap, facts, "pidfd", "pidfd of process %lld: cannot be saved",
				(long long)pid);
	return thump_ofd_describe(cap, ofd, err, "pidfd of process %lld", (long long)pid);
}

static int pidfd_decode(const struct thump_ofd *ofd, struct thump_arena *arena, void **object_ret,
			struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);

	*object_ret = thump_arena_alloc(arena, 1, 1);
	if (!*object_ret)
		return thump_fail(err, "out of memory");
	return thump_reader_done(&r, "pidfd", err);
}

/* In the child, which is the restored process already. */
static int pidfd_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
			 struct thump_err *err)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0U);

	(void)rb;
	(void)ofd_id;
	(void)object;
	if (fd < 0)
		return thump_fail_errno(err, "pidfd_open");
	*fd_ret = fd;
	return 0;
}

/* It refers to who made it. */
static bool pidfd_stays(const void *object)
{
	(void)object;
	return true;
}

const struct thump_kind thump_kind_pidfd = {
	.name = "pidfd",
	.stays = pidfd_stays,
	.kind_id = 15,
	.version = 1,
	.matches = pidfd_matches,
	.capture = pidfd_capture,
	.decode = pidfd_decode,
	.rebuild = pidfd_rebuild,
};
