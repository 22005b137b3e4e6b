/* SPDX-License-Identifier: Apache-2.0 */
#include "image/beside.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "image/read.h"
#include "image/tempfile.h"

char *image_beside_path(const struct thump_image *image, const char *suffix)
{
	char *path = NULL;

	return asprintf(&path, "%s%s", image->name, suffix) < 0 ? NULL : path;
}

static int write_file(const char *path, struct image_tempfile *file, const void *bytes,
		      size_t size_bytes, bool sync, struct thump_err *err)
{
	if (image_tempfile_create(path, file, err) < 0)
		return -1;
	if (thump_write_full(file->fd, bytes, size_bytes) < 0 || fchmod(file->fd, 0444) < 0 ||
	    (sync && fsync(file->fd) < 0))
		return thump_fail_errno(err, "write");
	return image_tempfile_commit(file, sync, err);
}

int image_beside_write(const struct thump_image *image, const char *suffix, const void *bytes,
		       size_t size_bytes, bool sync, struct thump_err *err)
{
	auto_free char *path = image_beside_path(image, suffix);
	struct image_tempfile file = IMAGE_TEMPFILE_INIT;
	int result;

	if (!path)
		return thump_fail(err, "out of memory");
	result = write_file(path, &file, bytes, size_bytes, sync, err);
	image_tempfile_deinit(&file);
	return result < 0 ? thump_add_context(err, "record %s", path) : 0;
}

static bool is_of_somebody_trusted(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       (st.st_uid == 0 || st.st_uid == geteuid()) && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

int image_beside_open(const struct thump_image *image, const char *suffix)
{
	auto_free char *path = image_beside_path(image, suffix);
	auto_close int fd = -1;

	if (path)
		fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd >= 0 && is_of_somebody_trusted(fd) ? thump_take_fd(&fd) : -1;
}
