/* SPDX-License-Identifier: Apache-2.0 */
/* Address space: where blob and data fit, and from exec's layout to an empty one with the vdso in
 * its place. */
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "rebuild/plan.h"

/*
 * x86-64: execve(2) puts programs below 4 GiB (ET_EXEC), at 2/3 of the address space (PIE), at 1/3
 * (mmap's base where the stack is unlimited) or below the stack; nothing of it lies in here.
 */
#define GAP_SEARCH_START ((uint64_t)0x100000000000)
#define GAP_SEARCH_END	 ((uint64_t)0x2aaaaaaaa000)
#define USER_SPACE_END	 ((uint64_t)0x7ffffffff000)

uint64_t thump_find_gap(const struct thump_model *model, uint64_t from, uint64_t size_bytes)
{
	uint64_t at = from;

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];

		if (vma->end <= at)
			continue;
		if (vma->start >= at + size_bytes)
			break;
		at = vma->end;
	}
	return at + size_bytes <= GAP_SEARCH_END ? at : 0;
}

uint64_t thump_place_blob(const struct thump_model *model)
{
	uint64_t gap = thump_find_gap(model, GAP_SEARCH_START, THUMP_GAP_BYTES);

	return gap ? gap + THUMP_SPARE_BYTES : 0;
}

/* ---- vdso and vvar -------------------------------------------------------------------------- */

struct kernel_mapping {
	uint64_t from, to, size;
};

/* Pairs what the kernel mapped with the image's places, in order of address. */
static int pair_kernel_mappings(const struct thump_model *model,
				const struct thump_kernel_mappings *own, uint64_t vdso_start,
				struct kernel_mapping *list, size_t *count_ret,
				struct thump_err *err)
{
	size_t placed = 0;

	for (size_t i = 0; i < own->count; i++)
		list[i] = (struct kernel_mapping){ .from = vdso_start + own->list[i].from_vdso,
						   .size = own->list[i].size };
	for (size_t i = 0; own->bridged && i < own->count; i++)
		list[placed++].to = own->vdso_to + own->list[i].from_vdso;
	for (uint32_t i = 0; !own->bridged && i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];

		if (vma->kind != THUMP_VMA_VDSO && vma->kind != THUMP_VMA_VVAR)
			continue;
		if (placed == own->count || list[placed].size != vma->end - vma->start)
			return thump_refuse(err, "vdso and vvar of this kernel are laid out "
						 "otherwise than the image's");
		list[placed++].to = vma->start;
	}
	if (placed != 0 && placed != own->count)
		return thump_refuse(err, "the kernel maps more for the vdso than the image has");
	*count_ret = placed; /* 0: a program that unmapped them; they go like everything else */
	return 0;
}

static void step_move(struct thump_region *region, uint64_t from, uint64_t to, uint64_t size)
{
	thump_step_expect(THUMP_STEP(region, THUMP_WHAT_MOVE_VDSO, SYS_mremap, from, size, size,
				     MREMAP_MAYMOVE | MREMAP_FIXED, to, 0),
			  to);
}

/*
 * mremap(2) refuses when source and target overlap, and a target must not hit a mapping that is
 * still to be moved: where the two groups overlap, they go by way of the spare part of the gap.
 */
static void step_move_all(struct thump_region *region, struct kernel_mapping *list, size_t count)
{
	uint64_t spare = region->code_addr - THUMP_SPARE_BYTES;
	bool overlap = false;

	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < count; j++)
			overlap |= list[i].from < list[j].to + list[j].size &&
				   list[j].to < list[i].from + list[i].size;
	}
	for (size_t i = 0; overlap && i < count; i++) {
		step_move(region, list[i].from, spare, list[i].size);
		list[i].from = spare;
		spare += list[i].size;
	}
	for (size_t i = 0; i < count; i++)
		step_move(region, list[i].from, list[i].to, list[i].size);
}

static void step_unmap(struct thump_region *region, uint64_t start, uint64_t end)
{
	if (start < end)
		(void)THUMP_STEP(region, THUMP_WHAT_UNMAP_OLD, SYS_munmap, start, end - start);
}

/* Unmaps everything but what lies at blob, data and list, which is in order of address. */
static void step_unmap_old(struct thump_region *region, const struct kernel_mapping *list,
			   size_t count)
{
	uint64_t region_end = region->addr + thump_page_up(region->used);
	uint64_t at = 0;
	bool region_passed = false;

	for (size_t i = 0; i <= count; i++) {
		uint64_t start = i < count ? list[i].from : USER_SPACE_END;

		if (!region_passed && region->code_addr < start) {
			step_unmap(region, at, region->code_addr);
			at = region_end;
			region_passed = true;
		}
		step_unmap(region, at, start);
		if (i < count)
			at = list[i].from + list[i].size;
	}
}

int thump_layout_steps(struct thump_region *region, const struct thump_model *model,
		       const struct thump_kernel_mappings *own, uint64_t vdso_start,
		       struct thump_err *err)
{
	struct kernel_mapping list[THUMP_MAX_KERNEL_MAPPINGS] = { 0 };
	uint32_t nr_steps = region->nr_steps, room_steps = region->room_steps, nr_layout;
	uint32_t first = region->blob->first_setup_step;
	size_t count;

	if (pair_kernel_mappings(model, own, vdso_start, list, &count, err) < 0)
		return -1;
	/* Written to the places that are free for them, then moved up against the setup steps. */
	region->nr_steps = 0;
	region->room_steps = first;
	step_unmap_old(region, list, count);
	step_move_all(region, list, count);
	nr_layout = region->nr_steps;
	region->nr_steps = nr_steps;
	region->room_steps = room_steps;
	if (thump_region_check(region, err) < 0)
		return -1;
	memmove(&region->steps[first - nr_layout], region->steps,
		nr_layout * sizeof(*region->steps));
	region->blob->first_setup_step -= nr_layout;
	region->blob->nr_setup_steps += nr_layout;
	return 0;
}
