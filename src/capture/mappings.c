/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smaps -> VMAs. Descriptors come first, so a file or memfd that is open and mapped is one backing
 * already. What is only mapped is opened here: through /proc/PID/map_files where that is allowed
 * (CAP_CHECKPOINT_RESTORE; it leads to deleted files, too), else by its path.
 */
#include "capture/mappings.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "base/fd.h"
#include "capture/context.h"
#include "kinds/backing.h"
#include "proc/identity.h"

#define DEV_ZERO	makedev(1, 5)
#define BTRFS_MAGIC	0x9123683E
#define OVERLAYFS_MAGIC 0x794c7630

/* The file of the mapping before: mappings of one file mostly follow each other. */
struct last_file {
	uint64_t dev, ino; /* as maps tells them */
	uint32_t backing_id;
	uint32_t kind; /* of the VMA when private; 0: cannot be saved, and that is listed */
};

struct mapping {
	const struct thump_map *map;
	struct thump_vma *vma;
	int fd;		/* O_PATH, or -1 */
	struct stat st; /* of fd */
};

static void refuse_mapping(struct thump_capture *cap, const struct thump_map *map, const char *word,
			   const char *reason)
{
	thump_capture_refuse(cap, word, "mapping 0x%lx-0x%lx %s%s: %s", map->start, map->end,
			     map->path[0] ? map->path : "(anonymous)",
			     map->deleted ? " (deleted)" : "", reason);
}

/* ---- files ------------------------------------------------------------------------------- */

/* st_dev and st_ino of a file on overlayfs or btrfs are not those that maps shows. */
static bool numbers_may_differ(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (fs.f_type == OVERLAYFS_MAGIC || fs.f_type == BTRFS_MAGIC);
}

/* Opens what is mapped with O_PATH; -1: cannot be had. */
static int open_mapped(struct thump_capture *cap, struct mapping *mapping)
{
	const struct thump_map *map = mapping->map;
	auto_free char *path = NULL;
	int fd;

	if (asprintf(&path, "map_files/%lx-%lx", map->start, map->end) < 0)
		return -1;
	fd = openat(cap->proc_fd, path, O_PATH | O_CLOEXEC);
	if (fd < 0 && !map->deleted) {
		thump_free_ptr(&path);
		if (asprintf(&path, "root%s", map->path) < 0)
			return -1;
		fd = openat(cap->proc_fd, path, O_PATH | O_CLOEXEC);
	}
	if (fd < 0 || fstat(fd, &mapping->st) < 0) {
		thump_close_fd(&fd);
		return -1;
	}
	/* Something else may be mounted over the path by now. */
	if ((mapping->st.st_ino != map->ino ||
	     mapping->st.st_dev != makedev(map->dev_major, map->dev_minor)) &&
	    !numbers_may_differ(fd)) {
		thump_close_fd(&fd);
		errno = ESTALE;
		return -1;
	}
	return fd;
}

static int reopen_for_reading(int path_fd)
{
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
	return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

/* A core file that is an image of thump: what was mapped is a lazily restored process' memory. */
static bool is_thump_image(int fd, const char *path)
{
	struct thump_err ignored = THUMP_ERR_INIT;
	struct thump_image *image;
	Elf64_Ehdr ehdr;

	if (thump_pread_full(fd, &ehdr, sizeof(ehdr), 0) < 0 ||
	    memcmp(ehdr.e_ident, ELFMAG, SELFMAG) != 0 || ehdr.e_type != ET_CORE ||
	    thump_image_open_fd(fd, path, &image, &ignored) < 0)
		return false;
	thump_image_destroy(image);
	return true;
}

static bool fits_carry_limit(const struct thump_capture *cap, uint64_t size_bytes)
{
	uint64_t carried = thump_backing_carried_bytes(&cap->model);

	return carried <= cap->options.carry_limit_bytes &&
	       size_bytes <= cap->options.carry_limit_bytes - carried;
}

/* Content, for what no name will lead to at the restore. Takes fd. */
static int carry(struct thump_capture *cap, struct thump_backing *backing, int *fd,
		 struct thump_err *err)
{
	backing->kind = THUMP_BACKING_CARRIED;
	backing->content_size_bytes = backing->identity.size_bytes;
	if (thump_backing_extents(&cap->model.arena, *fd, backing->content_size_bytes,
				  &backing->extents, &backing->nr_extents, err) < 0)
		return -1;
	backing->capture_fd = thump_take_fd(fd);
	return 0;
}

/* A regular file that is open for reading as *fd becomes a backing; *id_ret stays THUMP_NO_ID when
 * that is refused. */
static int add_file(struct thump_capture *cap, const struct thump_map *map, int *fd,
		    uint32_t *id_ret, struct thump_err *err)
{
	struct thump_backing backing = {
		.kind = THUMP_BACKING_FILE,
		.deleted = map->deleted,
		.capture_fd = -1,
		.path = thump_arena_strdup(&cap->model.arena, map->path),
	};

	if (!backing.path)
		return thump_out_of_memory(err);
	if (thump_identity_read(*fd, &backing.identity, err) < 0)
		return thump_add_context(err, "%s", map->path);
	if (map->deleted || thump_path_is_temporary(map->path, cap->tmpdir)) {
		if (fits_carry_limit(cap, backing.identity.size_bytes)) {
			if (carry(cap, &backing, fd, err) < 0)
				return thump_add_context(err, "%s", map->path);
		} else if (map->deleted) {
			refuse_mapping(
				cap, map, "deleted-file",
				"the file was deleted and is too big to travel in the image");
			return 0;
		}
	}
	return thump_backing_add(&cap->model, &backing, id_ret, err);
}

/* Only a lazy restore maps a file where the program's runtime vouches for anonymous memory. Its
 * image may have been replaced by a later one, and then it needs CAP_CHECKPOINT_RESTORE to be
 * opened. */
static bool is_lost_image(const struct thump_capture *cap, const struct thump_map *map)
{
	struct thump_range part;

	return !map->shared && thump_model_find_vouched(&cap->model, map->start, map->end, &part) &&
	       part.start == map->start && part.end == map->end;
}

/* Nothing leads to the file any more but its mappings. */
static int lost_file(struct thump_capture *cap, const struct thump_map *map, struct last_file *file,
		     struct thump_err *err)
{
	if (!map->deleted) {
		refuse_mapping(cap, map, "file",
			       errno == ESTALE ? "the path leads to another file by now"
					       : strerrordesc_np(errno));
		return 0;
	}
	if (is_lost_image(cap, map)) {
		file->kind = THUMP_VMA_ANON;
		return 0;
	}
	if (thump_capture_lost_file(cap, map, &file->backing_id, err) < 0)
		return -1;
	if (file->backing_id != THUMP_NO_ID)
		file->kind = THUMP_VMA_FILE_PRIVATE;
	return 0;
}

/* A file that is seen for the first time. */
static int new_file(struct thump_capture *cap, struct mapping *mapping, struct last_file *file,
		    struct thump_err *err)
{
	const struct thump_map *map = mapping->map;
	auto_close int fd = -1;

	if (S_ISCHR(mapping->st.st_mode) && mapping->st.st_rdev == DEV_ZERO) {
		file->kind = THUMP_VMA_DEVICE_ZERO;
		return 0;
	}
	if (!S_ISREG(mapping->st.st_mode)) {
		refuse_mapping(cap, map, "device", "a mapped device cannot be saved");
		return 0;
	}
	fd = reopen_for_reading(mapping->fd);
	if (fd < 0) {
		refuse_mapping(cap, map, "file",
			       "the file may not be read, so it could not be "
			       "recognised at a restore");
		return 0;
	}
	if (!map->shared && is_thump_image(fd, map->path)) {
		file->kind = THUMP_VMA_ANON;
		return 0;
	}
	if (add_file(cap, map, &fd, &file->backing_id, err) < 0)
		return -1;
	if (file->backing_id != THUMP_NO_ID)
		file->kind = THUMP_VMA_FILE_PRIVATE;
	return 0;
}

/* Kind and backing of a mapped file: known already, found by its numbers, or new. */
static int find_file(struct thump_capture *cap, struct mapping *mapping, struct last_file *file,
		     struct thump_err *err)
{
	const struct thump_map *map = mapping->map;

	*file = (struct last_file){
		.dev = makedev(map->dev_major, map->dev_minor),
		.ino = map->ino,
		.backing_id = thump_backing_find(&cap->model,
						 makedev(map->dev_major, map->dev_minor), map->ino),
	};
	if (file->backing_id == THUMP_NO_ID) {
		mapping->fd = open_mapped(cap, mapping);
		if (mapping->fd < 0)
			return lost_file(cap, map, file, err);
		file->backing_id =
			thump_backing_find(&cap->model, mapping->st.st_dev, mapping->st.st_ino);
	}
	if (file->backing_id == THUMP_NO_ID)
		return new_file(cap, mapping, file, err);
	file->kind = THUMP_VMA_FILE_PRIVATE;
	return 0;
}

static int map_file(struct thump_capture *cap, struct mapping *mapping, struct last_file *last,
		    struct thump_err *err)
{
	const struct thump_map *map = mapping->map;
	struct thump_vma *vma = mapping->vma;
	bool known = last->ino == map->ino &&
		     last->dev == makedev(map->dev_major, map->dev_minor) &&
		     !(last->kind == THUMP_VMA_ANON && map->shared);

	if (!known && find_file(cap, mapping, last, err) < 0)
		return -1;
	vma->kind = last->kind;
	vma->backing_id = last->backing_id;
	vma->offset = map->offset;
	switch (last->kind) {
	case THUMP_VMA_FILE_PRIVATE:
		if (map->shared)
			vma->kind = THUMP_VMA_FILE_SHARED;
		thump_capture_grow_view(cap, map, vma->backing_id);
		break;
	case THUMP_VMA_ANON: /* of a thump image */
		vma->traits |= THUMP_VMA_LAZY_IMAGE;
		vma->offset = 0;
		break;
	default:
		break;
	}
	return 0;
}

/* ---- memory without a name ------------------------------------------------------------------ */

static int map_memfd(struct thump_capture *cap, struct mapping *mapping, struct thump_err *err)
{
	const struct thump_map *map = mapping->map;
	struct thump_vma *vma = mapping->vma;

	vma->kind = map->shared ? THUMP_VMA_MEMFD_SHARED : THUMP_VMA_MEMFD_PRIVATE;
	vma->offset = map->offset;
	return thump_capture_memfd(cap, map, &vma->backing_id, err);
}

static int map_shmem(struct thump_capture *cap, struct mapping *mapping, struct thump_err *err)
{
	struct thump_vma *vma = mapping->vma;

	vma->kind = THUMP_VMA_SHMEM_ANON;
	vma->offset = mapping->map->offset;
	return thump_capture_shmem(cap, mapping->map, &vma->backing_id, err);
}

static int map_one(struct thump_capture *cap, struct mapping *mapping, struct last_file *last,
		   struct thump_err *err)
{
	const char *reason = NULL;

	switch (thump_map_classify(mapping->map, &reason)) {
	case THUMP_MAP_ANON:
		mapping->vma->kind = THUMP_VMA_ANON;
		return 0;
	case THUMP_MAP_VDSO:
		mapping->vma->kind = THUMP_VMA_VDSO;
		return 0;
	case THUMP_MAP_VVAR:
		mapping->vma->kind = THUMP_VMA_VVAR;
		return 0;
	case THUMP_MAP_VSYSCALL:
		mapping->vma->kind = THUMP_VMA_VSYSCALL;
		return 0;
	case THUMP_MAP_FILE:
		return map_file(cap, mapping, last, err);
	case THUMP_MAP_MEMFD:
		return map_memfd(cap, mapping, err);
	case THUMP_MAP_SHMEM:
		return map_shmem(cap, mapping, err);
	case THUMP_MAP_REFUSED:
		break;
	}
	refuse_mapping(cap, mapping->map, "mapping", reason);
	return 0;
}

static void set_flags(struct thump_capture *cap, const struct thump_map *map, struct thump_vma *vma)
{
	vma->traits = map->traits & ~(uint32_t)THUMP_VMA_GUARDED;
	vma->pkey = map->pkey;
	/* mprotect(2) with PROT_EXEC alone: pkeys(7). */
	if (map->pkey && !(cap->model.mm.pkeys >> map->pkey & 1))
		refuse_mapping(cap, map, "pkey",
			       "memory that can only be executed has a protection key of the "
			       "kernel's, which cannot be saved");
}

void thump_capture_update_flags(struct thump_capture *cap, const struct thump_map *map,
				struct thump_vma *vma)
{
	const uint32_t own = vma->traits & THUMP_VMA_LAZY_IMAGE;
	const char *reason;

	set_flags(cap, map, vma);
	vma->traits |= own;
	if (thump_map_classify(map, &reason) == THUMP_MAP_REFUSED)
		refuse_mapping(cap, map, "mapping", reason);
}

static int set_vma(struct thump_capture *cap, const struct thump_map *map, struct thump_vma *vma,
		   struct thump_err *err)
{
	size_t name_len;
	const char *name = thump_map_anon_name(map, &name_len);

	*vma = (struct thump_vma){
		.start = map->start,
		.end = map->end,
		.prot = map->prot,
		.backing_id = THUMP_NO_ID,
	};
	set_flags(cap, map, vma);
	if (!name)
		return 0;
	vma->anon_name = thump_arena_strndup(&cap->model.arena, name, name_len);
	return vma->anon_name ? 0 : thump_out_of_memory(err);
}

/* Files and devices go with descriptors, and so does what the kernel maps for one (io_uring). */
int thump_capture_lasting_mappings(struct thump_capture *cap, struct thump_err *err)
{
	(void)err;
	for (size_t i = 0; i < cap->maps.count; i++) {
		const struct thump_map *map = &cap->maps.list[i];
		const char *reason = NULL;

		if (thump_map_classify(map, &reason) == THUMP_MAP_REFUSED &&
		    !thump_map_has_descriptor(map))
			refuse_mapping(cap, map, "mapping", reason);
	}
	return 0;
}

int thump_capture_mappings(struct thump_capture *cap, struct thump_err *err)
{
	struct last_file last = { .backing_id = THUMP_NO_ID };
	const struct thump_maps *maps = &cap->maps;

	cap->model.vmas =
		thump_arena_alloc(&cap->model.arena, maps->count + 1, sizeof(*cap->model.vmas));
	if (!cap->model.vmas)
		return thump_out_of_memory(err);
	cap->model.nr_vmas = (uint32_t)maps->count;
	if (thump_capture_vouched(cap, err) < 0)
		return -1;
	for (size_t i = 0; i < maps->count; i++) {
		struct mapping mapping = {
			.map = &maps->list[i],
			.vma = &cap->model.vmas[i],
			.fd = -1,
		};
		int status = set_vma(cap, mapping.map, mapping.vma, err);

		if (status == 0)
			status = map_one(cap, &mapping, &last, err);
		thump_close_fd(&mapping.fd);
		if (status < 0)
			return thump_add_context(err, "mapping 0x%lx-0x%lx", mapping.map->start,
						 mapping.map->end);
	}
	return thump_capture_needless(cap, err);
}
