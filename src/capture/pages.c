/* SPDX-License-Identifier: Apache-2.0 */
/* Which pages of each VMA travel in the image. */
#include <elf.h>
#include <string.h>

#include "base/fd.h"
#include "capture/context.h"
#include "capture/scan.h"

struct pages {
	struct thump_capture *cap;
	const struct thump_target *memory; /* whose */
	struct thump_vma *vma;
	size_t needless; /* the first needless range that is not behind us */
};

static int add_extent(struct pages *pages, uint64_t start, uint64_t end, struct thump_err *err)
{
	struct thump_vma *vma = pages->vma;
	struct thump_extent *extents = vma->extents;

	if (vma->nr_extents && extents[vma->nr_extents - 1].end >= start) {
		if (extents[vma->nr_extents - 1].end < end)
			extents[vma->nr_extents - 1].end = end;
		return 0;
	}
	extents = thump_arena_grow(&pages->cap->model.arena, extents, vma->nr_extents,
				   sizeof(*extents));
	if (!extents)
		return thump_out_of_memory(err);
	vma->extents = extents;
	extents[vma->nr_extents++] = (struct thump_extent){ .start = start, .end = end };
	return 0;
}

/* Pages of anonymous memory, in ascending order, without what the program does not need. */
static int add_needed(struct pages *pages, uint64_t start, uint64_t end, struct thump_err *err)
{
	const struct thump_capture *cap = pages->cap;

	while (start < end) {
		const struct thump_range *range = &cap->needless[pages->needless];
		bool behind = pages->needless == cap->nr_needless;

		if (!behind && range->end <= start) {
			pages->needless++;
			continue;
		}
		if (behind || range->start >= end)
			return add_extent(pages, start, end, err);
		if (range->start > start && add_extent(pages, start, range->start, err) < 0)
			return -1;
		start = range->end;
	}
	return 0;
}

static int add_guard(struct pages *pages, uint64_t start, uint64_t end, struct thump_err *err)
{
	struct thump_model *model = &pages->cap->model;
	struct thump_range *guards =
		thump_arena_grow(&model->arena, model->guards, model->nr_guards, sizeof(*guards));

	if (!guards)
		return thump_out_of_memory(err);
	model->guards = guards;
	guards[model->nr_guards++] = (struct thump_range){ .start = start, .end = end };
	return 0;
}

static int found(void *ctx, uint64_t start, uint64_t end, bool guard, struct thump_err *err)
{
	struct pages *pages = ctx;

	if (!guard && thump_vma_is_anonymous(pages->vma))
		return add_needed(pages, start, end, err);
	if (!guard)
		return add_extent(pages, start, end, err);
	return add_guard(pages, start, end, err);
}

/* Debuggers look for the build-id in the first page of a mapped ELF file. */
static int add_elf_page(struct pages *pages, struct thump_err *err)
{
	struct thump_err ignored = THUMP_ERR_INIT;
	const struct thump_vma *vma = pages->vma;
	char magic[SELFMAG];

	if (vma->offset != 0 ||
	    thump_target_read(pages->memory, REMOTE(vma->start), magic, sizeof(magic), &ignored) <
		    0 ||
	    memcmp(magic, ELFMAG, SELFMAG) != 0)
		return 0;
	return add_extent(pages, vma->start, vma->start + THUMP_PAGE_SIZE, err);
}

static int add_pages(struct pages *pages, struct thump_scan *scan, struct thump_err *err)
{
	const struct thump_scan_sink sink = { .ctx = pages, .found = found };
	const struct thump_vma *vma = pages->vma;

	switch ((enum thump_vma_kind)vma->kind) {
	case THUMP_VMA_ANON:
	case THUMP_VMA_DEVICE_ZERO:
		/* Zeros in every restored process, so that random generators seed themselves anew:
		 * what is not stored cannot be given away either. */
		if (vma->traits & (THUMP_VMA_WIPEONFORK | THUMP_VMA_DROPPABLE))
			return 0;
		if (pages->cap->options.leaves_out_dontdump && (vma->traits & THUMP_VMA_DONTDUMP))
			return 0;
		if (vma->traits & THUMP_VMA_LAZY_IMAGE)
			return add_needed(pages, vma->start, vma->end, err);
		return thump_scan_range(scan, vma->start, vma->end, THUMP_SCAN_ANON, &sink, err);
	case THUMP_VMA_FILE_PRIVATE:
		if (add_elf_page(pages, err) < 0)
			return -1;
		return thump_scan_range(scan, vma->start, vma->end, THUMP_SCAN_FILE, &sink, err);
	case THUMP_VMA_MEMFD_PRIVATE:
		return thump_scan_range(scan, vma->start, vma->end, THUMP_SCAN_FILE, &sink, err);
	case THUMP_VMA_VDSO:
		return add_extent(pages, vma->start, vma->end, err);
	case THUMP_VMA_FILE_SHARED:
	case THUMP_VMA_SHMEM_ANON:
	case THUMP_VMA_MEMFD_SHARED:
	case THUMP_VMA_VVAR:
	case THUMP_VMA_VSYSCALL:
		return 0;
	}
	return 0; /* refused, and listed */
}

static bool is_copied(const struct thump_vma *vma)
{
	return !(vma->traits & THUMP_VMA_DONTFORK);
}

static bool is_uncopied(const struct thump_vma *vma)
{
	return !is_copied(vma);
}

static int look_at(struct thump_capture *cap, const struct thump_target *memory,
		   bool (*wanted)(const struct thump_vma *), struct thump_err *err)
{
	struct pages pages = { .cap = cap, .memory = memory };
	struct thump_scan scan;
	int status = thump_scan_init(&scan, memory->proc_fd, true, err);

	for (uint32_t i = 0; status == 0 && i < cap->model.nr_vmas; i++) {
		pages.vma = &cap->model.vmas[i];
		if (!wanted || wanted(pages.vma))
			status = add_pages(&pages, &scan, err);
	}
	thump_scan_deinit(&scan);
	return status;
}

int thump_capture_pages(struct thump_capture *cap, struct thump_err *err)
{
	struct thump_model *model = &cap->model;

	if (look_at(cap, thump_capture_memory(cap), cap->options.live ? is_copied : NULL, err) < 0)
		return -1;
	thump_capture_sort_ranges(model->guards, model->nr_guards);
	return 0;
}

int thump_capture_uncopied_pages(struct thump_capture *cap, struct thump_err *err)
{
	return look_at(cap, cap->target, is_uncopied, err);
}
