/* SPDX-License-Identifier: Apache-2.0 */
#include "kinds/find_path.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"
#include "proc/maps.h"
#include "trace/target.h"

#define PATIENCE_NS	  250000000ULL
#define NR_ENTRIES_LIMIT  200000U
#define ENTRIES_PER_CLOCK 256U

struct folder {
	const char *path;
	bool quiet; /* nobody who watches it sees what is opened in it */
};

struct search {
	struct thump_fd_capture *cap;
	struct thump_arena arena;
	struct thump_lost_path **lost; /* in the order of their inodes */
	size_t nr_lost, nr_found;
	struct folder *folders; /* to be looked into */
	size_t nr_folders, nr_known;
	uint64_t deadline_ns;
	unsigned nr_entries;
	bool over;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* As the target sees it, without following a link at its end. */
static int look_at(const struct search *search, const char *path, struct stat *st_ret)
{
	char below_root[PATH_MAX + 8];

	if (snprintf(below_root, sizeof(below_root), "root%s", path) >= (int)sizeof(below_root))
		return -1;
	return fstatat(search->cap->target->proc_fd, below_root, st_ret, AT_SYMLINK_NOFOLLOW);
}

/* Where stat(2) tells another device than the kernel has (btrfs), handles are compared. */
static bool has_handle(const struct search *search, const char *path,
		       const struct thump_lost_path *lost)
{
	union {
		struct file_handle handle;
		unsigned char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} buf = { .handle = { .handle_bytes = MAX_HANDLE_SZ } };
	char below_root[PATH_MAX + 8], text[2 * MAX_HANDLE_SZ + 1];
	int mount_id;

	(void)snprintf(below_root, sizeof(below_root), "root%s", path);
	if (!lost->handle || name_to_handle_at(search->cap->target->proc_fd, below_root,
					       &buf.handle, &mount_id, 0) < 0)
		return false;
	for (unsigned i = 0; i < buf.handle.handle_bytes; i++)
		(void)snprintf(text + 2 * (size_t)i, 3, "%02x", buf.handle.f_handle[i]);
	return 2 * (size_t)buf.handle.handle_bytes == lost->handle_len &&
	       memcmp(text, lost->handle, lost->handle_len) == 0;
}

static int compare_ino(const void *left, const void *right)
{
	const struct thump_lost_path *const *a = left, *const *b = right;

	return ((*a)->ino > (*b)->ino) - ((*a)->ino < (*b)->ino);
}

/* The first one with this inode, or nr_lost. */
static size_t find_ino(const struct search *search, uint64_t ino)
{
	size_t low = 0, high = search->nr_lost;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (search->lost[middle]->ino < ino)
			low = middle + 1;
		else
			high = middle;
	}
	return low < search->nr_lost && search->lost[low]->ino == ino ? low : search->nr_lost;
}

static int match(struct search *search, const char *path, const struct stat *st,
		 struct thump_err *err)
{
	for (size_t i = find_ino(search, st->st_ino);
	     i < search->nr_lost && search->lost[i]->ino == st->st_ino; i++) {
		struct thump_lost_path *lost = search->lost[i];

		if (lost->path || (lost->dev != st->st_dev && !has_handle(search, path, lost)))
			continue;
		lost->path = thump_arena_strdup(&search->cap->model->arena, path);
		if (!lost->path)
			return thump_fail(err, "out of memory");
		search->nr_found++;
	}
	return 0;
}

static bool sees_opens(const struct search *search, const struct stat *st)
{
	for (size_t i = find_ino(search, st->st_ino);
	     i < search->nr_lost && search->lost[i]->ino == st->st_ino; i++)
		if (search->lost[i]->sees_opens)
			return true;
	return false;
}

static int add_folder(struct search *search, const char *path, bool quiet, struct thump_err *err)
{
	struct folder *grown = thump_arena_grow(&search->arena, search->folders, search->nr_folders,
						sizeof(*grown));
	const char *copy = thump_arena_strdup(&search->arena, path);

	if (!grown || !copy)
		return thump_fail(err, "out of memory");
	search->folders = grown;
	grown[search->nr_folders++] = (struct folder){ .path = copy, .quiet = quiet };
	return 0;
}

static bool is_known(const struct search *search, const char *path)
{
	for (size_t i = 0; i < search->nr_known; i++)
		if (strcmp(search->folders[i].path, path) == 0)
			return true;
	return false;
}

/* A path that the program uses, and the folders that it lies in. */
static int add_known(struct search *search, const char *path, struct thump_err *err)
{
	char at[PATH_MAX];
	struct stat st;

	if (path[0] != '/' || strlen(path) >= sizeof(at) || search->nr_found == search->nr_lost)
		return 0;
	memcpy(at, path, strlen(path) + 1);
	for (;;) {
		char *slash;

		if (is_known(search, at))
			return 0;
		if (look_at(search, at, &st) == 0) {
			if (match(search, at, &st, err) < 0)
				return -1;
			if (S_ISDIR(st.st_mode) &&
			    add_folder(search, at, !sees_opens(search, &st), err) < 0)
				return -1;
			search->nr_known = search->nr_folders;
		}
		slash = strrchr(at, '/');
		if (slash == at && slash[1] == '\0')
			return 0;
		slash[slash == at] = '\0';
	}
}

static int add_link(struct search *search, const char *name, struct thump_err *err)
{
	char path[PATH_MAX];
	ssize_t len = readlinkat(search->cap->target->proc_fd, name, path, sizeof(path) - 1);

	if (len < 0)
		return 0;
	path[len] = '\0';
	return add_known(search, path, err);
}

static int add_mapped(struct search *search, struct thump_err *err)
{
	auto_close int fd = openat(search->cap->target->proc_fd, "maps", O_RDONLY | O_CLOEXEC);
	struct thump_maps maps;

	thump_maps_init(&maps, &search->arena);
	if (fd < 0 || thump_maps_read(&maps, fd, err) < 0)
		return fd < 0 ? 0 : -1;
	for (size_t i = 0; i < maps.count; i++)
		if ((i == 0 || strcmp(maps.list[i].path, maps.list[i - 1].path) != 0) &&
		    add_known(search, maps.list[i].path, err) < 0)
			return -1;
	return 0;
}

static int add_variable(struct search *search, const char *name, struct thump_err *err)
{
	const char *value = thump_target_env(search->cap->target, &search->arena, name);

	return value ? add_known(search, value, err) : 0;
}

static int add_all_known(struct search *search, struct thump_err *err)
{
	const struct thump_fd_capture *cap = search->cap;

	if (add_link(search, "cwd", err) < 0 || add_link(search, "exe", err) < 0)
		return -1;
	for (size_t i = 0; i < cap->nr_all; i++)
		if (add_known(search, cap->all[i].link, err) < 0)
			return -1;
	if (add_variable(search, "HOME", err) < 0 || add_variable(search, "TMPDIR", err) < 0 ||
	    add_known(search, "/tmp", err) < 0)
		return -1;
	return add_mapped(search, err);
}

/* d_ino is that of what is mounted over, d_type may be missing (readdir(3)). */
static int look_at_entry(struct search *search, const struct folder *folder,
			 const struct dirent *entry, struct thump_err *err)
{
	bool folder_too = entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN;
	char path[PATH_MAX];
	struct stat st;

	if (++search->nr_entries % ENTRIES_PER_CLOCK == 0 &&
	    (search->nr_entries >= NR_ENTRIES_LIMIT || now_ns() > search->deadline_ns))
		search->over = true;
	if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
	    (!folder_too && find_ino(search, entry->d_ino) == search->nr_lost))
		return 0;
	if (snprintf(path, sizeof(path), "%s/%s", folder->path[1] ? folder->path : "",
		     entry->d_name) >= (int)sizeof(path) ||
	    is_known(search, path) || look_at(search, path, &st) < 0)
		return 0;
	if (match(search, path, &st, err) < 0)
		return -1;
	if (!S_ISDIR(st.st_mode))
		return 0;
	/* To list it is to open it, which is seen by those who watch it or its folder. */
	return add_folder(search, path, folder->quiet && !sees_opens(search, &st), err);
}

static int list_folder(struct search *search, const struct folder *folder, struct thump_err *err)
{
	char below_root[PATH_MAX + 8];
	auto_closedir DIR *dir = NULL;
	auto_close int fd = -1;
	const struct dirent *entry;
	int status = 0;

	if (!folder->quiet || strcmp(folder->path, "/proc") == 0 ||
	    strcmp(folder->path, "/sys") == 0)
		return 0;
	(void)snprintf(below_root, sizeof(below_root), "root%s", folder->path);
	fd = openat(search->cap->target->proc_fd, below_root,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || !(dir = fdopendir(fd)))
		return 0;
	(void)thump_take_fd(&fd);
	while (status == 0 && !search->over && search->nr_found < search->nr_lost &&
	       (entry = readdir(dir)))
		status = look_at_entry(search, folder, entry, err);
	return status;
}

static int find_all(struct search *search, struct thump_err *err)
{
	if (add_all_known(search, err) < 0)
		return -1;
	/* Those that are known come first; what is found goes to the end. */
	for (size_t i = 0; i < search->nr_folders; i++) {
		const struct folder folder = search->folders[i];

		if (search->over || search->nr_found == search->nr_lost)
			return 0;
		if (list_folder(search, &folder, err) < 0)
			return -1;
	}
	return 0;
}

int thump_find_paths(struct thump_fd_capture *cap, struct thump_lost_path *list, size_t count,
		     struct thump_err *err)
{
	struct search search = {
		.cap = cap,
		.nr_lost = count,
		.deadline_ns = now_ns() + PATIENCE_NS,
	};
	int status;

	thump_arena_init(&search.arena);
	search.lost = thump_arena_alloc(&search.arena, count + 1, sizeof(*search.lost));
	for (size_t i = 0; search.lost && i < count; i++)
		search.lost[i] = &list[i];
	if (search.lost && count)
		qsort(search.lost, count, sizeof(*search.lost), compare_ino);
	status = search.lost ? find_all(&search, err) : thump_fail(err, "out of memory");
	thump_arena_deinit(&search.arena);
	return status;
}
