/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layout.h"

#include <inttypes.h>

#include "image/format.h"
#include "image/rules.h"

#define FLUSH_BYTES ((size_t)64 << 10)

enum piece_kind {
	PIECE_EXTENT, /* content: never left out */
	PIECE_DEBUG,  /* pages of a file, for debuggers: in the file, so never left out either */
	PIECE_VIEW,   /* content of a backing */
	PIECE_ZERO,   /* a hole, shown by the zero block */
	PIECE_NONE,   /* no bytes: an untouched VMA */
};

struct piece {
	enum piece_kind kind;
	uint64_t start, end;
	uint64_t offset;
	uint32_t prot;
};

struct walk {
	const struct image_layout *layout;
	void (*visit)(struct walk *walk, const struct piece *piece);
	size_t next_debug; /* index into debug_extents */
	/* for counting */
	uint64_t nr_extents;
	uint64_t cost_by_log2[65]; /* of optional pieces by the bit length of their cost */
	uint64_t longest_by_log2[65];
	/* for putting */
	uint64_t zero_offset;
	uint64_t headers_offset; /* e_phoff */
	struct thump_buf *buf;
	struct image_sink *sink;
};

/* Number of headers that a piece takes. */
static uint64_t piece_cost(const struct piece *piece)
{
	if (piece->kind != PIECE_ZERO)
		return 1;
	return (piece->end - piece->start + IMG_ZERO_BLOCK_MAX - 1) / IMG_ZERO_BLOCK_MAX;
}

static unsigned bit_length(uint64_t value)
{
	return value ? 64u - (unsigned)__builtin_clzll(value) : 0;
}

static void visit_range(struct walk *walk, enum piece_kind kind, const struct thump_vma *vma,
			uint64_t start, uint64_t end, uint64_t offset)
{
	struct piece piece = {
		.kind = kind, .start = start, .end = end, .offset = offset, .prot = vma->prot
	};

	if (start < end)
		walk->visit(walk, &piece);
}

/* A part of a VMA without own content, where its backing is stored in the image. */
static void walk_stored(struct walk *walk, const struct thump_vma *vma, uint64_t start,
			uint64_t end)
{
	const struct image_extent_list *extents = &walk->layout->backing_extents[vma->backing_id];
	uint64_t at = start;

	for (size_t i = 0; i < extents->count && at < end; i++) {
		const struct thump_extent *e = &extents->list[i];
		uint64_t backing_at = vma->offset + (at - vma->start);
		uint64_t view_start, view_end;

		if (e->end <= backing_at)
			continue;
		if (e->start >= vma->offset + (end - vma->start))
			break;
		view_start = e->start > backing_at ? at + (e->start - backing_at) : at;
		view_end = thump_min_u64(end, at + (e->end - backing_at));
		visit_range(walk, PIECE_ZERO, vma, at, view_start, 0);
		visit_range(walk, PIECE_VIEW, vma, view_start, view_end,
			    e->file_offset + (vma->offset + (view_start - vma->start) - e->start));
		at = view_end;
	}
	visit_range(walk, PIECE_ZERO, vma, at, end, 0);
}

/* A part of a private mapping of a file: what is stored of it for debuggers. They read the rest
 * from the file. */
static void walk_file(struct walk *walk, const struct thump_vma *vma, uint64_t start, uint64_t end)
{
	const struct image_extent_list *debug = walk->layout->debug_extents;
	bool shown = false;

	for (; walk->next_debug < debug->count && debug->list[walk->next_debug].start < end;
	     walk->next_debug++) {
		const struct thump_extent *e = &debug->list[walk->next_debug];

		visit_range(walk, PIECE_DEBUG, vma, e->start, e->end, e->file_offset);
		shown = true;
	}
	if (!shown && vma->nr_extents == 0)
		visit_range(walk, PIECE_NONE, vma, start, end, 0);
}

static void walk_hole(struct walk *walk, const struct thump_vma *vma, uint64_t start, uint64_t end)
{
	if (start >= end)
		return;
	if (image_stored_backing(walk->layout->model, vma))
		walk_stored(walk, vma, start, end);
	else if (image_vma_shows_file(walk->layout->model, vma))
		walk_file(walk, vma, start, end);
	else if (vma->nr_extents == 0)
		visit_range(walk, PIECE_NONE, vma, start, end, 0);
	else if (image_vma_rule(vma->kind)->zero_holes)
		visit_range(walk, PIECE_ZERO, vma, start, end, 0);
}

static bool never_a_segment(const struct thump_vma *vma)
{
	return vma->kind == THUMP_VMA_VVAR || vma->kind == THUMP_VMA_VSYSCALL;
}

static void walk_pieces(struct walk *walk)
{
	const struct image_layout *layout = walk->layout;

	for (uint32_t i = 0; i < layout->model->nr_vmas; i++) {
		const struct thump_vma *vma = &layout->model->vmas[i];
		uint64_t at = vma->start;

		if (never_a_segment(vma))
			continue;
		for (uint32_t k = layout->first_extent[i]; k < layout->first_extent[i + 1]; k++) {
			const struct thump_extent *e = &layout->vma_extents->list[k];

			walk_hole(walk, vma, at, e->start);
			visit_range(walk, PIECE_EXTENT, vma, e->start, e->end, e->file_offset);
			at = e->end;
		}
		walk_hole(walk, vma, at, vma->end);
	}
}

static void count_piece(struct walk *walk, const struct piece *piece)
{
	uint64_t cost = piece_cost(piece), length = piece->end - piece->start;
	unsigned log2 = bit_length(cost);

	if (piece->kind == PIECE_EXTENT || piece->kind == PIECE_DEBUG) {
		walk->nr_extents++;
		return;
	}
	walk->cost_by_log2[log2] += cost;
	if (piece->kind == PIECE_ZERO && length > walk->longest_by_log2[log2])
		walk->longest_by_log2[log2] = length;
}

int image_layout_plan(struct image_layout *layout, struct thump_err *err)
{
	struct walk walk = { .layout = layout, .visit = count_piece };
	uint64_t longest = 0, count;

	walk_pieces(&walk);
	if (walk.nr_extents > IMG_MAX_SEGMENTS)
		return thump_refuse(err,
				    "memory is scattered over %" PRIu64
				    " ranges, more than the %u that an image can hold",
				    walk.nr_extents, IMG_MAX_SEGMENTS);
	count = walk.nr_extents;
	layout->max_cost = 0;
	for (unsigned log2 = 1; log2 < 64; log2++) {
		if (walk.cost_by_log2[log2] > IMG_MAX_SEGMENTS - count)
			break;
		count += walk.cost_by_log2[log2];
		layout->max_cost = ((uint64_t)1 << log2) - 1;
		if (walk.longest_by_log2[log2] > longest)
			longest = walk.longest_by_log2[log2];
	}
	layout->nr_segments = (uint32_t)count;
	layout->zero_block_bytes = thump_min_u64(longest, IMG_ZERO_BLOCK_MAX);
	return 0;
}

static uint32_t segment_flags(uint32_t prot)
{
	return (prot & 1 ? PF_R : 0) | (prot & 2 ? PF_W : 0) | (prot & 4 ? PF_X : 0);
}

static void put_header(struct thump_buf *buf, const struct piece *piece, uint64_t start,
		       uint64_t end, uint64_t offset)
{
	thump_buf_put_u32(buf, PT_LOAD);
	thump_buf_put_u32(buf, segment_flags(piece->prot));
	thump_buf_put_u64(buf, offset);
	thump_buf_put_u64(buf, start);
	thump_buf_put_u64(buf, 0); /* p_paddr */
	thump_buf_put_u64(buf, piece->kind == PIECE_NONE ? 0 : end - start);
	thump_buf_put_u64(buf, end - start);
	thump_buf_put_u64(buf, THUMP_PAGE_SIZE);
}

/*
 * A segment without bytes must not begin at 0: gdb looks for a build-id where a segment begins,
 * finds our own ELF header there and reads every note once more.
 */
static uint64_t piece_offset(const struct walk *walk, const struct piece *piece)
{
	if (piece->kind == PIECE_ZERO)
		return walk->zero_offset;
	return piece->kind == PIECE_NONE ? walk->headers_offset : piece->offset;
}

static void put_piece(struct walk *walk, const struct piece *piece)
{
	uint64_t step = piece->end - piece->start;

	if (piece->kind != PIECE_EXTENT && piece->kind != PIECE_DEBUG &&
	    piece_cost(piece) > walk->layout->max_cost)
		return;
	if (piece->kind == PIECE_ZERO)
		step = walk->layout->zero_block_bytes;
	for (uint64_t at = piece->start; at < piece->end; at += step)
		put_header(walk->buf, piece, at, thump_min_u64(at + step, piece->end),
			   piece_offset(walk, piece));
	if (walk->buf->size_bytes >= FLUSH_BYTES)
		walk->sink->flush(walk->sink, walk->buf);
}

void image_layout_put(const struct image_layout *layout, uint64_t zero_offset,
		      uint64_t headers_offset, struct thump_buf *buf, struct image_sink *sink)
{
	struct walk walk = { .layout = layout,
			     .visit = put_piece,
			     .zero_offset = zero_offset,
			     .headers_offset = headers_offset,
			     .buf = buf,
			     .sink = sink };

	walk_pieces(&walk);
}
