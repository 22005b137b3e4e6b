/* SPDX-License-Identifier: Apache-2.0 */
#include "image/stream.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/thread.h"
#include "image/format.h"
#include "image/hash.h"

/* One slot is one chunk of the file: what is hashed, written and checked together. */
#define NR_SLOTS	4u
#define RING_SIZE_BYTES (NR_SLOTS * IMG_CHUNK_SIZE)
#define HUGE_PAGE_SIZE	((uint64_t)2 << 20)

struct image_stream {
	int fd;
	thump_progress_fn progress;
	void *progress_ctx;
	uint64_t done_bytes, total_bytes;

	void *mapping; /* holds the ring at a multiple of a huge page */
	unsigned char *ring;
	uint64_t nr_begun; /* slots given to the reading side; the last of them is being filled */
	size_t fill;	   /* bytes in it */
	uint64_t *checksums;
	size_t nr_checksums, checksum_room;
	uint64_t zero_bytes, read_ns;
	bool broken; /* a write failed or memory ran out: nothing more is taken */

	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t changed;
	uint64_t nr_filled, nr_written;
	size_t last_size; /* of slot nr_filled - 1; all others are full */
	bool end;	  /* nothing more will be filled */
	int write_errno;
	uint64_t write_ns;
};

static unsigned char *slot_bytes(const struct image_stream *stream, uint64_t index)
{
	return stream->ring + (index % NR_SLOTS) * IMG_CHUNK_SIZE;
}

/* The writing thread: takes slots in order until the end; after an error only counts them. */
static void *write_slots(void *arg)
{
	struct image_stream *stream = arg;

	pthread_mutex_lock(&stream->lock);
	for (;;) {
		uint64_t index = stream->nr_written, begin;
		size_t size;
		int failed = 0;

		if (index == stream->nr_filled) {
			if (stream->end)
				break;
			pthread_cond_wait(&stream->changed, &stream->lock);
			continue;
		}
		size = index + 1 == stream->nr_filled ? stream->last_size : IMG_CHUNK_SIZE;
		if (!stream->write_errno) {
			pthread_mutex_unlock(&stream->lock);
			begin = thump_now_ns();
			failed = thump_pwrite_full(stream->fd, slot_bytes(stream, index), size,
						   IMG_DATA_OFFSET + index * IMG_CHUNK_SIZE);
			begin = thump_now_ns() - begin;
			pthread_mutex_lock(&stream->lock);
			stream->write_ns += begin;
		}
		if (failed < 0)
			stream->write_errno = errno ? errno : EIO;
		stream->nr_written++;
		pthread_cond_signal(&stream->changed);
	}
	pthread_mutex_unlock(&stream->lock);
	return NULL;
}

static int start_thread(struct image_stream *stream, struct thump_err *err)
{
	int failed = thump_thread_start(&stream->thread, write_slots, stream);

	if (failed) {
		errno = failed;
		return thump_fail_errno(err, "start the thread that writes");
	}
	stream->has_thread = true;
	return 0;
}

int image_stream_create(int fd, thump_progress_fn progress, void *progress_ctx,
			uint64_t total_bytes, struct image_stream **stream_ret,
			struct thump_err *err)
{
	struct image_stream *stream = calloc(1, sizeof(*stream));
	uintptr_t aligned;

	if (!stream)
		return thump_fail_errno(err, "image stream");
	stream->fd = fd;
	stream->progress = progress;
	stream->progress_ctx = progress_ctx;
	stream->total_bytes = total_bytes;
	pthread_mutex_init(&stream->lock, NULL);
	pthread_cond_init(&stream->changed, NULL);
	stream->mapping = mmap(NULL, RING_SIZE_BYTES + HUGE_PAGE_SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stream->mapping == MAP_FAILED) {
		stream->mapping = NULL;
		(void)thump_fail_errno(err, "memory for the ring of chunks");
		goto failed;
	}
	aligned = ((uintptr_t)stream->mapping + HUGE_PAGE_SIZE - 1) & ~(HUGE_PAGE_SIZE - 1);
	stream->ring = (unsigned char *)aligned;
	/* Only for speed: 2 faults instead of 1,024. */
	(void)madvise(stream->ring, RING_SIZE_BYTES, MADV_HUGEPAGE);
	if (start_thread(stream, err) < 0)
		goto failed;
	*stream_ret = stream;
	return 0;
failed:
	image_stream_destroy(stream);
	return -1;
}

static void join_thread(struct image_stream *stream)
{
	if (!stream->has_thread)
		return;
	pthread_mutex_lock(&stream->lock);
	stream->end = true;
	pthread_cond_signal(&stream->changed);
	pthread_mutex_unlock(&stream->lock);
	pthread_join(stream->thread, NULL);
	stream->has_thread = false;
}

void image_stream_destroy(struct image_stream *stream)
{
	if (!stream)
		return;
	join_thread(stream);
	if (stream->mapping)
		(void)munmap(stream->mapping, RING_SIZE_BYTES + HUGE_PAGE_SIZE);
	pthread_cond_destroy(&stream->changed);
	pthread_mutex_destroy(&stream->lock);
	free(stream->checksums);
	free(stream);
}

static int add_checksum(struct image_stream *stream, uint64_t hash, struct thump_err *err)
{
	if (stream->nr_checksums == stream->checksum_room) {
		size_t room = stream->checksum_room ? stream->checksum_room * 2 : 64;
		uint64_t *bigger = realloc(stream->checksums, room * sizeof(*bigger));

		if (!bigger)
			return thump_fail_errno(err, "table of checksums");
		stream->checksums = bigger;
		stream->checksum_room = room;
	}
	stream->checksums[stream->nr_checksums++] = hash;
	return 0;
}

/* Hands the slot being filled to the writing thread. */
static int push_slot(struct image_stream *stream, struct thump_err *err)
{
	unsigned char *bytes = slot_bytes(stream, stream->nr_begun - 1);

	if (add_checksum(stream, image_hash(bytes, stream->fill), err) < 0)
		return -1;
	pthread_mutex_lock(&stream->lock);
	stream->nr_filled++;
	stream->last_size = stream->fill;
	pthread_cond_signal(&stream->changed);
	pthread_mutex_unlock(&stream->lock);
	return 0;
}

static int write_failed(int write_errno, struct thump_err *err)
{
	errno = write_errno;
	return thump_fail_errno(err, "write the image");
}

/* Makes sure that there is room for at least one page in the slot being filled. */
static int make_room(struct image_stream *stream, struct thump_err *err)
{
	int write_errno;

	if (stream->broken) {
		pthread_mutex_lock(&stream->lock);
		write_errno = stream->write_errno;
		pthread_mutex_unlock(&stream->lock);
		return write_failed(write_errno ? write_errno : ENOMEM, err);
	}
	if (stream->nr_begun && stream->fill < IMG_CHUNK_SIZE)
		return 0;
	stream->broken = true; /* until there is a slot to go on with */
	if (stream->nr_begun && push_slot(stream, err) < 0)
		return -1;
	pthread_mutex_lock(&stream->lock);
	while (stream->nr_begun - stream->nr_written >= NR_SLOTS)
		pthread_cond_wait(&stream->changed, &stream->lock);
	write_errno = stream->write_errno;
	pthread_mutex_unlock(&stream->lock);
	if (write_errno)
		return write_failed(write_errno, err);
	stream->nr_begun++;
	stream->fill = 0;
	stream->broken = false;
	return 0;
}

uint64_t image_stream_offset(const struct image_stream *stream)
{
	if (!stream->nr_begun)
		return IMG_DATA_OFFSET;
	return IMG_DATA_OFFSET + (stream->nr_begun - 1) * IMG_CHUNK_SIZE + stream->fill;
}

struct image_split_budget image_split_budget_of(uint64_t keep_bytes, uint32_t left)
{
	return (struct image_split_budget){ .keep_bytes = left ? keep_bytes : UINT64_MAX,
					    .left = left,
					    .next_mark = left / 2 };
}

static void spend_split(struct image_split_budget *split)
{
	if (split->left)
		split->left--;
	if (split->left == 0) {
		split->keep_bytes = UINT64_MAX;
	} else if (split->left <= split->next_mark) {
		split->keep_bytes *= 2;
		split->next_mark = split->left / 2;
	}
}

bool image_page_is_zero(const unsigned char *page)
{
	uint64_t first[2];

	memcpy(first, page, sizeof(first));
	return (first[0] | first[1]) == 0 &&
	       memcmp(page, page + sizeof(first), THUMP_PAGE_SIZE - sizeof(first)) == 0;
}

/* One range on its way into the file. */
struct copy_state {
	struct image_stream *stream;
	const struct image_copy *copy;
	struct image_extent_list *extents;
	size_t first_extent; /* of this range; extents of the range before are not continued */
	size_t part;	     /* the next part that is not behind us */
	uint64_t end;
};

static bool continues(const struct copy_state *state, uint64_t at)
{
	const struct image_extent_list *extents = state->extents;

	return extents->count > state->first_extent && extents->list[extents->count - 1].end == at;
}

static int add_extent(struct image_extent_list *extents, uint64_t start, uint64_t end,
		      uint64_t file_offset, struct thump_err *err)
{
	if (extents->count == extents->room) {
		size_t room = extents->room ? extents->room * 2 : 16;
		struct thump_extent *bigger = realloc(extents->list, room * sizeof(*bigger));

		if (!bigger)
			return thump_fail_errno(err, "list of extents");
		extents->list = bigger;
		extents->room = room;
	}
	extents->list[extents->count++] =
		(struct thump_extent){ .start = start, .end = end, .file_offset = file_offset };
	return 0;
}

/* `bytes` stand in the slot at or behind its fill; they become content of address `at`. */
static int keep_pages(struct copy_state *state, const unsigned char *bytes, uint64_t at,
		      size_t size_bytes, struct thump_err *err)
{
	struct image_stream *stream = state->stream;
	unsigned char *to = slot_bytes(stream, stream->nr_begun - 1) + stream->fill;

	if (to != bytes)
		memmove(to, bytes, size_bytes);
	if (continues(state, at))
		state->extents->list[state->extents->count - 1].end += size_bytes;
	else if (add_extent(state->extents, at, at + size_bytes, image_stream_offset(stream), err) <
		 0)
		return -1;
	stream->fill += size_bytes;
	return 0;
}

/* Is a run of zeros better stored than left out? Never at the edges of an extent. */
static bool keep_zeros(struct copy_state *state, uint64_t at, uint64_t size_bytes)
{
	struct image_split_budget *split = state->copy->split;

	if (!continues(state, at) || at + size_bytes == state->end)
		return false;
	if (size_bytes <= split->keep_bytes)
		return true;
	spend_split(split);
	return false;
}

/* Keeps what must be stored of size_bytes just read for address `at`. */
static int keep_nonzero(struct copy_state *state, unsigned char *bytes, uint64_t at,
			size_t size_bytes, struct thump_err *err)
{
	size_t begin = 0;

	while (begin < size_bytes) {
		bool zero = image_page_is_zero(bytes + begin);
		size_t end = begin + THUMP_PAGE_SIZE;

		while (end < size_bytes && image_page_is_zero(bytes + end) == zero)
			end += THUMP_PAGE_SIZE;
		if (zero && !keep_zeros(state, at + begin, end - begin))
			state->stream->zero_bytes += end - begin;
		else if (keep_pages(state, bytes + begin, at + begin, end - begin, err) < 0)
			return -1;
		begin = end;
	}
	return 0;
}

/* Fills buf with [at, at + size_bytes): parts are read, what lies between them is zero. */
static int read_parts(struct copy_state *state, unsigned char *buf, uint64_t at, size_t size_bytes,
		      struct thump_err *err)
{
	const struct image_copy *copy = state->copy;
	uint64_t end = at + size_bytes;

	while (at < end) {
		const struct thump_extent *part = &copy->parts[state->part];
		uint64_t stop = thump_min_u64(end, at < part->start ? part->start : part->end);

		if (at < part->start)
			memset(buf, 0, stop - at);
		else if (copy->read(copy->ctx, at, buf, stop - at, err) < 0)
			return -1;
		buf += stop - at;
		at = stop;
		if (at == part->end)
			state->part++;
	}
	return 0;
}

int image_stream_copy(struct image_stream *stream, const struct image_copy *copy,
		      struct image_extent_list *extents, struct thump_err *err)
{
	struct copy_state state = {
		.stream = stream,
		.copy = copy,
		.extents = extents,
		.first_extent = extents->count,
		.end = copy->parts[copy->nr_parts - 1].end,
	};
	uint64_t at = copy->parts[0].start;

	while (at < state.end) {
		uint64_t begin;
		unsigned char *bytes;
		size_t size;
		int failed;

		if (make_room(stream, err) < 0)
			return -1;
		begin = thump_now_ns();
		bytes = slot_bytes(stream, stream->nr_begun - 1) + stream->fill;
		size = thump_min_u64(IMG_CHUNK_SIZE - stream->fill, state.end - at);
		failed = read_parts(&state, bytes, at, size, err);
		if (!failed && copy->split)
			failed = keep_nonzero(&state, bytes, at, size, err);
		else if (!failed)
			failed = keep_pages(&state, bytes, at, size, err);
		if (failed)
			return -1;
		at += size;
		stream->read_ns += thump_now_ns() - begin;
		/* Filled gaps and content for debuggers are not part of the total. */
		stream->done_bytes = thump_min_u64(stream->done_bytes + size, stream->total_bytes);
		if (stream->progress)
			stream->progress(stream->progress_ctx, stream->done_bytes,
					 stream->total_bytes);
	}
	return 0;
}

int image_stream_zeros(struct image_stream *stream, uint64_t size_bytes, struct thump_err *err)
{
	while (size_bytes > 0) {
		uint64_t size;

		if (make_room(stream, err) < 0)
			return -1;
		size = thump_min_u64(IMG_CHUNK_SIZE - stream->fill, size_bytes);
		memset(slot_bytes(stream, stream->nr_begun - 1) + stream->fill, 0, size);
		stream->fill += size;
		size_bytes -= size;
	}
	return 0;
}

int image_stream_finish(struct image_stream *stream, struct thump_err *err)
{
	int failed = 0;

	if (!stream->broken && stream->nr_begun && stream->fill)
		failed = push_slot(stream, err);
	join_thread(stream);
	(void)munmap(stream->mapping, RING_SIZE_BYTES + HUGE_PAGE_SIZE);
	stream->mapping = NULL;
	if (stream->write_errno)
		return write_failed(stream->write_errno, err);
	if (stream->broken)
		return write_failed(ENOMEM, err);
	return failed;
}

void image_stream_checksums(const struct image_stream *stream, const uint64_t **list_ret,
			    size_t *count_ret)
{
	*list_ret = stream->checksums;
	*count_ret = stream->nr_checksums;
}

void image_stream_stats(const struct image_stream *stream, struct thump_image_stats *stats)
{
	stats->zero_bytes = stream->zero_bytes;
	stats->read_ns = stream->read_ns;
	stats->write_ns = stream->write_ns;
}
