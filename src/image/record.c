/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a verification that travels with its image: FILE.verified beside it, in a container
 * layer for example. It names the image by seal and size, as device, inode and times are others
 * wherever it is copied to. So it cannot tell whether the copy is good, and is believed only where
 * somebody else answers for that: on a mount that is read-only, whoever made the mount. Nobody who
 * could not have written the image itself may have written the record.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "image/beside.h"
#include "image/read.h"

/* The biggest record, and room for one byte more, which would make it none. */
#define RECORD_SIZE 64

#define SUFFIX ".verified"

static int format_record(const struct thump_image *image, char text[RECORD_SIZE])
{
	return snprintf(text, RECORD_SIZE, "thump-verified 1 %" PRIu64 " %016" PRIx64 "\n",
			image->size_bytes, image->seal);
}

int thump_image_record(const struct thump_image *image, struct thump_err *err)
{
	char text[RECORD_SIZE];
	const int len = format_record(image, text);

	return image_beside_write(image, SUFFIX, text, (size_t)len, true, err);
}

int thump_image_forget_record(const struct thump_image *image, struct thump_err *err)
{
	auto_free char *path = image_beside_path(image, SUFFIX);

	if (!path)
		return thump_fail(err, "out of memory");
	if (unlink(path) < 0 && errno != ENOENT)
		return thump_fail_errno(err, "remove %s", path);
	return 0;
}

static bool is_on_read_only_mount(int fd)
{
	struct statvfs fs;

	return fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_RDONLY);
}

bool thump_image_is_recorded(const struct thump_image *image)
{
	char wanted[RECORD_SIZE], text[RECORD_SIZE];
	auto_close int fd = -1;
	int len = format_record(image, wanted);

	if (!is_on_read_only_mount(image->fd))
		return false;
	fd = image_beside_open(image, SUFFIX);
	return fd >= 0 && is_on_read_only_mount(fd) &&
	       read(fd, text, sizeof(text)) == (ssize_t)len &&
	       memcmp(text, wanted, (size_t)len) == 0;
}
