/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules for editing this file. What is removed was not needed by any living image when nobody could
 * add one: the lock is held from before the first look to after the last removal. An image that
 * cannot be understood ends all of it before a chunk is removed. Only what has the name of a chunk
 * is a chunk.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "pack/read.h"
#include "pack/store_layout.h"

struct gc {
	const struct thump_gc_options *options;
	struct pack_store store;
	/* of the chunks that are needed; sorted once all are there */
	unsigned char (*hashes)[PACK_HASH_SIZE];
	size_t nr_hashes, room;
	struct thump_gc_stats stats;
};

/* ---- what is needed -------------------------------------------------------------------------- */

static int compare_hashes(const void *a, const void *b)
{
	return memcmp(a, b, PACK_HASH_SIZE);
}

static int need(struct gc *gc, const unsigned char hash[PACK_HASH_SIZE], struct thump_err *err)
{
	if (gc->nr_hashes == gc->room) {
		size_t room = gc->room ? 2 * gc->room : 4096;
		void *bigger = reallocarray(gc->hashes, room, sizeof(*gc->hashes));

		if (!bigger)
			return thump_fail_errno(err, "memory for hashes");
		gc->hashes = bigger;
		gc->room = room;
	}
	memcpy(gc->hashes[gc->nr_hashes++], hash, PACK_HASH_SIZE);
	return 0;
}

static bool is_needed(const struct gc *gc, const unsigned char hash[PACK_HASH_SIZE])
{
	return gc->nr_hashes &&
	       bsearch(hash, gc->hashes, gc->nr_hashes, PACK_HASH_SIZE, compare_hashes);
}

static int need_chunks(struct gc *gc, const struct pack_front *front, struct thump_err *err)
{
	if (!front->note)
		return thump_fail(err, "its chunks are not in a chunk store");
	for (uint32_t i = 0; i < front->head.nr_chunks; i++)
		if (front->chunks[i].stored_size && need(gc, front->chunks[i].hash, err) < 0)
			return -1;
	gc->stats.nr_images++;
	return 0;
}

static int need_chunks_of(struct gc *gc, struct pack_coming *coming, struct thump_err *err)
{
	struct pack_front front = PACK_FRONT_INIT;
	int failed;

	if (!pack_coming_is_packed(coming))
		failed = thump_damaged(err, "not a packed image");
	else
		failed = pack_coming_begin(coming, err);
	if (!failed)
		failed = pack_front_read(&coming->stream, NULL, &front, err);
	if (!failed)
		failed = need_chunks(gc, &front, err);
	pack_front_deinit(&front);
	return failed ? thump_add_context(err, "image %s", coming->name) : 0;
}

/* The store has one name of each image. When that is the only one, the image was removed. */
static int look_at_image(struct gc *gc, int images_fd, const char *name, const char *path,
			 struct thump_err *err)
{
	struct pack_coming coming;
	int failed = 0;

	if (pack_coming_open(path, &coming, err) < 0)
		return -1;
	if (coming.origin.st_nlink > 1)
		failed = need_chunks_of(gc, &coming, err);
	else if (!gc->options->dry_run && unlinkat(images_fd, name, 0) < 0)
		failed = thump_fail_errno(err, "remove %s", path);
	pack_coming_close(&coming);
	return failed;
}

/* A folder of the store, and its path, which is on the heap. */
static int open_folder(const struct gc *gc, const char *name, char **path_ret, DIR **dir_ret,
		       struct thump_err *err)
{
	if (asprintf(path_ret, "%s/%s", gc->store.path, name) < 0) {
		*path_ret = NULL;
		return thump_fail_errno(err, "memory for a path");
	}
	*dir_ret = opendir(*path_ret);
	return *dir_ret ? 0 : thump_fail_errno(err, "%s", *path_ret);
}

static int look_at_images(struct gc *gc, struct thump_err *err)
{
	auto_free char *folder = NULL;
	auto_closedir DIR *dir = NULL;
	const struct dirent *entry;

	if (open_folder(gc, STORE_IMAGES, &folder, &dir, err) < 0)
		return -1;
	while (errno = 0, (entry = readdir(dir))) {
		auto_free char *path = NULL;

		if (entry->d_name[0] == '.')
			continue;
		if (asprintf(&path, "%s/%s", folder, entry->d_name) < 0)
			return thump_fail_errno(err, "memory for a path");
		if (look_at_image(gc, dirfd(dir), entry->d_name, path, err) < 0)
			return -1;
	}
	return errno ? thump_fail_errno(err, "read %s", folder) : 0;
}

static int look_at_kept(struct gc *gc, struct thump_err *err)
{
	for (size_t i = 0; i < gc->options->nr_kept; i++) {
		struct pack_coming coming;
		int failed;

		if (pack_coming_open(gc->options->kept[i], &coming, err) < 0)
			return -1;
		failed = need_chunks_of(gc, &coming, err);
		pack_coming_close(&coming);
		if (failed)
			return -1;
	}
	return 0;
}

/* ---- what is not -------------------------------------------------------------------------------
 */

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* `size` bytes of exactly so many pairs of digits. */
static bool parse_hex(const char *text, unsigned char *bytes, size_t size)
{
	if (strlen(text) != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

/* tempfile.c: what somebody was writing who was killed; nobody writes now. */
static bool is_left_over(const char *name)
{
	size_t length = strlen(name);

	return length > 5 && name[0] == '.' && strcmp(name + length - 4, ".tmp") == 0;
}

static int look_at_chunk(struct gc *gc, int folder_fd, unsigned char first, const char *name,
			 struct thump_err *err)
{
	unsigned char hash[PACK_HASH_SIZE] = { first };
	bool is_chunk = parse_hex(name, hash + 1, sizeof(hash) - 1);
	struct stat st;

	if ((!is_chunk && !is_left_over(name)) ||
	    fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (is_chunk && is_needed(gc, hash)) {
		gc->stats.nr_chunks++;
		gc->stats.kept_bytes += (uint64_t)st.st_size;
		return 0;
	}
	if (!gc->options->dry_run && unlinkat(folder_fd, name, 0) < 0)
		return thump_fail_errno(err, "remove chunk %02x/%s", first, name);
	gc->stats.nr_removed++;
	gc->stats.removed_bytes += (uint64_t)st.st_size;
	return 0;
}

static int look_at_folder(struct gc *gc, int chunks_fd, const char *name, struct thump_err *err)
{
	auto_closedir DIR *dir = NULL;
	const struct dirent *entry;
	unsigned char first;
	int fd;

	if (!parse_hex(name, &first, 1))
		return 0;
	fd = openat(chunks_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		(void)thump_fail_errno(err, "folder %s of chunks", name);
		thump_close_fd(&fd);
		return -1;
	}
	while (errno = 0, (entry = readdir(dir)))
		if (look_at_chunk(gc, fd, first, entry->d_name, err) < 0)
			return -1;
	return errno ? thump_fail_errno(err, "read folder %s of chunks", name) : 0;
}

static int look_at_chunks(struct gc *gc, struct thump_err *err)
{
	auto_free char *folder = NULL;
	auto_closedir DIR *dir = NULL;
	const struct dirent *entry;

	if (open_folder(gc, STORE_CHUNKS, &folder, &dir, err) < 0)
		return -1;
	while (errno = 0, (entry = readdir(dir)))
		if (look_at_folder(gc, dirfd(dir), entry->d_name, err) < 0)
			return -1;
	return errno ? thump_fail_errno(err, "read %s", folder) : 0;
}

/* ---- both --------------------------------------------------------------------------------------
 */

static int collect(struct gc *gc, struct thump_err *err)
{
	if (look_at_kept(gc, err) < 0 || look_at_images(gc, err) < 0)
		return -1;
	if (gc->nr_hashes)
		qsort(gc->hashes, gc->nr_hashes, PACK_HASH_SIZE, compare_hashes);
	/* That images were removed must be as durable as that their chunks are. */
	if (!gc->options->dry_run && syncfs(gc->store.fd) < 0)
		return thump_fail_errno(err, "sync");
	return look_at_chunks(gc, err);
}

int thump_gc(const char *path, const struct thump_gc_options *options,
	     struct thump_gc_stats *stats_ret, struct thump_err *err)
{
	struct gc gc = { .options = options };
	int failed;

	if (pack_store_open(path, PACK_STORE_REMOVE, &gc.store, err) < 0)
		return -1;
	failed = collect(&gc, err);
	pack_store_close(&gc.store);
	free(gc.hashes);
	if (failed)
		return thump_add_context(err, "chunk store %s", path);
	*stats_ret = gc.stats;
	return 0;
}
