/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data of a packed image. It is read in order, by one thread at a time; checking and
 * decompressing what was read, which takes longer, is what all threads do at once.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "pack/codec.h"
#include "pack/read.h"
#include "pack/team.h"

struct unpacking {
	struct pack_stream *stream;
	const struct pack_front *front;
	const struct thump_open_options *options;
	int fd;
	bool hashes; /* are checked */
	pthread_t caller;
	struct pack_team team;
	uint32_t next; /* under its lock, which is held while reading, too */
};

static bool is_wanted(const struct unpacking *unpacking, const struct pack_chunk *chunk)
{
	return pack_front_wants(unpacking->front, unpacking->options->extent, chunk);
}

static int read_stored(struct unpacking *unpacking, const struct pack_chunk *chunk,
		       unsigned char *stored, struct thump_err *err)
{
	struct pack_stream *stream = unpacking->stream;

	if (!is_wanted(unpacking, chunk) && stream->seekable) {
		if (lseek(stream->fd, chunk->stored_size, SEEK_CUR) < 0)
			return thump_fail_errno(err, "seek");
		return 0;
	}
	return pack_coming_read(stream->fd, stored, chunk->stored_size, err);
}

/* The next chunk that something is stored of: 1 with its bytes, 0 when there is none. */
static int take(struct unpacking *unpacking, unsigned char *stored, uint32_t *index_ret,
		struct thump_err *err)
{
	const struct pack_front *front = unpacking->front;
	int got = 0;

	pthread_mutex_lock(&unpacking->team.lock);
	while (got == 0 && !unpacking->team.failed && unpacking->next < front->head.nr_chunks) {
		uint32_t index = unpacking->next++;
		const struct pack_chunk *chunk = &front->chunks[index];

		if (chunk->stored_size == 0)
			continue;
		/* A chunk store is read by all threads at once. */
		if (!front->note)
			got = read_stored(unpacking, chunk, stored, err);
		if (got == 0 && is_wanted(unpacking, chunk)) {
			*index_ret = index;
			got = 1;
		}
	}
	/* Others would take what they read for the next chunk, and for damaged. */
	if (got < 0)
		pack_team_fail(&unpacking->team, err);
	pthread_mutex_unlock(&unpacking->team.lock);
	return got;
}

static int unpack_chunk(struct unpacking *unpacking, struct pack_bench *bench, uint32_t index,
			struct thump_err *err)
{
	const struct pack_front *front = unpacking->front;
	const struct pack_chunk *chunk = &front->chunks[index];
	const unsigned char *raw;

	if ((front->note && pack_store_get(&front->store, chunk, bench->stored, err) < 0) ||
	    (unpacking->hashes && pack_check_hash(chunk, bench->stored, err) < 0) ||
	    pack_decode(bench->coder, chunk, index, bench->stored, bench->raw, &raw, err) < 0)
		return thump_add_context(err, "chunk %" PRIu32, index);
	if (thump_pwrite_full(unpacking->fd, raw, chunk->raw_size, chunk->raw_offset) < 0)
		return thump_fail_errno(err, "write what was unpacked");
	return 0;
}

static int unpack_chunks(void *ctx, struct thump_err *err)
{
	struct unpacking *unpacking = ctx;
	const struct thump_open_options *options = unpacking->options;
	struct pack_coder *coder;
	struct pack_bench bench;
	uint32_t index = 0;
	int got;

	if (pack_decoder_create(unpacking->front->cipher, &coder, err) < 0 ||
	    pack_bench_init(&bench, coder, err) < 0)
		return -1;
	while ((got = take(unpacking, bench.stored, &index, err)) > 0) {
		got = unpack_chunk(unpacking, &bench, index, err);
		if (got < 0)
			break;
		if (options->progress && pthread_equal(pthread_self(), unpacking->caller))
			options->progress(options->progress_ctx,
					  unpacking->front->chunks[index].raw_offset,
					  unpacking->front->head.raw_size);
	}
	pack_bench_deinit(&bench);
	return got;
}

/* When what they are the same as is there. */
static int copy_same(const struct unpacking *unpacking, struct thump_err *err)
{
	const struct pack_front *front = unpacking->front;
	auto_free unsigned char *bytes = malloc(PACK_CHUNK_BYTES);

	if (!bytes)
		return thump_fail_errno(err, "memory for chunks");
	for (uint32_t i = 0; i < front->head.nr_chunks; i++) {
		const struct pack_chunk *chunk = &front->chunks[i];

		if (chunk->form != PACK_SAME || !is_wanted(unpacking, chunk))
			continue;
		if (thump_pread_full(unpacking->fd, bytes, chunk->raw_size,
				     front->chunks[chunk->same].raw_offset) < 0 ||
		    thump_pwrite_full(unpacking->fd, bytes, chunk->raw_size, chunk->raw_offset) < 0)
			return thump_fail_errno(err, "copy what was unpacked");
	}
	return 0;
}

static int check_end(const struct unpacking *unpacking, struct thump_err *err)
{
	unsigned char byte;
	ssize_t got;

	do
		got = read(unpacking->stream->fd, &byte, 1);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return thump_fail_errno(err, "read");
	return got == 0 ? 0 : thump_damaged(err, "something follows behind its end");
}

bool pack_checks_hashes(const struct thump_open_options *options)
{
	return !options->checks_content || thump_keys_ask_for_signature(options->keys);
}

int pack_unpack_data(struct pack_stream *stream, const struct pack_front *front,
		     const struct thump_open_options *options, int fd, struct thump_err *err)
{
	struct unpacking unpacking = {
		.stream = stream,
		.front = front,
		.options = options,
		.fd = fd,
		/* What comes out of a store was checked there. */
		.hashes = !front->note && pack_checks_hashes(options),
		.caller = pthread_self(),
	};

	if (ftruncate(fd, (off_t)front->head.raw_size) < 0)
		return thump_fail_errno(err, "make room for %" PRIu64 " bytes",
					front->head.raw_size);
	if (pack_team_run(&unpacking.team, front->head.nr_chunks, unpack_chunks, &unpacking, err) <
		    0 ||
	    copy_same(&unpacking, err) < 0)
		return -1;
	return check_end(&unpacking, err);
}
