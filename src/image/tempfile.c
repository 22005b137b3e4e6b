/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tempfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

/* What an image has at least; enough to tell a full disk. */
#define TRY_BYTES ((size_t)64 << 10)

/* Splits path into an open directory and a name in it. */
static int open_directory(const char *path, struct image_tempfile *file, struct thump_err *err)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	auto_free char *dir = NULL;

	if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return thump_fail(err, "%s is not a name for a file", path);
	if (!slash)
		dir = strdup(".");
	else
		dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	file->name = strdup(name);
	if (!dir || !file->name)
		return thump_fail_errno(err, "%s", path);
	file->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (file->dir_fd < 0)
		return thump_fail_errno(err, "directory %s", dir);
	return 0;
}

static bool has_capability(unsigned capability)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return syscall(SYS_capget, &header, data) == 0 && (data[0].effective >> capability & 1);
}

/* In a sticky directory only who owns one of both may replace a file: unlink(2), EPERM. */
static bool sticky_forbids(const struct image_tempfile *file, uid_t owner)
{
	struct stat dir;

	return fstat(file->dir_fd, &dir) == 0 && (dir.st_mode & S_ISVTX) && owner != geteuid() &&
	       dir.st_uid != geteuid() && !has_capability(CAP_FOWNER);
}

/*
 * Whatever would keep the image from taking its name at the end is found out first. A device or a
 * directory would be lost or in the way; a file that was mounted (docker run -v FILE:FILE) cannot
 * be renamed over: rename(2), EBUSY.
 */
static int check_replaceable(const struct image_tempfile *file, struct thump_err *err)
{
	struct statx st;

	if (statx(file->dir_fd, file->name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st) < 0)
		return errno == ENOENT ? 0 : thump_fail_errno(err, "%s", file->name);
	if (!S_ISREG(st.stx_mode))
		return thump_fail(err, "%s exists and is not a regular file", file->name);
	if (st.stx_attributes & STATX_ATTR_MOUNT_ROOT)
		return thump_fail(err, "%s is a mount point and cannot be replaced", file->name);
	if (st.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND))
		return thump_fail(err, "%s cannot be replaced: it is immutable (chattr(1))",
				  file->name);
	if (sticky_forbids(file, st.stx_uid))
		return thump_fail(err,
				  "%s cannot be replaced: it belongs to another user, in a "
				  "directory with the sticky bit",
				  file->name);
	return 0;
}

/* By chance, not by pid: processes of other pid namespaces and hosts may use the same folder, and
 * nobody may ever remove or rename what another one is writing. */
static int hidden_name(struct image_tempfile *file, struct thump_err *err)
{
	uint64_t number = 0;

	if (getrandom(&number, sizeof(number), 0) == (ssize_t)sizeof(number) &&
	    asprintf(&file->hidden, ".%.200s.%016" PRIx64 ".tmp", file->name, number) >= 0)
		return 0;
	file->hidden = NULL;
	return thump_fail_errno(err, "temporary name");
}

static int open_file(struct image_tempfile *file, struct thump_err *err)
{
	file->fd = openat(file->dir_fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (file->fd >= 0)
		return 0;
	/* open(2): file systems without O_TMPFILE say EOPNOTSUPP, old kernels EISDIR. */
	if (errno != EOPNOTSUPP && errno != EISDIR)
		return thump_fail_errno(err, "make a file in its directory");
	if (hidden_name(file, err) < 0)
		return -1;
	file->fd = openat(file->dir_fd, file->hidden, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file->fd < 0) {
		(void)thump_fail_errno(err, "make %s", file->hidden);
		free(file->hidden);
		file->hidden = NULL;
		return -1;
	}
	return 0;
}

int image_tempfile_create(const char *path, struct image_tempfile *file_ret, struct thump_err *err)
{
	struct image_tempfile file = IMAGE_TEMPFILE_INIT;

	if (open_directory(path, &file, err) < 0 || check_replaceable(&file, err) < 0 ||
	    open_file(&file, err) < 0) {
		image_tempfile_deinit(&file);
		return -1;
	}
	*file_ret = file;
	return 0;
}

int image_tempfile_link(const struct image_tempfile *file, int dir_fd, const char *name)
{
	char self[64];

	/* open(2), O_TMPFILE: the way that needs no capability. */
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", file->fd);
	return linkat(AT_FDCWD, self, dir_fd, name, AT_SYMLINK_FOLLOW);
}

/* A nameless file gets its final name if that is free, else a hidden one to be renamed. */
static int link_file(struct image_tempfile *file, bool *done_ret, struct thump_err *err)
{
	*done_ret = image_tempfile_link(file, file->dir_fd, file->name) == 0;
	if (*done_ret)
		return 0;
	if (errno != EEXIST)
		return thump_fail_errno(err, "link %s", file->name);
	if (hidden_name(file, err) < 0)
		return -1;
	if (image_tempfile_link(file, file->dir_fd, file->hidden) == 0)
		return 0;
	(void)thump_fail_errno(err, "link %s", file->hidden);
	free(file->hidden);
	file->hidden = NULL;
	return -1;
}

int image_tempfile_commit(struct image_tempfile *file, bool sync, struct thump_err *err)
{
	bool done = false;

	if (check_replaceable(file, err) < 0)
		return -1;
	if (!file->hidden && link_file(file, &done, err) < 0)
		return -1;
	if (!done && renameat(file->dir_fd, file->hidden, file->dir_fd, file->name) < 0)
		return thump_fail_errno(err, "rename %s to %s", file->hidden, file->name);
	free(file->hidden);
	file->hidden = NULL;
	/* fsync(2): EINVAL where a file system knows nothing of the kind for directories. */
	if (sync && fsync(file->dir_fd) < 0 && errno != EINVAL)
		return thump_fail_errno(err,
					"%s is complete, but a crash could make its name go: fsync "
					"of the directory",
					file->name);
	return 0;
}

int image_tempfile_try(const char *path, struct thump_err *err)
{
	static const char block[TRY_BYTES];
	struct image_tempfile file;
	int result;

	if (image_tempfile_create(path, &file, err) < 0)
		return -1;
	result = thump_pwrite_full(file.fd, block, sizeof(block), 0);
	if (result < 0)
		(void)thump_fail_errno(err, "write");
	image_tempfile_deinit(&file);
	return result;
}

void image_tempfile_deinit(struct image_tempfile *file)
{
	if (file->hidden)
		(void)unlinkat(file->dir_fd, file->hidden, 0);
	thump_close_fd(&file->fd);
	thump_close_fd(&file->dir_fd);
	free(file->hidden);
	free(file->name);
	*file = IMAGE_TEMPFILE_INIT;
}
