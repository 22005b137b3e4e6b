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
#include "pack/cut.h"
#include "pack/line.h"
#include "pack/signature.h"
#include "pack/store.h"

struct packing {
	struct pack_head head;
	struct thump_buf keys; /* KEYS */
	struct pack_cipher *cipher;
	const struct thump_pack_options *options;
	struct pack_line line;
};

/* ---- the file ------------------------------------------------------------------------------ */

static int write_front(struct packing *packing, struct thump_err *err)
{
	auto_buf struct thump_buf buf = THUMP_BUF_INIT;
	unsigned char digest[PACK_HASH_SIZE];

	packing->head.data_size = packing->line.data_size;
	pack_head_encode(&buf, &packing->head);
	thump_buf_put(&buf, packing->keys.bytes, packing->keys.size_bytes);
	pack_table_encode(&buf, packing->line.chunks, packing->line.nr_chunks);
	if (!buf.failed)
		(void)crypto_generichash(digest, sizeof(digest), buf.bytes, buf.size_bytes, NULL,
					 0);
	thump_buf_put(&buf, digest, sizeof(digest));
	pack_signatures_encode(&buf, packing->options->keys, digest);
	if (buf.failed) {
		errno = ENOMEM;
		return thump_fail_errno(err, "memory for the table of chunks");
	}
	if (thump_pwrite_full(packing->line.fd, buf.bytes, buf.size_bytes, 0) < 0)
		return thump_fail_errno(err, "write");
	return 0;
}

static int note_store(struct packing *packing, struct thump_err *err)
{
	auto_free char *note = NULL;

	if (pack_store_note(packing->line.store, packing->options->path, &note, err) < 0)
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
	if (pack_cut(packing->line.image, &packing->line.chunks, &packing->line.nr_chunks, err) < 0)
		return -1;
	packing->head = (struct pack_head){
		.version = PACK_VERSION,
		.raw_size = thump_image_size(packing->line.image),
		.raw_meta_offset = thump_image_parts(packing->line.image).meta,
		.nr_chunks = packing->line.nr_chunks,
	};
	if (thump_keys_encrypt(packing->options->keys) &&
	    pack_cipher_create(packing->options->keys, packing->options->cipher, &packing->head,
			       &packing->keys, &packing->cipher, err) < 0)
		return -1;
	if (packing->line.store && note_store(packing, err) < 0)
		return -1;
	if (packing->keys.failed) {
		errno = ENOMEM;
		return thump_fail_errno(err, "memory for keys");
	}
	packing->line.data_offset = PACK_HEAD_SIZE + packing->keys.size_bytes +
				    (uint64_t)packing->line.nr_chunks * PACK_ENTRY_SIZE +
				    PACK_HASH_SIZE + pack_signatures_size(packing->options->keys);
	packing->line.cipher = packing->cipher;
	return 0;
}

static void sum_up(const struct packing *packing, struct thump_pack_stats *stats_ret)
{
	*stats_ret = (struct thump_pack_stats){
		.raw_bytes = thump_image_size(packing->line.image),
		.file_bytes = packing->line.data_offset +
			      (packing->line.store ? 0 : packing->line.data_size),
		.nr_chunks = packing->line.nr_chunks,
		.stored_bytes = packing->line.data_size,
		.new_bytes = packing->line.new_bytes,
		.nr_new = packing->line.nr_new,
	};
	for (uint32_t i = 0; i < packing->line.nr_chunks; i++) {
		if (packing->line.chunks[i].form == PACK_ZEROS)
			stats_ret->zero_bytes += packing->line.chunks[i].raw_size;
		if (packing->line.chunks[i].form == PACK_SAME)
			stats_ret->same_bytes += packing->line.chunks[i].raw_size;
		stats_ret->nr_stored += packing->line.chunks[i].stored_size != 0;
	}
}

static int pack_into(struct thump_image *image, const struct thump_pack_options *options, int fd,
		     const struct pack_store *store, struct thump_pack_stats *stats_ret,
		     struct thump_err *err)
{
	struct packing packing = {
		.options = options,
		.line = { .image = image, .options = options, .fd = fd, .store = store },
	};
	int failed = prepare(&packing, err);

	if (!failed)
		failed = pack_line_run(&packing.line, err);
	if (!failed)
		failed = write_front(&packing, err);
	if (!failed)
		sum_up(&packing, stats_ret);
	pack_cipher_destroy(packing.cipher);
	thump_buf_deinit(&packing.keys);
	free(packing.line.chunks);
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
