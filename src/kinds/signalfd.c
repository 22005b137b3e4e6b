/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signalfd(2). The signals themselves are pending in the process, not here. Record: u64 mask.
 */
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/registry.h"
#include "proc/text.h"

static bool signalfd_matches(const struct thump_fd_facts *facts)
{
	return strcmp(facts->link, "anon_inode:[signalfd]") == 0;
}

static int signalfd_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			    struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	uint64_t mask;

	if (!thump_text_value_u64(facts->fdinfo, "sigmask", 16, &mask))
		return thump_fail(err, "fdinfo has no sigmask");
	thump_buf_put_u64(record, mask);
	return thump_ofd_describe(cap, ofd, err, "signalfd, mask %#llx", (unsigned long long)mask);
}

static int signalfd_decode(const struct thump_ofd *ofd, struct thump_arena *arena,
			   void **object_ret, struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);
	uint64_t *mask = thump_arena_alloc(arena, 1, sizeof(*mask));

	if (!mask)
		return thump_fail(err, "out of memory");
	*mask = thump_get_u64(&r);
	*object_ret = mask;
	return thump_reader_done(&r, "signalfd", err);
}

static int signalfd_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
			    struct thump_err *err)
{
	/* The system call itself: sigset_t of libc is larger, and glibc hides two signals. */
	int fd = (int)syscall(SYS_signalfd4, -1, object, sizeof(uint64_t), SFD_CLOEXEC);

	(void)rb;
	(void)ofd_id;
	if (fd < 0)
		return thump_fail_errno(err, "signalfd4");
	*fd_ret = fd;
	return 0;
}

/* epoll(7) asks it for the signals of who added it. */
static bool signalfd_stays(const void *object)
{
	(void)object;
	return true;
}

const struct thump_kind thump_kind_signalfd = {
	.name = "signalfd",
	.stays = signalfd_stays,
	.kind_id = 9,
	.version = 1,
	.matches = signalfd_matches,
	.capture = signalfd_capture,
	.decode = signalfd_decode,
	.rebuild = signalfd_rebuild,
};
