/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory without a file (memfds, shared anonymous memory, /dev/shm) that another process has
 * mapped, too: in the image it is a copy, so what the two tell each other through it ends there.
 * Worth a warning, and found before the stop: looking into other processes takes its time, and they
 * may come and go at any moment anyhow. Processes of other users are not to be seen.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "capture/context.h"
#include "kinds/capture.h"

static bool is_shared_memory(void *ctx, const struct thump_map *map)
{
	(void)ctx;
	if (!map->shared || map->ino == 0)
		return false;
	return strncmp(map->path, "/dev/shm/", strlen("/dev/shm/")) == 0 ||
	       (map->deleted && (strncmp(map->path, "/memfd:", strlen("/memfd:")) == 0 ||
				 strcmp(map->path, "/dev/zero") == 0));
}

static bool same_file(const struct thump_map *a, const struct thump_map *b)
{
	return a->ino == b->ino && a->dev_major == b->dev_major && a->dev_minor == b->dev_minor;
}

/* Shared memory of one process; none when it is gone or may not be looked at. */
static void read_maps_of(int pid_fd, struct thump_arena *arena, struct thump_maps *maps_ret)
{
	auto_close int fd = openat(pid_fd, "maps", O_RDONLY | O_CLOEXEC);
	struct thump_err ignored = THUMP_ERR_INIT;

	thump_maps_init(maps_ret, arena);
	maps_ret->wanted = is_shared_memory;
	if (fd < 0 || thump_maps_read(maps_ret, fd, &ignored) < 0)
		maps_ret->count = 0;
}

static void name_sharer(struct thump_capture *cap, const struct thump_map *map, int pid, int pid_fd)
{
	auto_free char *name = NULL;

	if (thump_slurp(pid_fd, "comm", &name, NULL) < 0)
		return;
	name[strcspn(name, "\n")] = '\0';
	thump_capture_warn(
		cap, "shared-memory",
		"mapping of %s: process %d (%s) has it, too: a restored program has a copy "
		"of its own",
		map->path, pid, name);
}

static bool has_file(const struct thump_maps *maps, const struct thump_map *map)
{
	for (size_t i = 0; i < maps->count; i++)
		if (same_file(&maps->list[i], map))
			return true;
	return false;
}

/* Leaves one mapping of each piece of shared memory, however often it is mapped. */
static void leave_one_each(struct thump_maps *maps)
{
	struct thump_maps kept = { .list = maps->list };

	for (size_t i = 0; i < maps->count; i++)
		if (!has_file(&kept, &maps->list[i]))
			kept.list[kept.count++] = maps->list[i];
	maps->count = kept.count;
}

static void compare(struct thump_capture *cap, const struct thump_maps *ours,
		    const struct thump_maps *theirs, int pid, int pid_fd)
{
	for (size_t i = 0; i < ours->count; i++)
		if (has_file(theirs, &ours->list[i]))
			name_sharer(cap, &ours->list[i], pid, pid_fd);
}

static void look_at_others(struct thump_capture *cap, const struct thump_maps *ours)
{
	auto_closedir DIR *dir = opendir("/proc");
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		int pid = thump_fd_of_entry(entry); /* a number, here too */
		auto_close int pid_fd = -1;
		struct thump_arena arena;
		struct thump_maps theirs;

		if (pid < 0 || pid == cap->options.pid)
			continue;
		pid_fd = openat(dirfd(dir), entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (pid_fd < 0)
			continue;
		thump_arena_init(&arena);
		read_maps_of(pid_fd, &arena, &theirs);
		compare(cap, ours, &theirs, pid, pid_fd);
		thump_arena_deinit(&arena);
	}
}

int thump_capture_sharers(struct thump_capture *cap, struct thump_err *err)
{
	struct thump_arena arena;
	struct thump_maps ours;

	(void)err;
	thump_arena_init(&arena);
	read_maps_of(cap->proc_fd, &arena, &ours);
	leave_one_each(&ours);
	if (ours.count)
		look_at_others(cap, &ours);
	thump_arena_deinit(&arena);
	return 0;
}
