/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing. The size of all that stands in front of the data follows from the number of chunks, so
 * that data is written as it comes and the table, which comes first, last.
 */
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "image/tempfile.h"
#include "pack/codec.h"
#include "pack/cut.h"
#include "pack/signature.h"
#include "pack/store.h"
#include "pack/team.h"

struct packing {
	struct pack_head head;
	struct thump_buf keys; /* KEYS */
	struct pack_cipher *cipher;
	struct thump_image *image;
	const struct thump_pack_options *options;
	int fd;
	const struct pack_store *store; /* NULL: data is in the file */
	struct pack_chunk *chunks;
	uint32_t nr_chunks;
	uint64_t data_offset; /* in the file */
	/* chunk index + 1 by hash of what is stored; 0: free */
	uint32_t *known;
	size_t known_room; /* a power of two */
	pthread_t caller;
	struct pack_team team;
	/* under its lock */
	uint32_t nr_taken, nr_placed;
	uint64_t data_size;
	uint32_t nr_new; /* in the store */
	uint64_t new_bytes;
};

/* ---- in the order of the table ----------------------------------------------------------- */

/* Stored alike: the first chunk that is; else this one becomes known. */
static uint32_t find_same(struct packing *packing, uint32_t index)
{
	const struct pack_chunk *chunk = &packing->chunks[index];
	size_t slot;

	memcpy(&slot, chunk->hash, sizeof(slot));
	for (;; slot++) {
		uint32_t *known = &packing->known[slot & (packing->known_room - 1)];
		const struct pack_chunk *other = &packing->chunks[*known ? *known - 1 : 0];

		if (*known == 0) {
			*known = index + 1;
			return index;
		}
		if (other->form == chunk->form && other->raw_size == chunk->raw_size &&
		    memcmp(other->hash, chunk->hash, sizeof(chunk->hash)) == 0)
			return *known - 1;
	}
}

static void become_same(struct pack_chunk *chunk, uint32_t index)
{
	chunk->form = PACK_SAME;
	chunk->same = index;
	chunk->stored_size = 0;
	memset(chunk->hash, 0, sizeof(chunk->hash));
}

/* Waits until all chunks before this one have their place, and gives it its own. */
static bool place(struct packing *packing, uint32_t index, uint64_t *offset_ret)
{
	struct pack_chunk *chunk = &packing->chunks[index];
	struct pack_team *team = &packing->team;
	bool failed;

	pthread_mutex_lock(&team->lock);
	while (packing->nr_placed != index && !team->failed)
		pthread_cond_wait(&team->changed, &team->lock);
	failed = team->failed;
	if (!failed) {
		uint32_t same = chunk->form == PACK_ZEROS || packing->cipher
					? index
					: find_same(packing, index);

		if (same != index)
			become_same(chunk, same);
		*offset_ret = packing->data_offset + packing->data_size;
		packing->data_size += chunk->stored_size;
		packing->nr_placed++;
		pthread_cond_broadcast(&team->changed);
	}
	pthread_mutex_unlock(&team->lock);
	return !failed;
}

static bool take(struct packing *packing, uint32_t *index_ret)
{
	bool more;

	pthread_mutex_lock(&packing->team.lock);
	more = packing->nr_taken < packing->nr_chunks && !packing->team.failed;
	if (more)
		*index_ret = packing->nr_taken++;
	pthread_mutex_unlock(&packing->team.lock);
	return more;
}

/* ---- one chunk ---------------------------------------------------------------------------- */

/* Content is checked: what is packed damaged would look whole for ever. The rest was, by its
 * seal. */
static int read_chunk(struct packing *packing, const struct pack_chunk *chunk, unsigned char *raw,
		      struct thump_err *err)
{
	const struct thump_image_parts parts = thump_image_parts(packing->image);

	if (chunk->raw_offset >= parts.memory && chunk->raw_offset < parts.meta &&
	    thump_image_verify_range(packing->image, chunk->raw_offset, chunk->raw_size, err) < 0)
		return -1;
	if (thump_pread_full(thump_image_fd(packing->image), raw, chunk->raw_size,
			     chunk->raw_offset) < 0)
		return thump_fail_errno(err, "read the image at %#" PRIx64, chunk->raw_offset);
	return 0;
}

static int put_in_store(struct packing *packing, const struct pack_chunk *chunk,
			const unsigned char *stored, struct thump_err *err)
{
	bool new;

	if (pack_store_put(packing->store, chunk, stored, &new, err) < 0)
		return -1;
	if (!new)
		return 0;
	pthread_mutex_lock(&packing->team.lock);
	packing->nr_new++;
	packing->new_bytes += chunk->stored_size;
	pthread_mutex_unlock(&packing->team.lock);
	return 0;
}

static int pack_chunk(struct packing *packing, struct pack_bench *bench, uint32_t index,
		      struct thump_err *err)
{
	struct pack_chunk *chunk = &packing->chunks[index];
	const unsigned char *stored;
	uint64_t offset;

	if (read_chunk(packing, chunk, bench->raw, err) < 0 ||
	    pack_encode(bench->coder, chunk, index, bench->raw, bench->stored, &stored, err) < 0)
		return -1;
	if (!place(packing, index, &offset))
		return 0;
	if (packing->store && chunk->stored_size)
		return put_in_store(packing, chunk, stored, err);
	if (chunk->stored_size &&
	    thump_pwrite_full(packing->fd, stored, chunk->stored_size, offset) < 0)
		return thump_fail_errno(err, "write");
	return 0;
}

static int pack_chunks(void *ctx, struct thump_err *err)
{
	struct packing *packing = ctx;
	const struct thump_pack_options *options = packing->options;
	struct pack_bench bench;
	uint32_t index;
	struct pack_coder *coder;
	int failed = 0;

	if (pack_coder_create(&options->compression, packing->cipher, &coder, err) < 0 ||
	    pack_bench_init(&bench, coder, err) < 0)
		return -1;
	while (!failed && take(packing, &index)) {
		failed = pack_chunk(packing, &bench, index, err);
		if (options->progress && pthread_equal(pthread_self(), packing->caller))
			options->progress(options->progress_ctx, packing->chunks[index].raw_offset,
					  thump_image_size(packing->image));
	}
	pack_bench_deinit(&bench);
	return failed;
}

/* ---- the file ------------------------------------------------------------------------------ */

static int write_front(struct packing *packing, struct thump_err *err)
{
	auto_buf struct thump_buf buf = THUMP_BUF_INIT;
	unsigned char digest[PACK_HASH_SIZE];

	packing->head.data_size = packing->data_size;
	pack_head_encode(&buf, &packing->head);
	thump_buf_put(&buf, packing->keys.bytes, packing->keys.size_bytes);
	pack_table_encode(&buf, packing->chunks, packing->nr_chunks);
	if (!buf.failed)
		(void)crypto_generichash(digest, sizeof(digest), buf.bytes, buf.size_bytes, NULL,
					 0);
	thump_buf_put(&buf, digest, sizeof(digest));
	pack_signatures_encode(&buf, packing->options->keys, digest);
	if (buf.failed) {
		errno = ENOMEM;
		return thump_fail_errno(err, "memory for the table of chunks");
	}
	if (thump_pwrite_full(packing->fd, buf.bytes, buf.size_bytes, 0) < 0)
		return thump_fail_errno(err, "write");
	return 0;
}

static int note_store(struct packing *packing, struct thump_err *err)
{
	auto_free char *note = NULL;

	if (pack_store_note(packing->store, packing->options->path, &note, err) < 0)
		return -1;
	pack_store_note_encode(&packing->keys, note);
	packing->head.flags |= PACK_APART;
	packing->head.keys_size = (uint32_t)packing->keys.size_bytes;
	return 0;
}

static int prepare(struct packing *packing, struct thump_err *err)
{
	if (sodium_init() < 0)
		return thump_fail(err, "libsodium cannot be used here");
	if (pack_cut(packing->image, &packing->chunks, &packing->nr_chunks, err) < 0)
		return -1;
	packing->head = (struct pack_head){
		.version = PACK_VERSION,
		.raw_size = thump_image_size(packing->image),
		.raw_meta_offset = thump_image_parts(packing->image).meta,
		.nr_chunks = packing->nr_chunks,
	};
	if (thump_keys_encrypt(packing->options->keys) &&
	    pack_cipher_create(packing->options->keys, packing->options->cipher, &packing->head,
			       &packing->keys, &packing->cipher, err) < 0)
		return -1;
	if (packing->store && note_store(packing, err) < 0)
		return -1;
	if (packing->keys.failed) {
		errno = ENOMEM;
		return thump_fail_errno(err, "memory for keys");
	}
	packing->data_offset = PACK_HEAD_SIZE + packing->keys.size_bytes +
			       (uint64_t)packing->nr_chunks * PACK_ENTRY_SIZE + PACK_HASH_SIZE +
			       pack_signatures_size(packing->options->keys);
	/* At most half full, so that searches end soon. */
	packing->known_room = 16;
	while (packing->known_room < 2 * (size_t)packing->nr_chunks)
		packing->known_room *= 2;
	packing->known = calloc(packing->known_room, sizeof(*packing->known));
	return packing->known ? 0 : thump_fail_errno(err, "memory to find chunks again");
}

static void sum_up(const struct packing *packing, struct thump_pack_stats *stats_ret)
{
	*stats_ret = (struct thump_pack_stats){
		.raw_bytes = thump_image_size(packing->image),
		.file_bytes = packing->data_offset + (packing->store ? 0 : packing->data_size),
		.nr_chunks = packing->nr_chunks,
		.stored_bytes = packing->data_size,
		.new_bytes = packing->new_bytes,
		.nr_new = packing->nr_new,
	};
	for (uint32_t i = 0; i < packing->nr_chunks; i++) {
		if (packing->chunks[i].form == PACK_ZEROS)
			stats_ret->zero_bytes += packing->chunks[i].raw_size;
		if (packing->chunks[i].form == PACK_SAME)
			stats_ret->same_bytes += packing->chunks[i].raw_size;
		stats_ret->nr_stored += packing->chunks[i].stored_size != 0;
	}
}

static int pack_into(struct thump_image *image, const struct thump_pack_options *options, int fd,
		     const struct pack_store *store, struct thump_pack_stats *stats_ret,
		     struct thump_err *err)
{
	struct packing packing = { .image = image,
				   .options = options,
				   .fd = fd,
				   .store = store,
				   .caller = pthread_self() };
	int failed = prepare(&packing, err);

	if (!failed)
		failed =
			pack_team_run(&packing.team, packing.nr_chunks, pack_chunks, &packing, err);
	if (!failed)
		failed = write_front(&packing, err);
	if (!failed)
		sum_up(&packing, stats_ret);
	pack_cipher_destroy(packing.cipher);
	thump_buf_deinit(&packing.keys);
	free(packing.chunks);
	free(packing.known);
	return failed;
}

static int open_store(const struct thump_pack_options *options, struct pack_store *store,
		      struct thump_err *err)
{
	/* The same content never is the same chunk, under one key or the other: nothing would ever
	 * be shared, and who reads the store would see what is in which image. */
	if (thump_keys_encrypt(options->keys))
		return thump_refuse(err, "an encrypted image cannot be in a chunk store: what is "
					 "the same in two images is not the same once it is "
					 "encrypted, so nothing would be shared");
	return pack_store_open(options->store, PACK_STORE_ADD, store, err);
}

/* All is there but the name. */
static int finish(struct image_tempfile *file, const struct thump_pack_options *options,
		  const struct pack_store *store, struct thump_err *err)
{
	/* The mode is as asked for, whatever the umask. */
	if (fchmod(file->fd, options->mode ? options->mode : 0400) < 0 || fsync(file->fd) < 0)
		return thump_fail_errno(err, "finish the file");
	if (options->before_commit && options->before_commit(options->before_commit_ctx, err) < 0)
		return -1;
	return store ? pack_store_commit(store, file, err) : image_tempfile_commit(file, true, err);
}

int thump_pack(struct thump_image *image, const struct thump_pack_options *options,
	       struct thump_pack_stats *stats_ret, struct thump_err *err)
{
	struct image_tempfile file = IMAGE_TEMPFILE_INIT;
	struct pack_store opened = PACK_STORE_INIT, *store = options->store ? &opened : NULL;
	int failed = store ? open_store(options, store, err) : 0;

	if (!failed)
		failed = image_tempfile_create(options->path, &file, err);
	if (!failed && store)
		failed = pack_store_enter(store, &file, err);
	if (!failed)
		failed = pack_into(image, options, file.fd, store, stats_ret, err);
	if (!failed)
		failed = finish(&file, options, store, err);
	if (failed && store)
		pack_store_leave(store, &file);
	image_tempfile_deinit(&file);
	pack_store_close(&opened);
	return failed ? thump_add_context(err, "packed image %s", options->path) : 0;
}
