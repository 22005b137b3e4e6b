/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing: the same packed image with more signatures. Nobody signs what he has not seen whole:
 * data is checked against the table as it is copied.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "image/tempfile.h"
#include "pack/keyring.h"
#include "pack/codec.h"
#include "pack/read.h"

static bool signed_by_same(const struct pack_front *front, const struct pack_signature *signature)
{
	for (uint32_t i = 0; i < front->nr_signatures; i++)
		if (memcmp(front->signatures[i].key, signature->key, sizeof(signature->key)) == 0)
			return true;
	return false;
}

/* Twice by one key is once. */
static int add_signatures(struct pack_front *front, const struct thump_keys *keys,
			  struct thump_err *err)
{
	for (uint32_t i = 0; i < keys->count[THUMP_KEY_SIGN]; i++) {
		struct pack_signature signature;

		pack_signature_make(keys, i, front->digest, &signature);
		if (signed_by_same(front, &signature))
			continue;
		if (front->nr_signatures == PACK_MAX_SIGNED)
			return thump_refuse(err,
					    "it has %u signatures, and there is room for "
					    "no more",
					    PACK_MAX_SIGNED);
		front->signatures[front->nr_signatures++] = signature;
		front->size_bytes += PACK_SIGN_SIZE;
	}
	return 0;
}

static int write_front(const struct pack_front *front, int fd, struct thump_err *err)
{
	auto_buf struct thump_buf buf = THUMP_BUF_INIT;

	pack_head_encode(&buf, &front->head);
	thump_buf_put(&buf, front->bytes, (size_t)(front->digest - front->bytes) + PACK_HASH_SIZE);
	thump_buf_put_u32(&buf, front->nr_signatures);
	for (uint32_t i = 0; i < front->nr_signatures; i++)
		pack_signature_put(&buf, &front->signatures[i]);
	if (buf.failed) {
		errno = ENOMEM;
		return thump_fail_errno(err, "memory for the table of chunks");
	}
	if (thump_write_full(fd, buf.bytes, buf.size_bytes) < 0)
		return thump_fail_errno(err, "write");
	return 0;
}

static int read_chunk(const struct pack_coming *coming, const struct pack_front *front,
		      uint32_t index, unsigned char *bytes, struct thump_err *err)
{
	const struct pack_chunk *chunk = &front->chunks[index];

	if (front->note)
		return pack_store_get(&front->store, chunk, bytes, err);
	if (pack_coming_read(coming->fd, bytes, chunk->stored_size, err) < 0)
		return -1;
	return pack_check_hash(chunk, bytes, err) < 0 ? thump_add_context(err, "chunk %u", index)
						      : 0;
}

static int copy_data(const struct pack_coming *coming, const struct pack_front *front, int fd,
		     struct thump_err *err)
{
	auto_free unsigned char *bytes = malloc(PACK_CHUNK_BYTES + PACK_SEAL_SIZE);

	if (!bytes)
		return thump_fail_errno(err, "memory for chunks");
	for (uint32_t i = 0; i < front->head.nr_chunks; i++) {
		const struct pack_chunk *chunk = &front->chunks[i];

		if (chunk->stored_size == 0)
			continue;
		if (read_chunk(coming, front, i, bytes, err) < 0)
			return thump_add_context(err, "image %s", coming->name);
		if (!front->note && thump_write_full(fd, bytes, chunk->stored_size) < 0)
			return thump_fail_errno(err, "write");
	}
	return 0;
}

/* What it says of the way to its store is signed, and must be true of `to`, too. */
static int check_way(const struct pack_store *store, const char *path, const char *to,
		     struct thump_err *err)
{
	struct pack_store from_there = PACK_STORE_INIT;
	int found = pack_store_open(path, PACK_STORE_READ, &from_there, err);
	bool same = found == 0 && pack_store_is_same(store, &from_there);

	pack_store_close(&from_there);
	if (same)
		return 0;
	return thump_fail(err, "%s would not find its chunks: it must be in the same folder", to);
}

/* The one that `to` finds becomes the store of `front`, locked for who adds. */
static int find_store(const struct pack_coming *coming, const char *to, struct pack_front *front,
		      struct thump_err *err)
{
	auto_free char *path = NULL;

	if (!front->note)
		return 0;
	if (pack_store_find(front->note, to, &path, err) < 0 ||
	    pack_front_find_store(front, coming, NULL, err) < 0 ||
	    check_way(&front->store, path, to, err) < 0)
		return -1;
	pack_store_close(&front->store);
	return pack_store_open(path, PACK_STORE_ADD, &front->store, err);
}

static int sign_into(const struct pack_coming *coming, struct pack_front *front,
		     const struct thump_keys *keys, struct image_tempfile *file, mode_t mode,
		     struct thump_err *err)
{
	if (add_signatures(front, keys, err) < 0 || write_front(front, file->fd, err) < 0 ||
	    copy_data(coming, front, file->fd, err) < 0)
		return -1;
	if (fchmod(file->fd, mode ? mode : 0400) < 0 || fsync(file->fd) < 0)
		return thump_fail_errno(err, "finish the file");
	return front->note ? pack_store_commit(&front->store, file, err)
			   : image_tempfile_commit(file, true, err);
}

static int read_packed(struct pack_coming *coming, struct pack_front *front_ret,
		       struct thump_err *err)
{
	if (!pack_coming_is_packed(coming))
		return thump_damaged(err, "not a packed image: only these can be signed "
					  "(thump pack --sign)");
	if (pack_coming_begin(coming, err) < 0)
		return -1;
	return pack_front_read(&coming->stream, NULL, front_ret, err);
}

static int write_signed(const struct pack_coming *coming, struct pack_front *front,
			const struct thump_keys *keys, const char *to, mode_t mode,
			struct thump_err *err)
{
	struct image_tempfile file = IMAGE_TEMPFILE_INIT;
	int failed = image_tempfile_create(to, &file, err);

	if (!failed && front->note)
		failed = pack_store_enter(&front->store, &file, err);
	if (!failed)
		failed = sign_into(coming, front, keys, &file, mode, err);
	if (failed && front->note)
		pack_store_leave(&front->store, &file);
	image_tempfile_deinit(&file);
	return failed ? thump_add_context(err, "signed image %s", to) : 0;
}

int thump_sign(const char *path, const char *to, mode_t mode, const struct thump_keys *keys,
	       struct thump_packed_info *info_ret, struct thump_err *err)
{
	struct pack_front front = PACK_FRONT_INIT;
	struct pack_coming coming;
	int failed;

	if (pack_coming_open(path, &coming, err) < 0)
		return -1;
	failed = read_packed(&coming, &front, err);
	if (!failed)
		failed = find_store(&coming, to, &front, err);
	if (failed)
		(void)thump_add_context(err, "image %s", coming.name);
	else
		failed = write_signed(&coming, &front, keys, to, mode, err);
	if (!failed)
		*info_ret = pack_front_info(&front);
	pack_front_deinit(&front);
	pack_coming_close(&coming);
	return failed;
}
