/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character devices without state: null, zero, full, random, urandom (null(4), random(4)).
 *
 * Record: str path, u32 major, u32 minor.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/registry.h"
#include "kinds/restore.h"

#define MEM_MAJOR 1U

static const struct {
	uint32_t minor;
	const char *path;
} devices[] = {
	{ 3, "/dev/null" },   { 5, "/dev/zero" },    { 7, "/dev/full" },
	{ 8, "/dev/random" }, { 9, "/dev/urandom" },
};

struct chardev {
	const char *path;
	uint32_t major, minor;
};

static const char *usual_path(uint32_t major_nr, uint32_t minor_nr)
{
	for (size_t i = 0; major_nr == MEM_MAJOR && i < THUMP_ARRAY_SIZE(devices); i++)
		if (devices[i].minor == minor_nr)
			return devices[i].path;
	return NULL;
}

static bool chardev_matches(const struct thump_fd_facts *facts)
{
	return S_ISCHR(facts->st.st_mode) &&
	       usual_path(major(facts->st.st_rdev), minor(facts->st.st_rdev));
}

static int chardev_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			   struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	/* Stateless: a node without a name is as good as the usual one. */
	const char *path = facts->deleted || facts->link[0] != '/'
				   ? usual_path(MEM_MAJOR, minor(facts->st.st_rdev))
				   : facts->link;

	thump_buf_put_str(record, path);
	thump_buf_put_u32(record, major(facts->st.st_rdev));
	thump_buf_put_u32(record, minor(facts->st.st_rdev));
	return thump_ofd_describe(cap, ofd, err, "%s", path);
}

static int chardev_decode(const struct thump_ofd *ofd, struct thump_arena *arena, void **object_ret,
			  struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);
	struct chardev *chardev = thump_arena_alloc(arena, 1, sizeof(*chardev));

	if (!chardev)
		return thump_fail(err, "out of memory");
	chardev->path = thump_get_str(&r, arena, PATH_MAX);
	chardev->major = thump_get_u32(&r);
	chardev->minor = thump_get_u32(&r);
	if (thump_reader_done(&r, "chardev", err) < 0)
		return -1;
	if (chardev->path[0] != '/' || !usual_path(chardev->major, chardev->minor))
		return thump_damaged(err, "chardev: device %u:%u is not one that is saved",
				     chardev->major, chardev->minor);
	*object_ret = chardev;
	return 0;
}

/* Never opens anything but the device that was recorded. */
static int open_node(const char *path, const struct chardev *chardev, uint32_t recorded)
{
	auto_close int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (!S_ISCHR(st.st_mode) || major(st.st_rdev) != chardev->major ||
	    minor(st.st_rdev) != chardev->minor) {
		errno = ENODEV;
		return -1;
	}
	if (recorded & O_PATH)
		return thump_take_fd(&fd);
	return thump_reopen(fd, thump_open_flags(recorded) & ~O_NOFOLLOW);
}

static int open_device(const struct chardev *chardev, uint32_t recorded)
{
	int fd = open_node(chardev->path, chardev, recorded);

	return fd >= 0 ? fd
		       : open_node(usual_path(chardev->major, chardev->minor), chardev, recorded);
}

static int chardev_check(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
			 struct thump_problems *problems, struct thump_err *err)
{
	const struct chardev *chardev = object;
	auto_close int fd = open_device(chardev, rb->model->ofds[ofd_id].open_flags);

	(void)err;
	if (fd < 0)
		thump_misfit(rb, ofd_id, problems, "device", "device %s (%u:%u): %s", chardev->path,
			     chardev->major, chardev->minor, strerror(errno));
	/* Not looked up again by the child; but of hundreds there may be no room for two each. */
	if (thump_ofd_first_fd(rb->model, ofd_id) <= STDERR_FILENO)
		rb->kept_fds[ofd_id] = thump_take_fd(&fd);
	return 0;
}

static int chardev_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
			   struct thump_err *err)
{
	const struct chardev *chardev = object;
	int fd = thump_take_fd(&rb->kept_fds[ofd_id]);

	if (fd < 0)
		fd = open_device(chardev, rb->model->ofds[ofd_id].open_flags);
	if (fd < 0)
		return thump_fail_errno(err, "open %s", chardev->path);
	*fd_ret = fd;
	return 0;
}

static const char *chardev_path(const struct thump_fd_rebuild *rb, uint32_t ofd_id,
				const void *object)
{
	(void)rb;
	(void)ofd_id;
	return ((const struct chardev *)object)->path;
}

const struct thump_kind thump_kind_chardev = {
	.name = "chardev",
	.kind_id = 3,
	.version = 1,
	.can_wait = thump_can_always_wait,
	.matches = chardev_matches,
	.capture = chardev_capture,
	.decode = chardev_decode,
	.check = chardev_check,
	.rebuild = chardev_rebuild,
	.path = chardev_path,
};
