/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a verification that travels with its image: FILE.verified beside it, in a container
 * layer for example. It names the image by seal and size, as device, inode and times are others
 * wherever it is copied to. So it cannot tell whether the copy is good, and is believed only where
 * somebody else answers for that: on a mount that is read-only, whoever made the mount. Nobody who
 * could not have written the image itself may have written the record.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "image/read.h"
#include "image/tempfile.h"

/* The biggest record, and room for one byte more, which would make it none. */
#define RECORD_SIZE 64

static char *record_path(const struct thump_image *image)
{
	char *path = NULL;

	return asprintf(&path, "%s.verified", image->name) < 0 ? NULL : path;
}

static int format_record(const struct thump_image *image, char text[RECORD_SIZE])
{
	return snprintf(text, RECORD_SIZE, "thump-verified 1 %" PRIu64 " %016" PRIx64 "\n",
			image->size_bytes, image->seal);
}

static int write_record(const struct thump_image *image, const char *path,
			struct image_tempfile *file, struct thump_err *err)
{
	char text[RECORD_SIZE];
	int len = format_record(image, text);

	if (image_tempfile_create(path, file, err) < 0)
		return -1;
	if (thump_write_full(file->fd, text, (size_t)len) < 0 || fchmod(file->fd, 0444) < 0 ||
	    fsync(file->fd) < 0)
		return thump_fail_errno(err, "write");
	return image_tempfile_commit(file, true, err);
}

int thump_image_record(const struct thump_image *image, struct thump_err *err)
{
	auto_free char *path = record_path(image);
	struct image_tempfile file = IMAGE_TEMPFILE_INIT;
	int result;

	if (!path)
		return thump_fail(err, "out of memory");
	result = write_record(image, path, &file, err);
	image_tempfile_deinit(&file);
	return result < 0 ? thump_add_context(err, "record %s", path) : 0;
}

int thump_image_forget_record(const struct thump_image *image, struct thump_err *err)
{
	auto_free char *path = record_path(image);

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

/* By the same rule as the image's own writer: root or the caller, and nobody else. */
static bool is_of_somebody_trusted(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       (st.st_uid == 0 || st.st_uid == geteuid()) && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

bool thump_image_is_recorded(const struct thump_image *image)
{
	auto_free char *path = record_path(image);
	char wanted[RECORD_SIZE], text[RECORD_SIZE];
	auto_close int fd = -1;
	int len = format_record(image, wanted);

	if (!path || !is_on_read_only_mount(image->fd))
		return false;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd >= 0 && is_on_read_only_mount(fd) && is_of_somebody_trusted(fd) &&
	       read(fd, text, sizeof(text)) == (ssize_t)len &&
	       memcmp(text, wanted, (size_t)len) == 0;
}
