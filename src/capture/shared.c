/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inodes without a name that only mappings hold: memfds, MAP_SHARED | MAP_ANONYMOUS, and deleted
 * files. With CAP_CHECKPOINT_RESTORE /proc/PID/map_files leads to the inode. Else its content is
 * read through the mappings ("views"), as far as they reach: nothing else leads to the rest. Which
 * pages memfds and shared memory have is asked by mincore(2) in the target.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/fd.h"
#include "capture/context.h"
#include "kinds/backing.h"

static int open_map_file(const struct thump_capture *cap, const struct thump_map *map)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "map_files/%lx-%lx", map->start, map->end);
	return openat(cap->proc_fd, path, O_RDONLY | O_CLOEXEC);
}

static void set_identity(struct thump_backing *backing, const struct thump_map *map)
{
	backing->identity.dev = makedev(map->dev_major, map->dev_minor);
	backing->identity.ino = map->ino;
}

/* The memfd behind fd, an open map_files entry. */
static int add_memfd(struct thump_capture *cap, const struct thump_map *map,
		     struct thump_backing *backing, int *fd, struct thump_err *err)
{
	struct stat st;
	int seals = fcntl(*fd, F_GET_SEALS);

	if (seals < 0 || fstat(*fd, &st) < 0)
		return thump_fail_errno(err, "fcntl(F_GET_SEALS) of %s", map->path);
	backing->identity.mode = st.st_mode;
	backing->identity.size_bytes = backing->content_size_bytes = (uint64_t)st.st_size;
	backing->memfd_seals = (uint32_t)seals;
	if (thump_backing_extents(&cap->model.arena, *fd, backing->content_size_bytes,
				  &backing->extents, &backing->nr_extents, err) < 0)
		return -1;
	backing->capture_fd = thump_take_fd(fd);
	return 0;
}

/* What only mappings lead to: its size is what they reach. */
void thump_capture_grow_view(struct thump_capture *cap, const struct thump_map *map,
			     uint32_t backing_id)
{
	struct thump_backing *backing = &cap->model.backings[backing_id];
	uint64_t end = map->offset + (map->end - map->start);

	if (backing->capture_fd < 0 && backing->kind != THUMP_BACKING_FILE &&
	    backing->content_size_bytes < end)
		backing->identity.size_bytes = backing->content_size_bytes = end;
}

int thump_capture_memfd(struct thump_capture *cap, const struct thump_map *map,
			uint32_t *backing_id_ret, struct thump_err *err)
{
	struct thump_backing backing = {
		.kind = THUMP_BACKING_MEMFD,
		.deleted = true,
		.capture_fd = -1,
		.identity.mode = S_IFREG | 0777,
		.path = thump_arena_strdup(&cap->model.arena, map->path + strlen("/memfd:")),
	};
	auto_close int fd = -1;

	if (!backing.path)
		return thump_out_of_memory(err);
	*backing_id_ret =
		thump_backing_find(&cap->model, makedev(map->dev_major, map->dev_minor), map->ino);
	if (*backing_id_ret == THUMP_NO_ID) {
		set_identity(&backing, map);
		fd = open_map_file(cap, map);
		if (fd >= 0 && add_memfd(cap, map, &backing, &fd, err) < 0)
			return -1;
		if (thump_backing_add(&cap->model, &backing, backing_id_ret, err) < 0)
			return -1;
	}
	thump_capture_grow_view(cap, map, *backing_id_ret);
	return 0;
}

int thump_capture_lost_file(struct thump_capture *cap, const struct thump_map *map,
			    uint32_t *backing_id_ret, struct thump_err *err)
{
	struct thump_backing backing = {
		.kind = THUMP_BACKING_CARRIED,
		.deleted = true,
		.capture_fd = -1,
		.identity.mode = S_IFREG | 0600,
		.path = thump_arena_strdup(&cap->model.arena, map->path),
	};
	uint64_t carried = thump_backing_carried_bytes(&cap->model);

	if (map->offset + (map->end - map->start) + carried > cap->options.carry_limit_bytes) {
		thump_capture_refuse(cap, "deleted-file",
				     "mapping 0x%lx-0x%lx %s: the file was deleted and is too big "
				     "to travel in the image",
				     map->start, map->end, map->path);
		*backing_id_ret = THUMP_NO_ID;
		return 0;
	}
	if (!backing.path)
		return thump_out_of_memory(err);
	set_identity(&backing, map);
	return thump_backing_add(&cap->model, &backing, backing_id_ret, err);
}

static uint32_t find_shmem(const struct thump_model *model, uint64_t dev, uint64_t ino)
{
	for (uint32_t i = model->nr_backings; i-- > 0;) {
		const struct thump_backing *backing = &model->backings[i];

		if (backing->kind == THUMP_BACKING_SHMEM && backing->identity.ino == ino &&
		    backing->identity.dev == dev)
			return i;
	}
	return THUMP_NO_ID;
}

int thump_capture_shmem(struct thump_capture *cap, const struct thump_map *map,
			uint32_t *backing_id_ret, struct thump_err *err)
{
	struct thump_backing backing = { .kind = THUMP_BACKING_SHMEM, .deleted = true };
	struct stat st;

	*backing_id_ret =
		find_shmem(&cap->model, makedev(map->dev_major, map->dev_minor), map->ino);
	if (*backing_id_ret == THUMP_NO_ID) {
		set_identity(&backing, map);
		backing.capture_fd = open_map_file(cap, map);
		if (backing.capture_fd >= 0 && fstat(backing.capture_fd, &st) == 0)
			backing.content_size_bytes = (uint64_t)st.st_size;
		backing.path = thump_arena_strdup(&cap->model.arena, "");
		if (!backing.path ||
		    thump_backing_add(&cap->model, &backing, backing_id_ret, err) < 0) {
			thump_close_fd(&backing.capture_fd);
			return thump_out_of_memory(err);
		}
	}
	thump_capture_grow_view(cap, map, *backing_id_ret);
	return 0;
}

/* ---- which pages, without a descriptor ------------------------------------------------------- */

static int add_extent(struct thump_capture *cap, struct thump_backing *backing, uint64_t start,
		      uint64_t end, struct thump_err *err)
{
	struct thump_extent *extents;

	if (backing->nr_extents && backing->extents[backing->nr_extents - 1].end == start) {
		backing->extents[backing->nr_extents - 1].end = end;
		return 0;
	}
	extents = thump_arena_grow(&cap->model.arena, backing->extents, backing->nr_extents,
				   sizeof(*extents));
	if (!extents)
		return thump_out_of_memory(err);
	backing->extents = extents;
	extents[backing->nr_extents++] = (struct thump_extent){ .start = start, .end = end };
	return 0;
}

/* One remote mincore(2): at most as many pages as the area has bytes. */
static int ask_pages(struct thump_capture *cap, struct thump_backing *backing,
		     const struct thump_vma *vma, uint64_t start, uint64_t size_bytes,
		     struct thump_err *err)
{
	const uint64_t args[6] = { start, size_bytes, THUMP_AREA };
	unsigned char present[THUMP_REMOTE_AREA_SIZE];
	uint64_t offset = vma->offset + (start - vma->start);
	long result;

	if (thump_capture_call(cap, THUMP_ANY_THREAD, SYS_mincore, args, &result, err) < 0)
		return -1;
	if (result < 0)
		return thump_fail(err, "mincore in the target: %s", strerrordesc_np((int)-result));
	if (thump_capture_area(cap, present, size_bytes / THUMP_PAGE_SIZE, err) < 0)
		return -1;
	for (uint64_t at = 0; at < size_bytes; at += THUMP_PAGE_SIZE) {
		if ((present[at / THUMP_PAGE_SIZE] & 1) &&
		    add_extent(cap, backing, offset + at, offset + at + THUMP_PAGE_SIZE, err) < 0)
			return -1;
	}
	return 0;
}

/* Where the file ends inside a mapping of it; pages beyond raise SIGBUS. */
static uint64_t view_end(const struct thump_vma *vma, uint64_t size_bytes)
{
	if (vma->offset >= size_bytes)
		return vma->start;
	return vma->start +
	       thump_min_u64(vma->end - vma->start, thump_page_up(size_bytes - vma->offset));
}

static bool is_readable(const struct thump_capture *cap, uint64_t addr)
{
	struct thump_err ignored = THUMP_ERR_INIT;
	char byte;

	return thump_target_read(cap->target, REMOTE(addr), &byte, 1, &ignored) == 0;
}

/*
 * A file may be shorter than the mapping of it: the first page that cannot be read is its end.
 * Nobody can tell its size within the last page any more. Reading a page that a memfd does not have
 * yet makes it, so this comes after ask_mapping() there.
 */
static void find_size(struct thump_capture *cap, const struct thump_vma *vma)
{
	struct thump_backing *backing = &cap->model.backings[vma->backing_id];
	uint64_t low = 0, high = (vma->end - vma->start) / THUMP_PAGE_SIZE;

	if (backing->content_size_bytes != vma->offset + (vma->end - vma->start) ||
	    is_readable(cap, vma->end - THUMP_PAGE_SIZE))
		return;
	while (low < high) { /* pages below low can be read, those from high on cannot */
		uint64_t middle = low + (high - low) / 2;

		if (is_readable(cap, vma->start + middle * THUMP_PAGE_SIZE))
			low = middle + 1;
		else
			high = middle;
	}
	backing->identity.size_bytes = backing->content_size_bytes =
		vma->offset + low * THUMP_PAGE_SIZE;
	while (backing->nr_extents &&
	       backing->extents[backing->nr_extents - 1].start >= backing->content_size_bytes)
		backing->nr_extents--;
	if (backing->nr_extents) {
		struct thump_extent *last = &backing->extents[backing->nr_extents - 1];

		last->end = thump_min_u64(last->end, backing->content_size_bytes);
	}
}

/*
 * Adds the pages of one view. mincore(2) does not know what was swapped out of shared memory, but
 * smaps does; and pages of a file on a disk exist without being in memory.
 */
static int ask_mapping(struct thump_capture *cap, const struct thump_map *map,
		       const struct thump_vma *vma, struct thump_err *err)
{
	struct thump_backing *backing = &cap->model.backings[vma->backing_id];
	uint64_t step = THUMP_REMOTE_AREA_SIZE * THUMP_PAGE_SIZE;
	uint64_t known = backing->nr_extents ? backing->extents[backing->nr_extents - 1].end : 0;
	uint64_t start = vma->start, end = view_end(vma, backing->content_size_bytes);

	/* Views of the same pages: only what lies beyond the last one seen is new. */
	if (vma->offset < known)
		start += known - vma->offset;
	if (start < end && (map->swap_kib || backing->kind == THUMP_BACKING_CARRIED))
		return add_extent(cap, backing, vma->offset + (start - vma->start),
				  vma->offset + (end - vma->start), err);
	for (; start < end; start += step) {
		if (ask_pages(cap, backing, vma, start, thump_min_u64(step, end - start), err) < 0)
			return -1;
	}
	return 0;
}

struct view {
	uint32_t vma_index;
	uint32_t backing_id;
	uint64_t offset;
};

static int by_backing_and_offset(const void *left, const void *right)
{
	const struct view *a = left, *b = right;

	if (a->backing_id != b->backing_id)
		return a->backing_id < b->backing_id ? -1 : 1;
	return (a->offset > b->offset) - (a->offset < b->offset);
}

/* Mappings that are the only way to what they map, in the order of their offsets. */
static size_t list_views(const struct thump_capture *cap, struct view *views)
{
	size_t count = 0;

	for (uint32_t i = 0; i < cap->model.nr_vmas; i++) {
		const struct thump_vma *vma = &cap->model.vmas[i];

		if (vma->backing_id == THUMP_NO_ID ||
		    cap->model.backings[vma->backing_id].capture_fd >= 0 ||
		    cap->model.backings[vma->backing_id].kind == THUMP_BACKING_FILE)
			continue;
		views[count++] = (struct view){ i, vma->backing_id, vma->offset };
	}
	qsort(views, count, sizeof(*views), by_backing_and_offset);
	return count;
}

static void find_sizes(struct thump_capture *cap, const struct view *views, size_t count,
		       enum thump_backing_kind kind)
{
	for (size_t i = count; i-- > 0;) { /* from the highest offset down */
		if (cap->model.backings[views[i].backing_id].kind == kind)
			find_size(cap, &cap->model.vmas[views[i].vma_index]);
	}
}

int thump_capture_shared_content(struct thump_capture *cap, struct thump_err *err)
{
	struct view *views =
		thump_arena_alloc(&cap->scratch, cap->model.nr_vmas + 1, sizeof(*views));
	size_t count;

	if (!views)
		return thump_out_of_memory(err);
	for (uint32_t i = 0; i < cap->model.nr_backings; i++) {
		struct thump_backing *backing = &cap->model.backings[i];

		if (backing->kind == THUMP_BACKING_SHMEM && backing->capture_fd >= 0 &&
		    thump_backing_extents(&cap->model.arena, backing->capture_fd,
					  backing->content_size_bytes, &backing->extents,
					  &backing->nr_extents, err) < 0)
			return -1;
	}
	count = list_views(cap, views);
	find_sizes(cap, views, count, THUMP_BACKING_CARRIED);
	for (size_t i = 0; i < count; i++) {
		if (ask_mapping(cap, &cap->maps.list[views[i].vma_index],
				&cap->model.vmas[views[i].vma_index], err) < 0)
			return -1;
	}
	find_sizes(cap, views, count, THUMP_BACKING_MEMFD);
	return 0;
}
