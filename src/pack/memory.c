/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of a few KiB can tell of terabytes, and standard input may never end: that must not cost
 * other programs their memory, nor us our life.
 */
#include <inttypes.h>

#include "pack/read.h"

#define MB 1000000

int pack_memory_check(uint64_t needed, uint64_t left, struct thump_err *err)
{
	if (needed <= left)
		return 0;
	return thump_fail(
		err, "unpacked it takes %" PRIu64 " MB of memory, and %" PRIu64 " MB are available",
		needed / MB, left / MB);
}

/* Chunks are in order, and a page that two of them share is one. */
uint64_t pack_memory_needed(const struct pack_front *front, enum thump_open_extent extent)
{
	uint64_t nr_pages = 0, next = 0;

	for (uint32_t i = 0; i < front->head.nr_chunks; i++) {
		const struct pack_chunk *chunk = &front->chunks[i];
		uint64_t first = chunk->raw_offset / THUMP_PAGE_SIZE;
		uint64_t last = (chunk->raw_offset + chunk->raw_size - 1) / THUMP_PAGE_SIZE;

		if (chunk->form == PACK_ZEROS || !pack_front_wants(front, extent, chunk))
			continue;
		nr_pages += last + 1 - (first > next ? first : next);
		next = last + 1;
	}
	return nr_pages * THUMP_PAGE_SIZE;
}
