/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"

#include <string.h>

void thump_model_init(struct thump_model *model)
{
	memset(model, 0, sizeof(*model));
	thump_arena_init(&model->arena);
}

void thump_model_deinit(struct thump_model *model)
{
	thump_arena_deinit(&model->arena);
	memset(model, 0, sizeof(*model));
}

bool thump_find_part(const struct thump_range *ranges, size_t count, uint64_t start, uint64_t end,
		     struct thump_range *part_ret)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges[middle].end <= start)
			low = middle + 1;
		else
			high = middle;
	}
	if (start >= end || low == count || ranges[low].start >= end)
		return false;
	part_ret->start = ranges[low].start > start ? ranges[low].start : start;
	part_ret->end = thump_min_u64(ranges[low].end, end);
	return true;
}

uint64_t thump_extents_bytes(const struct thump_extent *extents, size_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += extents[i].end - extents[i].start;
	return sum;
}

uint64_t thump_ranges_bytes(const struct thump_range *ranges, size_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += ranges[i].end - ranges[i].start;
	return sum;
}

bool thump_model_find_vouched(const struct thump_model *model, uint64_t start, uint64_t end,
			      struct thump_range *part_ret)
{
	return thump_find_part(model->vouched, model->nr_vouched, start, end, part_ret);
}

const char *thump_vma_kind_name(uint32_t kind)
{
	switch ((enum thump_vma_kind)kind) {
	case THUMP_VMA_ANON:
		return "anon";
	case THUMP_VMA_FILE_PRIVATE:
		return "file";
	case THUMP_VMA_FILE_SHARED:
		return "file-shared";
	case THUMP_VMA_SHMEM_ANON:
		return "shmem";
	case THUMP_VMA_MEMFD_SHARED:
		return "memfd";
	case THUMP_VMA_MEMFD_PRIVATE:
		return "memfd-private";
	case THUMP_VMA_VDSO:
		return "vdso";
	case THUMP_VMA_VVAR:
		return "vvar";
	case THUMP_VMA_VSYSCALL:
		return "vsyscall";
	case THUMP_VMA_DEVICE_ZERO:
		return "dev-zero";
	}
	return "unknown";
}
