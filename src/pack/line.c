/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a chunk begins in the file follows from the sizes of all before it. Who is done with one
 * does not wait for these, but leaves it and makes the next: so there are more batches than
 * threads. Small chunks go together, as what it takes to pass one on does not depend on its size.
 */
#include "pack/line.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "pack/codec.h"

#define BATCH_CHUNKS 256u
#define BATCH_ROOM   (PACK_CHUNK_BYTES + BATCH_CHUNKS * PACK_SEAL_SIZE)

enum batch_state {
	BATCH_FREE,
	BATCH_TAKEN,   /* by a thread, which encodes or writes it */
	BATCH_ENCODED, /* waits for those before it */
	BATCH_PLACED,  /* and is to be written */
};

/* Chunks that follow one another, of PACK_CHUNK_BYTES in all at most. */
struct pack_batch {
	enum batch_state state;
	uint32_t number, first, count;
	uint64_t offset;       /* in the file, once it is placed */
	size_t size_bytes;     /* stored */
	unsigned char *stored; /* BATCH_ROOM */
};

/* ---- in the order of the table ----------------------------------------------------------- */

/* Stored alike: the first chunk that is; else this one becomes known. */
static uint32_t find_same(struct pack_line *line, uint32_t index)
{
	const struct pack_chunk *chunk = &line->chunks[index];
	size_t slot;

	memcpy(&slot, chunk->hash, sizeof(slot));
	for (;; slot++) {
		uint32_t *known = &line->known[slot & (line->known_room - 1)];
		const struct pack_chunk *other = &line->chunks[*known ? *known - 1 : 0];

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

/* What is stored already is left out, and what follows it moves up. */
static void place(struct pack_line *line, struct pack_batch *batch)
{
	const unsigned char *from = batch->stored;
	unsigned char *to = batch->stored;

	for (uint32_t i = batch->first; i < batch->first + batch->count; i++) {
		struct pack_chunk *chunk = &line->chunks[i];
		const size_t size = chunk->stored_size;
		uint32_t same = chunk->form == PACK_ZEROS || line->cipher ? i : find_same(line, i);

		if (same != i)
			become_same(chunk, same);
		if (from != to)
			memmove(to, from, chunk->stored_size);
		from += size;
		to += chunk->stored_size;
	}
	batch->size_bytes = (size_t)(to - batch->stored);
	batch->offset = line->data_offset + line->data_size;
	batch->state = BATCH_PLACED;
	line->data_size += batch->size_bytes;
	line->nr_placed++;
}

static struct pack_batch *find_batch(const struct pack_line *line, enum batch_state state)
{
	for (uint32_t i = 0; i < line->room; i++)
		if (line->batches[i].state == state)
			return &line->batches[i];
	return NULL;
}

static struct pack_batch *next_to_place(const struct pack_line *line)
{
	for (uint32_t i = 0; i < line->room; i++)
		if (line->batches[i].state == BATCH_ENCODED &&
		    line->batches[i].number == line->nr_placed)
			return &line->batches[i];
	return NULL;
}

static void leave(struct pack_line *line, struct pack_batch *batch, enum batch_state state)
{
	pthread_mutex_lock(&line->team.lock);
	batch->state = state;
	while (state == BATCH_ENCODED && (batch = next_to_place(line)) != NULL)
		place(line, batch);
	pthread_cond_broadcast(&line->team.changed);
	pthread_mutex_unlock(&line->team.lock);
}

enum work { DONE, WRITE, ENCODE };

/* The first batch that is not placed is in somebody's hands, who has all that it takes: a thread
 * that waits here for a free one never waits for ever. */
static enum work find_work(struct pack_line *line, struct pack_batch **batch_ret)
{
	struct pack_team *team = &line->team;
	struct pack_batch *batch = NULL;
	enum work work = DONE;

	pthread_mutex_lock(&team->lock);
	while (!team->failed && !batch) {
		batch = find_batch(line, BATCH_PLACED);
		work = WRITE;
		if (!batch && line->all_read)
			break;
		if (!batch) {
			batch = find_batch(line, BATCH_FREE);
			work = ENCODE;
		}
		if (!batch)
			pthread_cond_wait(&team->changed, &team->lock);
	}
	if (batch)
		batch->state = BATCH_TAKEN;
	*batch_ret = batch;
	pthread_mutex_unlock(&team->lock);
	return batch ? work : DONE;
}

/* ---- one batch ---------------------------------------------------------------------------- */

/* Content is checked: what is packed damaged would look whole for ever. The rest was, by its
 * seal. */
static int read_batch(struct pack_line *line, struct pack_batch *batch, unsigned char *raw,
		      struct thump_err *err)
{
	const uint64_t at =
		line->nr_read < line->nr_chunks ? line->chunks[line->nr_read].raw_offset : 0;
	size_t size = 0;

	batch->first = line->nr_read;
	batch->number = line->nr_batches++;
	while (line->nr_read < line->nr_chunks && line->nr_read - batch->first < BATCH_CHUNKS &&
	       size + line->chunks[line->nr_read].raw_size <= PACK_CHUNK_BYTES)
		size += line->chunks[line->nr_read++].raw_size;
	batch->count = line->nr_read - batch->first;
	if (thump_pread_full(thump_image_fd(line->image), raw, size, at) < 0)
		return thump_fail_errno(err, "read the image at %#" PRIx64, at);
	return thump_image_checker_add(line->checker, at, raw, size, err);
}

/* One after the other: disks like that, and checksums do not end where chunks do. */
static int read_next(struct pack_line *line, struct pack_batch *batch, unsigned char *raw,
		     struct thump_err *err)
{
	int failed;

	pthread_mutex_lock(&line->reading);
	failed = read_batch(line, batch, raw, err);
	pthread_mutex_unlock(&line->reading);
	if (batch->count == 0) {
		pthread_mutex_lock(&line->team.lock);
		line->all_read = true;
		pthread_mutex_unlock(&line->team.lock);
	}
	return failed;
}

static void show_progress(const struct pack_line *line, uint64_t done_bytes)
{
	const struct thump_pack_options *options = line->options;

	if (options->progress && pthread_equal(pthread_self(), line->caller))
		options->progress(options->progress_ctx, done_bytes, thump_image_size(line->image));
}

static int encode_batch(struct pack_line *line, struct pack_batch *batch, struct pack_coder *coder,
			unsigned char *raw, struct thump_err *err)
{
	unsigned char *stored = batch->stored;

	if (read_next(line, batch, raw, err) < 0)
		return -1;
	for (uint32_t i = batch->first; i < batch->first + batch->count; i++) {
		if (pack_encode(coder, &line->chunks[i], i, raw, stored, err) < 0)
			return -1;
		raw += line->chunks[i].raw_size;
		stored += line->chunks[i].stored_size;
	}
	if (batch->count)
		show_progress(line, line->chunks[batch->first].raw_offset);
	leave(line, batch, batch->count ? BATCH_ENCODED : BATCH_FREE);
	return 0;
}

static int put_in_store(struct pack_line *line, const struct pack_batch *batch,
			struct thump_err *err)
{
	const unsigned char *stored = batch->stored;

	for (uint32_t i = batch->first; i < batch->first + batch->count; i++) {
		const struct pack_chunk *chunk = &line->chunks[i];
		bool new = false;

		if (chunk->stored_size && pack_store_put(line->store, chunk, stored, &new, err) < 0)
			return -1;
		stored += chunk->stored_size;
		pthread_mutex_lock(&line->team.lock);
		line->nr_new += new;
		line->new_bytes += new ? chunk->stored_size : 0;
		pthread_mutex_unlock(&line->team.lock);
	}
	return 0;
}

static int write_batch(struct pack_line *line, struct pack_batch *batch, struct thump_err *err)
{
	if (line->store && put_in_store(line, batch, err) < 0)
		return -1;
	if (!line->store &&
	    thump_pwrite_full(line->fd, batch->stored, batch->size_bytes, batch->offset) < 0)
		return thump_fail_errno(err, "write");
	leave(line, batch, BATCH_FREE);
	return 0;
}

/* ---- all of them -------------------------------------------------------------------------- */

static int do_work(struct pack_line *line, struct pack_coder *coder, unsigned char *raw,
		   struct thump_err *err)
{
	struct pack_batch *batch;
	enum work what;
	int failed = 0;

	while (!failed && (what = find_work(line, &batch)) != DONE)
		failed = what == WRITE ? write_batch(line, batch, err)
				       : encode_batch(line, batch, coder, raw, err);
	return failed;
}

/* What was encrypted is nobody's to find in memory that was freed. */
static void free_bytes(const struct pack_line *line, unsigned char *bytes, size_t size)
{
	if (line->cipher && bytes)
		sodium_memzero(bytes, size);
	free(bytes);
}

static int member(void *ctx, struct thump_err *err)
{
	struct pack_line *line = ctx;
	unsigned char *raw = malloc(PACK_CHUNK_BYTES);
	struct pack_coder *coder;
	int failed;

	if (!raw)
		return thump_fail_errno(err, "memory for chunks");
	failed = pack_coder_create(&line->options->compression, line->cipher, &coder, err);
	if (!failed) {
		failed = do_work(line, coder, raw, err);
		pack_coder_destroy(coder);
	}
	free_bytes(line, raw, PACK_CHUNK_BYTES);
	return failed;
}

/* Two for each thread, one of which is in its hands, and one that all wait for. */
static int make_room(struct pack_line *line, struct thump_err *err)
{
	line->room = 2 * pack_team_size(line->nr_chunks) + 1;
	/* At most half full, so that searches end soon. */
	line->known_room = 16;
	while (line->known_room < 2 * (size_t)line->nr_chunks)
		line->known_room *= 2;
	line->known = calloc(line->known_room, sizeof(*line->known));
	line->batches = calloc(line->room, sizeof(*line->batches));
	if (!line->known || !line->batches)
		return thump_fail_errno(err, "memory to find chunks again");
	for (uint32_t i = 0; i < line->room; i++) {
		line->batches[i].stored = malloc(BATCH_ROOM);
		if (!line->batches[i].stored)
			return thump_fail_errno(err, "memory for chunks");
	}
	return 0;
}

static int make_checker(struct pack_line *line, struct thump_err *err)
{
	const struct thump_image_parts parts = thump_image_parts(line->image);

	if (thump_image_checker_create(line->image, &line->checker, err) < 0)
		return -1;
	thump_image_checker_want(line->checker, parts.memory, parts.meta - parts.memory);
	return 0;
}

int pack_line_run(struct pack_line *line, struct thump_err *err)
{
	int failed = -1;

	line->caller = pthread_self();
	pthread_mutex_init(&line->reading, NULL);
	if (make_room(line, err) == 0 && make_checker(line, err) == 0)
		failed = pack_team_run(&line->team, line->nr_chunks, member, line, err);
	thump_image_checker_destroy(line->checker);
	pthread_mutex_destroy(&line->reading);
	for (uint32_t i = 0; line->batches && i < line->room; i++)
		free_bytes(line, line->batches[i].stored, BATCH_ROOM);
	free(line->batches);
	free(line->known);
	return failed;
}
