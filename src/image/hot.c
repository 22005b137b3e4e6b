/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of hot memory beside an image that has none in it: FILE.hot, docs/FORMAT.md. It names the
 * image by its seal. It is input like any other, and no more than a hint: one that breaks a rule is
 * as good as none.
 */
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "image/beside.h"
#include "image/encode.h"
#include "image/hash.h"
#include "image/read.h"
#include "image/rules.h"

#define SUFFIX	  ".hot"
#define VERSION	  1u
#define MAX_BYTES ((size_t)1 << 20)

static const unsigned char magic[8] = { 0x89, 't', 'h', 'u', 'm', 'p', 'h', 't' };

int thump_image_save_hot(const struct thump_image *image, const struct thump_hot *hot,
			 struct thump_err *err)
{
	auto_buf struct thump_buf buf = THUMP_BUF_INIT;

	if (image_check_hot(hot, err) < 0)
		return -1;
	thump_buf_put(&buf, magic, sizeof(magic));
	thump_buf_put_u64(&buf, VERSION);
	thump_buf_put_u64(&buf, image->size_bytes);
	thump_buf_put_u64(&buf, image->seal);
	image_put_hot(&buf, hot);
	if (!buf.failed)
		thump_buf_put_u64(&buf, image_hash(buf.bytes, buf.size_bytes));
	if (buf.failed)
		return thump_fail(err, "out of memory");
	if (buf.size_bytes > MAX_BYTES)
		return thump_refuse(err, "a table of %zu bytes is too big", buf.size_bytes);
	return image_beside_write(image, SUFFIX, buf.bytes, buf.size_bytes, false, err);
}

static int check_hash(const unsigned char *bytes, size_t size_bytes, struct thump_err *err)
{
	struct thump_reader r;

	if (size_bytes < sizeof(uint64_t))
		return thump_damaged(err, "the file ends too early");
	r = thump_reader_of(bytes + size_bytes - sizeof(uint64_t), sizeof(uint64_t));
	if (thump_get_u64(&r) != image_hash(bytes, size_bytes - sizeof(uint64_t)))
		return thump_damaged(err, "the checksum is wrong");
	return 0;
}

int image_decode_hot_file(const struct thump_image *image, const void *bytes, size_t size_bytes,
			  struct thump_arena *arena, struct thump_hot *hot_ret,
			  struct thump_err *err)
{
	struct thump_hot hot = { 0 };
	struct thump_reader r;
	const void *found;

	if (check_hash(bytes, size_bytes, err) < 0)
		return -1;
	r = thump_reader_of(bytes, size_bytes - sizeof(uint64_t));
	found = thump_get_bytes(&r, sizeof(magic));
	if (!found || memcmp(found, magic, sizeof(magic)) != 0 || thump_get_u64(&r) != VERSION)
		return thump_damaged(err, "this is no table of hot memory");
	if (thump_get_u64(&r) != image->size_bytes || thump_get_u64(&r) != image->seal)
		return thump_damaged(err, "the table is of another image");
	image_get_hot(&r, arena, &hot);
	if (thump_reader_done(&r, "table of hot memory", err) < 0 || image_check_hot(&hot, err) < 0)
		return -1;
	*hot_ret = hot;
	return 0;
}

bool thump_image_load_hot(struct thump_image *image)
{
	auto_close int fd = -1;
	auto_free unsigned char *bytes = NULL;
	struct thump_err ignored;
	struct stat st;

	if (thump_image_has_hot(image))
		return false;
	fd = image_beside_open(image, SUFFIX);
	if (fd < 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_size > MAX_BYTES)
		return false;
	bytes = malloc((size_t)st.st_size + 1);
	return bytes && thump_read_full(fd, bytes, (size_t)st.st_size) == 0 &&
	       image_decode_hot_file(image, bytes, (size_t)st.st_size, &image->model.arena,
				     &image->model.hot, &ignored) == 0;
}

bool thump_image_has_hot(const struct thump_image *image)
{
	return image->model.hot.nr_written > 0 || image->model.hot.nr_read > 0;
}
