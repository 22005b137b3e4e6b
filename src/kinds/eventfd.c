/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eventfd(2). Record: u64 count, u8 semaphore.
 *
 * Before Linux 6.5 fdinfo does not tell whether EFD_SEMAPHORE is set. A read does, which takes 1 or
 * all; what it took is put back. Only a kill -9 in between would be noticed.
 */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/registry.h"
#include "kinds/restore.h"
#include "proc/text.h"

struct eventfd {
	uint64_t count;
	bool semaphore;
};

static bool eventfd_matches(const struct thump_fd_facts *facts)
{
	return strcmp(facts->link, "anon_inode:[eventfd]") == 0;
}

/* Reads or writes a count; neither ever waits here. */
static int move(struct thump_access *access, long nr, uint64_t *count, struct thump_err *err)
{
	const uint64_t args[6] = { (uint64_t)access->fd, access->addr, sizeof(*count) };
	long result;

	memcpy(access->bytes, count, sizeof(*count));
	if (thump_access_call(access, nr, args, sizeof(*count), &result, err) < 0)
		return -1;
	if (result != sizeof(*count))
		return thump_fail(err, "ask whether it is a semaphore: %s",
				  strerrordesc_np(result < 0 ? (int)-result : EIO));
	memcpy(count, access->bytes, sizeof(*count));
	return 0;
}

/* With less than 2 both kinds would give the same. */
static int ask_semaphore(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			 uint64_t count, uint64_t *semaphore_ret, struct thump_err *err)
{
	auto_access struct thump_access access = THUMP_ACCESS_INIT;
	uint64_t added = count < 2 ? 2 - count : 0, taken = 0, left;

	*semaphore_ret = 0;
	if (count == UINT64_MAX) /* it could not be put back; eventfd_decode() refuses it */
		return 0;
	if (thump_access_open(cap->target, cap->have_dup_fd, facts->fd, &access, err) < 0 ||
	    (added && move(&access, SYS_write, &added, err) < 0) ||
	    move(&access, SYS_read, &taken, err) < 0)
		return -1;
	*semaphore_ret = taken == 1;
	left = count + added - taken;
	for (; left > count; left--) {
		if (move(&access, SYS_read, &taken, err) < 0)
			return -1;
	}
	count -= left;
	return count ? move(&access, SYS_write, &count, err) : 0;
}

static int eventfd_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			   struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	uint64_t count, semaphore;

	if (!thump_text_value_u64(facts->fdinfo, "eventfd-count", 16, &count))
		return thump_fail(err, "fdinfo has no eventfd-count");
	if (!thump_text_value_u64(facts->fdinfo, "eventfd-semaphore", 10, &semaphore) &&
	    ask_semaphore(cap, facts, count, &semaphore, err) < 0)
		return -1;
	thump_buf_put_u64(record, count);
	thump_buf_put_u8(record, semaphore != 0);
	return thump_ofd_describe(cap, ofd, err, "eventfd, count %llu%s", (unsigned long long)count,
				  semaphore ? ", semaphore" : "");
}

static int eventfd_decode(const struct thump_ofd *ofd, struct thump_arena *arena, void **object_ret,
			  struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);
	struct eventfd *eventfd = thump_arena_alloc(arena, 1, sizeof(*eventfd));
	uint8_t semaphore;

	if (!eventfd)
		return thump_fail(err, "out of memory");
	eventfd->count = thump_get_u64(&r);
	semaphore = thump_get_u8(&r);
	eventfd->semaphore = semaphore == 1;
	/* UINT64_MAX is what read(2) of an overflowed one yields; it cannot be written. */
	if (semaphore > 1 || eventfd->count == UINT64_MAX)
		r.failed = true;
	*object_ret = eventfd;
	return thump_reader_done(&r, "eventfd", err);
}

static int eventfd_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
			   struct thump_err *err)
{
	const struct eventfd *wanted = object;
	bool fits = wanted->count <= UINT32_MAX;
	auto_close int fd = eventfd(fits ? (unsigned)wanted->count : 0,
				    EFD_CLOEXEC | (wanted->semaphore ? EFD_SEMAPHORE : 0));

	(void)rb;
	(void)ofd_id;
	if (fd < 0)
		return thump_fail_errno(err, "eventfd");
	if (!fits && eventfd_write(fd, wanted->count) < 0)
		return thump_fail_errno(err, "write the count");
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

const struct thump_kind thump_kind_eventfd = {
	.name = "eventfd",
	.kind_id = 6,
	.version = 1,
	.can_wait = thump_can_always_wait,
	.matches = eventfd_matches,
	.capture = eventfd_capture,
	.decode = eventfd_decode,
	.rebuild = eventfd_rebuild,
};
