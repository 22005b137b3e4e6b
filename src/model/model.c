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

bool thump_model_find_vouched(const struct thump_model *model, uint64_t start, uint64_t end,
			      struct thump_range *part_ret)
{
	uint32_t low = 0, high = model->nr_vouched;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (model->vouched[middle].end <= start)
			low = middle + 1;
		else
			high = middle;
	}
	if (start >= end || low == model->nr_vouched || model->vouched[low].start >= end)
		return false;
	part_ret->start = model->vouched[low].start > start ? model->vouched[low].start : start;
	part_ret->end = thump_min_u64(model->vouched[low].end, end);
	return true;
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
