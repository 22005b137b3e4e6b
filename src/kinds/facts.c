/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel tells about the descriptors of the target from outside. Nothing here decides
 * anything; that is for the kinds.
 */
#include "kinds/capture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#include "base/fd.h"
#include "kinds/flight.h"
#include "proc/fdinfo.h"
#include "proc/text.h"
#include "trace/target.h"

static const char deleted_suffix[] = " (deleted)";

static int read_link(struct thump_target *target, struct thump_arena *arena,
		     struct thump_fd_facts *facts, struct thump_err *err)
{
	const size_t suffix_len = sizeof(deleted_suffix) - 1;
	const struct thump_fd_path path = thump_fd_path("fd", facts->fd);
	char link[4096 + sizeof(deleted_suffix)];
	ssize_t len = readlinkat(target->proc_fd, path.text, link, sizeof(link));

	if (len < 0 || (size_t)len == sizeof(link))
		return thump_fail_errno(err, "readlink %s of process %d", path.text, target->pid);
	if ((size_t)len > suffix_len &&
	    memcmp(link + len - suffix_len, deleted_suffix, suffix_len) == 0) {
		facts->deleted = true;
		len -= (ssize_t)suffix_len;
	}
	facts->link = thump_arena_strndup(arena, link, (size_t)len);
	if (!facts->link)
		return thump_fail(err, "out of memory");
	if (fstatat(target->proc_fd, path.text, &facts->st, 0) < 0)
		return thump_fail_errno(err, "stat %s of process %d", path.text, target->pid);
	/* A file whose name ends in " (deleted)" is not deleted: its name leads to it. */
	if (facts->deleted && facts->st.st_nlink > 0 && facts->link[0] == '/') {
		char *whole = thump_arena_printf(arena, "%s%s", facts->link, deleted_suffix);
		struct stat st;

		if (whole && thump_target_stat(target, whole, &st) == 0 &&
		    st.st_ino == facts->st.st_ino && st.st_dev == facts->st.st_dev) {
			facts->link = whole;
			facts->deleted = false;
		}
	}
	return 0;
}

/* O_PATH: needs no right to the file itself. */
static uint64_t read_fs_type(struct thump_target *target, int fd)
{
	auto_close int path_fd = thump_target_reopen(target, fd, O_PATH);
	struct statfs fs;

	if (path_fd < 0 || fstatfs(path_fd, &fs) < 0)
		return 0;
	return (uint64_t)fs.f_type;
}

int thump_fdinfo_read(struct thump_target *target, int fd, struct thump_fdinfo *info_ret,
		      char **text_ret, struct thump_err *err)
{
	auto_free char *text = NULL;
	const struct thump_fd_path path = thump_fd_path("fdinfo", fd);

	if (thump_slurp(target->proc_fd, path.text, &text, NULL) < 0)
		return thump_fail_errno(err, "read %s of process %d", path.text, target->pid);
	if (thump_fdinfo_parse(text, info_ret, err) < 0)
		return thump_add_context(err, "%s of process %d", path.text, target->pid);
	*text_ret = text;
	text = NULL;
	return 0;
}

static int look_at_fdinfo(struct thump_target *target, struct thump_arena *arena,
			  struct thump_fd_facts *facts, struct thump_err *err)
{
	auto_free char *text = NULL;
	struct thump_fdinfo info;

	if (thump_fdinfo_read(target, facts->fd, &info, &text, err) < 0)
		return -1;
	facts->fdinfo = thump_arena_strdup(arena, text);
	if (!facts->fdinfo)
		return thump_fail(err, "out of memory");
	facts->open_flags = info.open_flags;
	facts->cloexec = info.cloexec;
	facts->pos = info.pos;
	facts->mnt_id = info.mnt_id;
	return 0;
}

static int get_int_option(struct thump_access *access, int name, int *value_ret,
			  struct thump_err *err)
{
	uint32_t len = sizeof(*value_ret);
	long result;
	int value;

	if (thump_access_getsockopt(access, SOL_SOCKET, name, &value, &len, &result, err) < 0)
		return -1;
	if (result == 0 && len == sizeof(value))
		*value_ret = value;
	return 0;
}

static int read_socket(struct thump_target *target, bool dup_fd, struct thump_fd_facts *facts,
		       struct thump_err *err)
{
	auto_access struct thump_access access = THUMP_ACCESS_INIT;

	if (thump_access_open(target, dup_fd, facts->fd, &access, err) < 0)
		return -1;
	if (get_int_option(&access, SO_DOMAIN, &facts->sock_domain, err) < 0 ||
	    get_int_option(&access, SO_TYPE, &facts->sock_type, err) < 0)
		return -1;
	return get_int_option(&access, SO_PROTOCOL, &facts->sock_protocol, err);
}

int thump_facts_read(struct thump_target *target, bool dup_fd, struct thump_arena *arena,
		     struct thump_fd_facts *facts, struct thump_err *err)
{
	facts->sock_domain = facts->sock_type = facts->sock_protocol = -1;
	if (read_link(target, arena, facts, err) < 0 ||
	    look_at_fdinfo(target, arena, facts, err) < 0)
		return -1;
	if (S_ISREG(facts->st.st_mode))
		facts->fs_type = read_fs_type(target, facts->fd);
	/* An O_PATH descriptor of a socket file takes no socket calls. */
	if (S_ISSOCK(facts->st.st_mode) && !(facts->open_flags & O_PATH))
		return read_socket(target, dup_fd, facts, err);
	return 0;
}

static int compare_fd(const void *a, const void *b)
{
	const struct thump_fd_facts *left = a, *right = b;

	return (left->fd > right->fd) - (left->fd < right->fd);
}

int thump_fd_of_entry(const struct dirent *entry)
{
	const char *at = entry->d_name;
	uint64_t fd;

	return thump_text_u64(&at, 10, &fd) && *at == '\0' && fd <= INT32_MAX ? (int)fd : -1;
}

static int list_fds(struct thump_target *target, struct thump_arena *arena,
		    struct thump_fd_facts **facts_ret, size_t *count_ret, struct thump_err *err)
{
	auto_close int dir_fd = openat(target->proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = NULL;
	struct thump_fd_facts *facts = NULL;
	const struct dirent *entry;
	size_t count = 0;

	if (dir_fd < 0 || !(dir = fdopendir(dir_fd)))
		return thump_fail_errno(err, "open /proc/%d/fd", target->pid);
	(void)thump_take_fd(&dir_fd);
	while ((errno = 0, entry = readdir(dir))) {
		int fd = thump_fd_of_entry(entry);

		if (fd < 0)
			continue;
		facts = thump_arena_grow(arena, facts, count, sizeof(*facts));
		if (!facts)
			return thump_fail(err, "out of memory");
		facts[count++] = (struct thump_fd_facts){ .fd = fd };
	}
	if (errno)
		return thump_fail_errno(err, "read /proc/%d/fd", target->pid);
	if (count)
		qsort(facts, count, sizeof(*facts), compare_fd);
	*facts_ret = facts;
	*count_ret = count;
	return 0;
}

int thump_facts_collect(struct thump_target *target, bool dup_fd, struct thump_arena *arena,
			struct thump_fd_facts **facts_ret, size_t *count_ret, struct thump_err *err)
{
	struct thump_fd_facts *facts;
	size_t count;

	if (list_fds(target, arena, &facts, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (thump_facts_read(target, dup_fd, arena, &facts[i], err) < 0)
			return thump_add_context(err, "fd %d", facts[i].fd);
	*facts_ret = facts;
	*count_ret = count;
	return 0;
}
