/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that may be a private mapping of the image: what the runtime told of, and, where it
 * promises that malloc(3) is used as it is meant, the arenas of glibc's malloc. Those are looked
 * for here, where the target stands still: its threads make and give back arenas at any time.
 *
 * Why an arena may be mapped. In such a mapping MADV_DONTNEED brings the image's content back
 * instead of zeros. glibc gives memory of an arena back in that way (heap_trim() and mtrim() in
 * malloc/arena.c and malloc.c, 2.10 to 2.42), but never takes it for zeros again: what it gave back
 * is free, and free memory has no content. calloc(3) clears what was ever accessible in an arena,
 * up to mprotect_size, and trusts only memory beyond that, which is no part of the ranges found
 * here. It uses neither MADV_FREE nor, in arenas, mremap(2). The main arena is not looked for: it
 * grows by brk(2).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "capture/context.h"

/* HEAP_MAX_SIZE in malloc/arena.c; each part ("heap") of an arena is aligned to it. */
#define ARENA_BYTES ((uint64_t)64 << 20)

/* What each of them begins with: struct _heap_info. */
struct heap_info {
	uint64_t arena; /* the first one of an arena: what follows it */
	uint64_t previous;
	uint64_t size_bytes;
	uint64_t accessible_bytes; /* mprotect_size */
};

static bool is_memory(const struct thump_map *map)
{
	return !map->shared && map->prot == (PROT_READ | PROT_WRITE);
}

/* The end of the mappings from `index` on that have no gap between them, within one arena. */
static uint64_t run_end(const struct thump_maps *maps, size_t index)
{
	uint64_t limit = maps->list[index].start + ARENA_BYTES, end = maps->list[index].start;

	for (; index < maps->count && maps->list[index].start == end && end < limit; index++) {
		if (!is_memory(&maps->list[index]))
			break;
		end = maps->list[index].end;
	}
	return thump_min_u64(end, limit);
}

/* The kernel's own words and glibc's must agree on where it ends. */
static bool is_arena(const struct thump_capture *cap, const struct thump_range *range)
{
	struct thump_err ignored = THUMP_ERR_INIT;
	struct heap_info info;

	if (thump_target_read(cap->target, REMOTE(range->start), &info, sizeof(info), &ignored) < 0)
		return false;
	return info.accessible_bytes == range->end - range->start &&
	       info.size_bytes > sizeof(info) && info.size_bytes <= info.accessible_bytes &&
	       (info.arena & ~(ARENA_BYTES - 1)) != 0 && info.arena % 16 == 0 &&
	       (info.previous == 0 ? (info.arena & ~(ARENA_BYTES - 1)) == range->start
				   : info.previous % ARENA_BYTES == 0);
}

static int by_start(const void *a, const void *b)
{
	const struct thump_range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

void thump_capture_sort_ranges(struct thump_range *ranges, size_t count)
{
	if (count)
		qsort(ranges, count, sizeof(*ranges), by_start);
}

size_t thump_capture_merge_ranges(struct thump_range *list, size_t count)
{
	size_t kept = 0;

	if (count == 0)
		return 0;
	thump_capture_sort_ranges(list, count);
	for (size_t i = 1; i < count; i++) {
		if (list[i].start > list[kept].end)
			list[++kept] = list[i];
		else if (list[i].end > list[kept].end)
			list[kept].end = list[i].end;
	}
	return kept + 1;
}

static int add_range(struct thump_model *model, const struct thump_range *range,
		     struct thump_err *err)
{
	struct thump_range *grown =
		thump_arena_grow(&model->arena, model->vouched, model->nr_vouched, sizeof(*grown));

	if (!grown)
		return thump_out_of_memory(err);
	model->vouched = grown;
	grown[model->nr_vouched++] = *range;
	return 0;
}

static int add_arenas(struct thump_capture *cap, struct thump_err *err)
{
	const struct thump_maps *maps = &cap->maps;

	for (size_t i = 0; i < maps->count; i++) {
		const struct thump_range range = { maps->list[i].start, run_end(maps, i) };
		struct thump_range part;

		if (range.start % ARENA_BYTES != 0 || !is_memory(&maps->list[i]) ||
		    thump_find_part(cap->managed, cap->nr_managed, range.start, range.end, &part) ||
		    !is_arena(cap, &range))
			continue;
		if (add_range(&cap->model, &range, err) < 0)
			return -1;
	}
	return 0;
}

int thump_capture_vouched(struct thump_capture *cap, struct thump_err *err)
{
	const struct thump_capture_options *options = &cap->options;
	const size_t size_bytes = options->nr_vouched * sizeof(*options->vouched);
	struct thump_model *model = &cap->model;

	cap->managed = thump_arena_memdup(&model->arena, options->vouched, size_bytes);
	if (!cap->managed)
		return thump_out_of_memory(err);
	cap->nr_managed = options->nr_vouched;
	for (size_t i = 0; i < cap->nr_managed; i++) {
		if (add_range(model, &cap->managed[i], err) < 0)
			return -1;
	}
	if (options->vouches_arenas && add_arenas(cap, err) < 0)
		return -1;
	/* The kernel may have made one mapping of neighbours. */
	model->nr_vouched = (uint32_t)thump_capture_merge_ranges(model->vouched, model->nr_vouched);
	return 0;
}
