/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums of content, and content of backings, which is checked before it is given out. */
#include <endian.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/thread.h"
#include "image/hash.h"
#include "image/read.h"

/* On the stack of who checks. */
#define PIECE_BYTES ((size_t)64 << 10)

struct verify {
	struct thump_image *image;
	atomic_uint_fast64_t next_chunk, done_bytes;
	atomic_bool failed;
	pthread_mutex_t lock; /* of the first error */
	struct thump_err *err;
	thump_progress_fn progress;
	void *progress_ctx;
};

static uint64_t chunk_start(uint64_t index)
{
	return IMG_DATA_OFFSET + index * IMG_CHUNK_SIZE;
}

static size_t chunk_size(const struct thump_image *image, uint64_t index)
{
	return thump_min_u64(IMG_CHUNK_SIZE, image->zero_end - chunk_start(index));
}

/* For messages: the memory of the first extent that has bytes in the chunk. */
static bool chunk_address(const struct thump_image *image, uint64_t index, uint64_t *address_ret)
{
	uint64_t start = chunk_start(index), end = start + chunk_size(image, index);

	for (uint32_t i = 0; i < image->model.nr_vmas; i++) {
		const struct thump_vma *vma = &image->model.vmas[i];

		for (uint32_t k = 0; k < vma->nr_extents; k++) {
			const struct thump_extent *e = &vma->extents[k];
			uint64_t e_end = e->file_offset + (e->end - e->start);

			if (e->file_offset >= end || e_end <= start)
				continue;
			*address_ret = e->start;
			if (start > e->file_offset)
				*address_ret += start - e->file_offset;
			return true;
		}
	}
	return false;
}

static int chunk_damaged(const struct thump_image *image, uint64_t index, struct thump_err *err)
{
	uint64_t start = chunk_start(index), address = 0;

	if (chunk_address(image, index, &address))
		return thump_damaged(err,
				     "bytes %#" PRIx64 " to %#" PRIx64
				     " do not match their checksum (memory from %" PRIx64 " on)",
				     start, start + chunk_size(image, index), address);
	return thump_damaged(err, "bytes %#" PRIx64 " to %#" PRIx64 " do not match their checksum",
			     start, start + chunk_size(image, index));
}

static int check_sum(const struct thump_image *image, uint64_t index,
		     const struct image_hasher *hasher, struct thump_err *err)
{
	uint64_t expected;

	memcpy(&expected, image->checksums + index * sizeof(expected), sizeof(expected));
	if (image_hasher_result(hasher) != le64toh(expected))
		return chunk_damaged(image, index, err);
	return 0;
}

/* What of a piece of the file lies in the zero block holds zeros. */
static int check_zero_block(const struct thump_image *image, uint64_t start,
			    const unsigned char *bytes, size_t size, struct thump_err *err)
{
	size_t at = start < image->debug_end ? thump_min_u64(size, image->debug_end - start) : 0;

	/* All are zero when the first is, and each is as the one before it. */
	if (at == size || (!bytes[at] && memcmp(bytes + at, bytes + at + 1, size - at - 1) == 0))
		return 0;
	while (!bytes[at])
		at++;
	return thump_damaged(err, "the zero block is not zero at %#" PRIx64, start + at);
}

static int read_piece(const struct thump_image *image, uint64_t at, unsigned char *buf, size_t size,
		      struct thump_err *err)
{
	if (thump_pread_full(image->fd, buf, size, at) == 0)
		return 0;
	if (errno == ENODATA)
		return thump_damaged(err, "the file was cut short");
	return thump_fail_errno(err, "read at %#" PRIx64, at);
}

/*
 * Piece by piece, so that what was just read is hashed while it is in the cache, and the buffer
 * is no more than that: a fresh page costs more than the reading into it.
 */
static int check_chunk(struct thump_image *image, uint64_t index, struct thump_err *err)
{
	uint64_t at = chunk_start(index), end = at + chunk_size(image, index);
	unsigned char buf[PIECE_BYTES];
	struct image_hasher hasher;
	struct thump_err not_zero = THUMP_ERR_INIT;

	if (thump_image_fetch(image, at, end - at, err) < 0)
		return -1;
	image_hasher_init(&hasher);
	for (size_t size; at < end; at += size) {
		size = thump_min_u64(sizeof(buf), end - at);
		if (read_piece(image, at, buf, size, err) < 0)
			return -1;
		image_hasher_add(&hasher, buf, size);
		if (not_zero.code == THUMP_OK)
			(void)check_zero_block(image, at, buf, size, &not_zero);
	}
	if (check_sum(image, index, &hasher, err) < 0)
		return -1;
	if (not_zero.code != THUMP_OK) {
		*err = not_zero;
		return -1;
	}
	__atomic_store_n(&image->chunk_good[index], 1, __ATOMIC_RELEASE);
	return 0;
}

static void note_failure(struct verify *verify, const struct thump_err *err)
{
	pthread_mutex_lock(&verify->lock);
	if (!atomic_exchange(&verify->failed, true))
		*verify->err = *err;
	pthread_mutex_unlock(&verify->lock);
}

/* Takes chunks until none is left; both threads run this, only the caller's shows progress. */
static void take_chunks(struct verify *verify, thump_progress_fn progress)
{
	struct thump_image *image = verify->image;
	struct thump_err err = THUMP_ERR_INIT;

	while (!atomic_load(&verify->failed)) {
		uint64_t index = atomic_fetch_add(&verify->next_chunk, 1), done;

		if (index >= image->nr_chunks)
			return;
		if (check_chunk(image, index, &err) < 0) {
			note_failure(verify, &err);
			return;
		}
		done = atomic_fetch_add(&verify->done_bytes, chunk_size(image, index));
		if (progress)
			progress(verify->progress_ctx, done + chunk_size(image, index),
				 image->zero_end - IMG_DATA_OFFSET);
	}
}

static void *take_chunks_beside(void *arg)
{
	take_chunks(arg, NULL);
	return NULL;
}

int thump_image_verify(struct thump_image *image, thump_progress_fn progress, void *progress_ctx,
		       struct thump_err *err)
{
	struct verify verify = { .image = image,
				 .lock = PTHREAD_MUTEX_INITIALIZER,
				 .err = err,
				 .progress_ctx = progress_ctx };
	pthread_t thread;
	bool second;

	/* Without the second thread it only takes longer. */
	second = image->nr_chunks > 1 &&
		 thump_thread_start(&thread, take_chunks_beside, &verify) == 0;
	take_chunks(&verify, progress);
	if (second)
		pthread_join(thread, NULL);
	pthread_mutex_destroy(&verify.lock);
	if (atomic_load(&verify.failed))
		return thump_add_context(err, "image %s", image->name);
	return 0;
}

int thump_image_verify_range(struct thump_image *image, uint64_t file_offset, uint64_t size_bytes,
			     struct thump_err *err)
{
	uint64_t first, last;

	if (size_bytes == 0)
		return 0;
	if (file_offset < IMG_DATA_OFFSET || file_offset > image->zero_end ||
	    size_bytes > image->zero_end - file_offset)
		return thump_fail(err, "image %s: no content at %#" PRIx64, image->name,
				  file_offset);
	first = (file_offset - IMG_DATA_OFFSET) / IMG_CHUNK_SIZE;
	last = (file_offset + size_bytes - 1 - IMG_DATA_OFFSET) / IMG_CHUNK_SIZE;
	for (uint64_t index = first; index <= last; index++) {
		if (__atomic_load_n(&image->chunk_good[index], __ATOMIC_ACQUIRE))
			continue;
		if (check_chunk(image, index, err) < 0)
			return thump_add_context(err, "image %s", image->name);
	}
	return 0;
}

/* ---- content in memory ---------------------------------------------------------------------- */

struct thump_image_checker {
	struct image_hasher hasher; /* of the chunk that is being given */
	struct thump_image *image;
	unsigned char wanted[]; /* [nr_chunks] */
};

int thump_image_checker_create(struct thump_image *image, struct thump_image_checker **checker_ret,
			       struct thump_err *err)
{
	size_t size = sizeof(struct thump_image_checker) + image->nr_chunks;
	struct thump_image_checker *checker;

	size = (size + _Alignof(struct thump_image_checker) - 1) &
	       ~(_Alignof(struct thump_image_checker) - 1);
	checker = aligned_alloc(_Alignof(struct thump_image_checker), size);
	if (!checker)
		return thump_fail_errno(err, "memory to check %" PRIu32 " chunks",
					image->nr_chunks);
	memset(checker, 0, size);
	checker->image = image;
	*checker_ret = checker;
	return 0;
}

void thump_image_checker_destroy(struct thump_image_checker *checker)
{
	free(checker);
}

/* The chunks that have some of these bytes; none: *first_ret == *end_ret. */
static void find_chunks(const struct thump_image *image, uint64_t offset, uint64_t size,
			uint64_t *first_ret, uint64_t *end_ret)
{
	uint64_t from = offset > IMG_DATA_OFFSET ? offset - IMG_DATA_OFFSET : 0;
	uint64_t to = offset + size > IMG_DATA_OFFSET ? offset + size - IMG_DATA_OFFSET : 0;

	*first_ret = thump_min_u64(from / IMG_CHUNK_SIZE, image->nr_chunks);
	*end_ret = thump_min_u64((to + IMG_CHUNK_SIZE - 1) / IMG_CHUNK_SIZE, image->nr_chunks);
}

void thump_image_checker_want(struct thump_image_checker *checker, uint64_t file_offset,
			      uint64_t size_bytes)
{
	uint64_t index, end;

	find_chunks(checker->image, file_offset, size_bytes, &index, &end);
	for (; index < end; index++)
		checker->wanted[index] = 1;
}

bool thump_image_checker_wants(const struct thump_image_checker *checker, uint64_t file_offset,
			       uint64_t size_bytes)
{
	uint64_t index, end;

	find_chunks(checker->image, file_offset, size_bytes, &index, &end);
	for (; index < end; index++)
		if (checker->wanted[index])
			return true;
	return false;
}

/* What of these bytes lies in one chunk. */
static int add_to_chunk(struct thump_image_checker *checker, uint64_t index, uint64_t offset,
			const unsigned char *bytes, size_t size, struct thump_err *err)
{
	const struct thump_image *image = checker->image;

	if (offset == chunk_start(index))
		image_hasher_init(&checker->hasher);
	image_hasher_add(&checker->hasher, bytes, size);
	if (check_zero_block(image, offset, bytes, size, err) < 0)
		return -1;
	if (offset + size < chunk_start(index) + chunk_size(image, index))
		return 0;
	return check_sum(image, index, &checker->hasher, err);
}

int thump_image_checker_add(struct thump_image_checker *checker, uint64_t file_offset,
			    const unsigned char *bytes, size_t size_bytes, struct thump_err *err)
{
	uint64_t index, end;

	find_chunks(checker->image, file_offset, size_bytes, &index, &end);
	for (; index < end; index++) {
		uint64_t from = chunk_start(index), to = from + chunk_size(checker->image, index);

		if (from < file_offset)
			from = file_offset;
		to = thump_min_u64(to, file_offset + size_bytes);
		if (checker->wanted[index] &&
		    add_to_chunk(checker, index, from, bytes + (from - file_offset), to - from,
				 err) < 0)
			return thump_add_context(err, "image %s", checker->image->name);
	}
	return 0;
}

/* ---- content of backings -------------------------------------------------------------------- */

int thump_image_read_backing(struct thump_image *image, uint32_t backing_id, uint64_t offset,
			     void *buf, size_t size_bytes, struct thump_err *err)
{
	const struct thump_backing *backing;

	if (backing_id >= image->model.nr_backings)
		return thump_fail(err, "backing %" PRIu32 " does not exist", backing_id);
	backing = &image->model.backings[backing_id];
	for (uint32_t i = 0; i < backing->nr_extents; i++) {
		const struct thump_extent *e = &backing->extents[i];
		uint64_t at;

		if (offset < e->start || offset >= e->end || size_bytes > e->end - offset)
			continue;
		at = e->file_offset + (offset - e->start);
		if (thump_image_verify_range(image, at, size_bytes, err) < 0)
			return -1;
		if (thump_pread_full(image->fd, buf, size_bytes, at) < 0)
			return thump_fail_errno(err, "image %s: read at %#" PRIx64, image->name,
						at);
		return 0;
	}
	return thump_fail(err, "backing %" PRIu32 ": no extent holds %zu bytes at %#" PRIx64,
			  backing_id, size_bytes, offset);
}
