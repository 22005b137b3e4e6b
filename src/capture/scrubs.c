/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that who makes the image has left out (--scrub). Unlike what the program says of itself
 * (needless), nobody has checked it: what is not there, or cannot become zeros, is refused by name,
 * as a secret that stays in the image silently is the worst that could come of it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "capture/context.h"

static int add(struct thump_capture *cap, const struct thump_range *range, struct thump_err *err)
{
	struct thump_range *grown = thump_arena_grow(&cap->model.arena, cap->needless,
						     cap->nr_needless, sizeof(*grown));

	if (!grown)
		return thump_out_of_memory(err);
	cap->needless = grown;
	grown[cap->nr_needless++] = *range;
	return 0;
}

static void refuse(struct thump_capture *cap, const struct thump_scrub *scrub, uint64_t addr,
		   const struct thump_map *map)
{
	if (!map)
		thump_capture_refuse(cap, "scrub",
				     "--scrub %s: the process has no memory at %" PRIx64,
				     scrub->text, addr);
	else
		thump_capture_refuse(cap, "scrub",
				     "--scrub %s: what is at %" PRIx64 " is not private anonymous "
				     "memory, but %s: the restored process would find its "
				     "content there",
				     scrub->text, addr, map->path[0] ? map->path : "shared memory");
}

/* Every page of it is memory that can be left out. */
static bool is_covered(struct thump_capture *cap, const struct thump_scrub *scrub)
{
	const struct thump_maps *maps = &cap->maps;
	uint64_t at = scrub->range.start;

	for (size_t i = 0; i < maps->count && at < scrub->range.end; i++) {
		const struct thump_map *map = &maps->list[i];

		if (map->end <= at)
			continue;
		if (map->start > at)
			break;
		if (!thump_vma_is_anonymous(&cap->model.vmas[i])) {
			refuse(cap, scrub, at, map);
			return false;
		}
		at = map->end;
	}
	if (at < scrub->range.end)
		refuse(cap, scrub, at, NULL);
	return at >= scrub->range.end;
}

/* All mappings of that name, which is one of prctl(2), PR_SET_VMA_ANON_NAME, or of proc(5). */
static int add_named(struct thump_capture *cap, const struct thump_scrub *scrub,
		     struct thump_err *err)
{
	const struct thump_maps *maps = &cap->maps;
	bool found = false;

	for (size_t i = 0; i < maps->count; i++) {
		const struct thump_map *map = &maps->list[i];
		const struct thump_range range = { map->start, map->end };

		if (strcmp(map->path, scrub->name) != 0)
			continue;
		found = true;
		if (!thump_vma_is_anonymous(&cap->model.vmas[i]))
			refuse(cap, scrub, map->start, map);
		else if (add(cap, &range, err) < 0)
			return -1;
	}
	if (!found)
		thump_capture_refuse(cap, "scrub", "--scrub %s: no mapping has that name",
				     scrub->text);
	return 0;
}

int thump_capture_needless(struct thump_capture *cap, struct thump_err *err)
{
	const struct thump_capture_options *options = &cap->options;

	for (size_t i = 0; i < options->nr_needless; i++)
		if (add(cap, &options->needless[i], err) < 0)
			return -1;
	for (size_t i = 0; i < options->nr_scrubs; i++) {
		const struct thump_scrub *scrub = &options->scrubs[i];

		if (scrub->name ? add_named(cap, scrub, err) < 0
				: is_covered(cap, scrub) && add(cap, &scrub->range, err) < 0)
			return -1;
	}
	/* As add_needed() in pages.c expects them. */
	cap->nr_needless = thump_capture_merge_ranges(cap->needless, cap->nr_needless);
	return 0;
}
