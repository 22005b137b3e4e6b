/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and unpacking images, packed or not. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "image/format.h"
#include "image/tempfile.h"
#include "pack/read.h"
#include "proc/available.h"

#define COPY_BYTES ((size_t)1 << 20)

/* ---- into memory --------------------------------------------------------------------------- */

/* Nobody may change it any more, whoever gets hold of it: fcntl(2), file sealing. */
static int seal(int fd, struct thump_err *err)
{
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return thump_fail_errno(err, "seal what was unpacked");
	return 0;
}

/* pack_front_deinit() when it succeeds. */
static int read_front(struct pack_coming *coming, const struct thump_keys *keys,
		      struct pack_front *front_ret, struct thump_err *err)
{
	if (pack_coming_begin(coming, err) < 0)
		return -1;
	return pack_front_read(&coming->stream, keys, front_ret, err);
}

/* Finds what its data is read with: a key, a chunk store. */
static int find_data(const struct pack_coming *coming, const struct thump_open_options *options,
		     struct pack_front *front, struct thump_err *err)
{
	if (pack_front_unlock(front, options->keys, err) < 0)
		return -1;
	return pack_front_find_store(front, coming, options->store, err);
}

static int unpack_into_memory(struct pack_coming *coming, const struct thump_open_options *options,
			      const struct pack_front *front, int fd, struct thump_err *err)
{
	if (pack_memory_check(pack_memory_needed(front, options->extent), thump_memory_available(),
			      err) < 0)
		return -1;
	return pack_unpack_data(&coming->stream, front, options, fd, err);
}

/* The first page says how long the rest may be, and is checked before that is read. */
static int copy_header(const struct pack_coming *coming, int fd, uint64_t *max_bytes_ret,
		       struct thump_err *err)
{
	const size_t nr_ahead = coming->nr_ahead;
	unsigned char page[THUMP_PAGE_SIZE];

	memcpy(page, coming->stream.ahead, nr_ahead);
	if (pack_coming_read(coming->fd, page + nr_ahead, sizeof(page) - nr_ahead, err) < 0 ||
	    thump_image_check_header(page, max_bytes_ret, err) < 0)
		return -1;
	if (thump_write_full(fd, page, sizeof(page)) < 0)
		return thump_fail_errno(err, "write into memory");
	return 0;
}

/* An image that is not packed, from a pipe. */
static int copy_into(const struct pack_coming *coming, int fd, struct thump_err *err)
{
	auto_free unsigned char *bytes = malloc(COPY_BYTES);
	uint64_t have = THUMP_PAGE_SIZE, max_bytes, left = thump_memory_available();
	ssize_t got;

	if (!bytes)
		return thump_fail_errno(err, "memory to read an image");
	if (copy_header(coming, fd, &max_bytes, err) < 0 ||
	    pack_memory_check(max_bytes - IMG_MAX_META, left, err) < 0)
		return -1;
	for (;;) {
		got = read(coming->fd, bytes, COPY_BYTES);
		if (got == 0)
			return 0;
		if (got < 0 && errno != EINTR)
			return thump_fail_errno(err, "read");
		have += got < 0 ? 0 : (uint64_t)got;
		if (have > max_bytes)
			return thump_damaged(err, "something follows behind its end");
		if (pack_memory_check(have, left, err) < 0)
			return -1;
		if (got > 0 && thump_write_full(fd, bytes, (size_t)got) < 0)
			return thump_fail_errno(err, "write into memory");
	}
}

/* HEAD tells where the raw image's own headers are before these are there. */
static int check_meta_offset(const struct thump_image *image, const struct thump_packed_info *info,
			     struct thump_err *err)
{
	if (thump_image_parts(image).meta != info->raw_meta_offset)
		return thump_damaged(err, "raw_meta_offset is not where the program headers are");
	return 0;
}

static int open_unpacked(const struct pack_coming *coming, int fd,
			 const struct thump_packed_info *info, struct thump_image **image_ret,
			 struct thump_err *err)
{
	const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct thump_image *image;

	if (copy < 0)
		return thump_fail_errno(err, "image %s", coming->name);
	if (thump_image_open_unpacked(copy, &coming->origin, coming->name, &image, err) < 0)
		return -1;
	if (info && check_meta_offset(image, info, err) < 0) {
		thump_image_destroy(image);
		return thump_add_context(err, "image %s", coming->name);
	}
	*image_ret = image;
	return 0;
}

static int open_all(struct pack_coming *coming, const struct thump_open_options *options,
		    const struct pack_front *front, int fd, struct thump_image **image_ret,
		    struct thump_err *err)
{
	const struct thump_packed_info info = pack_front_info(front);

	if (unpack_into_memory(coming, options, front, fd, err) < 0 || seal(fd, err) < 0)
		return thump_add_context(err, "image %s", coming->name);
	return open_unpacked(coming, fd, &info, image_ret, err);
}

/* ---- with a supply ----------------------------------------------------------------------------
 */

/* Content of files and shared memory is needed before memory is filled, by a process that is to
 * become another one: it is made before. From so much on all threads had better do it. */
#define MAX_FIRST_BYTES ((uint64_t)8 << 20)

static int supply_image(struct thump_image *image, int fd, const struct thump_open_options *options,
			struct pack_front *front, struct thump_err *err)
{
	const struct thump_image_parts parts = thump_image_parts(image);
	struct thump_supply *supply;

	if (pack_supply_create(fd, pack_checks_hashes(options), front, &supply, err) < 0 ||
	    thump_image_set_supply(image, supply, err) < 0)
		return -1;
	return thump_image_verify_range(image, parts.backings, parts.debug - parts.backings, err);
}

static int open_supplied(struct pack_coming *coming, const struct thump_open_options *options,
			 struct pack_front *front, int fd, struct thump_image **image_ret,
			 struct thump_err *err)
{
	const struct thump_packed_info info = pack_front_info(front);
	struct thump_open_options meta = *options;
	struct thump_image_parts parts;
	struct thump_image *image;

	meta.extent = THUMP_OPEN_META;
	meta.progress = NULL;
	if (unpack_into_memory(coming, &meta, front, fd, err) < 0)
		return thump_add_context(err, "image %s", coming->name);
	if (open_unpacked(coming, fd, &info, &image, err) < 0)
		return -1;
	parts = thump_image_parts(image);
	if (parts.debug - parts.backings > MAX_FIRST_BYTES) {
		thump_image_destroy(image);
		if (lseek(coming->fd, (off_t)front->size_bytes, SEEK_SET) < 0)
			return thump_fail_errno(err, "image %s: seek", coming->name);
		return open_all(coming, options, front, fd, image_ret, err);
	}
	if (supply_image(image, coming->fd, options, front, err) < 0) {
		thump_image_destroy(image);
		return thump_add_context(err, "image %s", coming->name);
	}
	*image_ret = image;
	return 0;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static int open_packed(struct pack_coming *coming, const struct thump_open_options *options, int fd,
		       struct thump_image **image_ret, struct thump_packed_info *info_ret,
		       struct thump_err *err)
{
	const bool takes_supply = options->takes_supply && coming->stream.seekable;
	struct pack_front front;
	int failed;

	if (read_front(coming, options->keys, &front, err) < 0)
		return thump_add_context(err, "image %s", coming->name);
	*info_ret = pack_front_info(&front);
	if (find_data(coming, options, &front, err) < 0)
		failed = thump_add_context(err, "image %s", coming->name);
	else if (takes_supply)
		failed = open_supplied(coming, options, &front, fd, image_ret, err);
	else
		failed = open_all(coming, options, &front, fd, image_ret, err);
	pack_front_deinit(&front);
	return failed;
}

static int open_in_memory(struct pack_coming *coming, const struct thump_open_options *options,
			  struct thump_image **image_ret, struct thump_packed_info *info_ret,
			  struct thump_err *err)
{
	auto_close int fd = memfd_create("thump image", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return thump_fail_errno(err, "memfd_create");
	if (pack_coming_is_packed(coming))
		return open_packed(coming, options, fd, image_ret, info_ret, err);
	if (copy_into(coming, fd, err) < 0 || seal(fd, err) < 0)
		return thump_add_context(err, "image %s", coming->name);
	return open_unpacked(coming, fd, NULL, image_ret, err);
}

int thump_open(const char *path, const struct thump_open_options *options,
	       struct thump_image **image_ret, struct thump_packed_info *info_ret,
	       struct thump_err *err)
{
	struct thump_packed_info info = { 0 };
	struct pack_coming coming;
	int failed;

	if (pack_coming_open(path, &coming, err) < 0)
		return -1;
	/* Wherever it comes from: what has no signature is not the image that is asked for. */
	if (!pack_coming_is_packed(&coming) && pack_signature_not_asked_for(options->keys, err) < 0)
		failed = thump_add_context(err, "image %s", coming.name);
	else if (!coming.stream.seekable || pack_coming_is_packed(&coming))
		failed = open_in_memory(&coming, options, image_ret, &info, err);
	else
		failed = thump_image_open_fd(coming.fd, path, image_ret, err);
	pack_coming_close(&coming);
	if (!failed && info_ret)
		*info_ret = info;
	return failed;
}

/* ---- into a file --------------------------------------------------------------------------- */

/* What comes out must be an image before it gets the name of one. */
static int check_unpacked(int fd, const char *name, const struct thump_packed_info *info,
			  struct thump_err *err)
{
	struct thump_image *image;
	int failed;

	if (thump_image_open_fd(fd, name, &image, err) < 0)
		return -1;
	failed = check_meta_offset(image, info, err);
	thump_image_destroy(image);
	return failed;
}

static int unpack_into_file(struct pack_coming *coming, const struct thump_open_options *options,
			    int fd, struct thump_packed_info *info_ret, struct thump_err *err)
{
	struct pack_front front;
	int failed;

	if (!pack_coming_is_packed(coming))
		return thump_damaged(err, "not a packed image");
	if (read_front(coming, options->keys, &front, err) < 0)
		return -1;
	*info_ret = pack_front_info(&front);
	failed = find_data(coming, options, &front, err);
	if (!failed)
		failed = pack_unpack_data(&coming->stream, &front, options, fd, err);
	pack_front_deinit(&front);
	return failed;
}

static int unpack_file(struct pack_coming *coming, const struct thump_unpack_options *options,
		       struct image_tempfile *file, struct thump_packed_info *info_ret,
		       struct thump_err *err)
{
	const struct thump_open_options all = {
		.extent = THUMP_OPEN_ALL,
		.keys = options->keys,
		.store = options->store,
		.progress = options->progress,
		.progress_ctx = options->progress_ctx,
	};

	if (unpack_into_file(coming, &all, file->fd, info_ret, err) < 0 ||
	    check_unpacked(file->fd, coming->name, info_ret, err) < 0)
		return thump_add_context(err, "image %s", coming->name);
	if (fchmod(file->fd, options->mode ? options->mode : 0400) < 0 || fsync(file->fd) < 0)
		return thump_fail_errno(err, "finish the file");
	return 0;
}

int thump_unpack(const char *path, const struct thump_unpack_options *options,
		 struct thump_packed_info *info_ret, struct thump_err *err)
{
	struct image_tempfile file = IMAGE_TEMPFILE_INIT;
	struct pack_coming coming;
	int failed;

	if (pack_coming_open(path, &coming, err) < 0)
		return -1;
	failed = image_tempfile_create(options->path, &file, err);
	if (!failed)
		failed = unpack_file(&coming, options, &file, info_ret, err);
	if (!failed)
		failed = image_tempfile_commit(&file, true, err);
	if (failed)
		(void)thump_add_context(err, "unpacked image %s", options->path);
	image_tempfile_deinit(&file);
	pack_coming_close(&coming);
	return failed;
}
