/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/cut.h"

#include <inttypes.h>
#include <stdlib.h>

struct cut {
	struct pack_chunk *chunks;
	size_t count, room;
	uint64_t at; /* end of the last chunk */
	bool failed; /* memory ran out; sticky */
};

static void add_chunk(struct cut *cut, uint32_t size)
{
	if (cut->count == cut->room) {
		size_t room = cut->room ? 2 * cut->room : 1024;
		struct pack_chunk *bigger = reallocarray(cut->chunks, room, sizeof(*cut->chunks));

		if (!bigger) {
			cut->failed = true;
			return;
		}
		cut->chunks = bigger;
		cut->room = room;
	}
	cut->chunks[cut->count++] = (struct pack_chunk){ .raw_offset = cut->at, .raw_size = size };
	cut->at += size;
}

/* A cut at `offset`, and as many before it as the size of a chunk takes. */
static void cut_at(struct cut *cut, uint64_t offset)
{
	while (cut->at < offset && !cut->failed)
		add_chunk(cut, (uint32_t)thump_min_u64(offset - cut->at, PACK_CHUNK_BYTES));
}

/*
 * Extents are back to back in the file, in ascending order. Content of one mapping between two
 * multiples of a chunk, counted from `origin`, is one chunk, whatever holes it has.
 */
static void cut_extents(struct cut *cut, uint64_t origin, const struct thump_extent *extents,
			uint32_t count)
{
	uint64_t window = UINT64_MAX;

	for (uint32_t i = 0; i < count; i++) {
		for (uint64_t at = extents[i].start; at < extents[i].end;) {
			uint64_t next, index = (at - origin) / PACK_CHUNK_BYTES;

			if (index != window)
				cut_at(cut, extents[i].file_offset + (at - extents[i].start));
			window = index;
			/* An offset at the very end of 64 bits, which no file has, wraps around. */
			next = origin + (index + 1) * PACK_CHUNK_BYTES;
			at = next > at ? next : extents[i].end;
		}
	}
}

/*
 * Of a file its first byte, which may be below address 0: arithmetic wraps around. Memory that is
 * no file's is counted from address 0, as its start does not last: the kernel merges neighbours, so
 * that one more block of memory would move every cut in the block above it.
 */
static uint64_t origin_of(const struct thump_vma *vma)
{
	return vma->backing_id == THUMP_NO_ID ? 0 : vma->start - vma->offset;
}

int pack_cut(const struct thump_image *image, struct pack_chunk **chunks_ret, uint32_t *count_ret,
	     struct thump_err *err)
{
	const struct thump_model *model = thump_image_model(image);
	const struct thump_image_parts parts = thump_image_parts(image);
	struct cut cut = { 0 };

	cut_at(&cut, parts.memory);
	for (uint32_t i = 0; i < model->nr_vmas; i++)
		cut_extents(&cut, origin_of(&model->vmas[i]), model->vmas[i].extents,
			    model->vmas[i].nr_extents);
	cut_at(&cut, parts.backings);
	for (uint32_t i = 0; i < model->nr_backings; i++)
		cut_extents(&cut, 0, model->backings[i].extents, model->backings[i].nr_extents);
	cut_at(&cut, parts.debug);
	cut_at(&cut, parts.zeros);
	cut_at(&cut, parts.meta);
	cut_at(&cut, thump_image_size(image));
	if (cut.failed || cut.count > PACK_MAX_CHUNKS) {
		free(cut.chunks);
		return thump_fail(err, "memory or room for %zu chunks", cut.count);
	}
	*chunks_ret = cut.chunks;
	*count_ret = (uint32_t)cut.count;
	return 0;
}
