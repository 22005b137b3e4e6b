/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image's mappings as steps. Order, which the later parts rely on:
 *   setup   1. mappings, neighbours that differ only in what mprotect changes as one
 *           2. ranges of the image itself over them (lazy)
 *           3. advice, names
 *   jobs    content
 *   finish  4. final protections, temporary views of shared memory away, locks, seals
 */
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <string.h>

#include "base/fd.h"
#include "rebuild/arch/arch.h"
#include "rebuild/jobs.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08 /* since Linux 6.11 */
#endif
#ifndef SYS_mseal
#define SYS_mseal 462 /* since Linux 6.10 */
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA	     0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

/* Smaller extents are read: a mapping of their own costs as much as a few pages (measured: mmap
 * 1.4-3.2 us, an anonymous page 2.4-3.5 us). */
#define LAZY_MIN_BYTES (8 * THUMP_PAGE_SIZE)
/*
 * MADV_COLLAPSE has every processor empty its caches of pages, and sleeps until all have
 * (lru_add_drain_all() in mm/khugepaged.c): that is longer than reading some MB page by page takes.
 */
#define HUGE_FROM_BYTES ((uint64_t)16 << 20)
/* Pages of private file mappings keep their file's name where they are read instead. */
#define LAZY_MIN_FILE_BYTES (16 * THUMP_PAGE_SIZE)

struct shared_object {
	uint32_t nr_views;
	uint64_t view_start, view_size, view_offset; /* of the first view */
	uint64_t temporary; /* the whole object is mapped here until the end; 0: nowhere */
	uint64_t size;
};

struct thump_memory {
	const struct thump_plan *plan;
	bool *lazy;		       /* [vma] */
	uint32_t *skipped;	       /* [vma] extents at the front that are not needed */
	struct shared_object *objects; /* [backing_id] */
};

/* One mmap(2). */
struct run {
	uint64_t start, end;
	uint64_t offset;
	uint32_t slot;
	uint32_t prot, flags;
	enum thump_what what;
	bool file;
};

/* The extents that are read or mapped: all, none, or all but the first. */
static const struct thump_extent *content_of(const struct thump_memory *memory,
					     const struct thump_vma *vma, uint32_t *count_ret)
{
	uint32_t skipped = memory->skipped[vma - memory->plan->model->vmas];

	*count_ret = vma->nr_extents - skipped;
	return vma->extents + skipped;
}

static bool page_is_file(const struct thump_plan *plan, const struct thump_vma *vma)
{
	unsigned char stored[THUMP_PAGE_SIZE], page[THUMP_PAGE_SIZE];
	int fd = plan->rb.backing_fds[vma->backing_id];
	struct thump_err ignored; /* who reads it all the same will say so */

	return fd >= 0 &&
	       thump_image_read(plan->image, vma->extents[0].file_offset, stored, sizeof(stored),
				&ignored) == 0 &&
	       thump_pread_full(fd, page, sizeof(page), vma->offset) == 0 &&
	       memcmp(stored, page, sizeof(page)) == 0;
}

static uint32_t skipped_extents(const struct thump_plan *plan, const struct thump_vma *vma)
{
	const struct thump_extent *first = vma->extents;

	/* Both promise zeros to whoever comes after: a restored process is as good as a fork. */
	if (vma->traits & (THUMP_VMA_WIPEONFORK | THUMP_VMA_DROPPABLE))
		return vma->nr_extents;
	/* The first page of an ELF file is stored for debuggers, changed or not. */
	if (vma->kind == THUMP_VMA_FILE_PRIVATE && !(vma->prot & PROT_WRITE) && vma->nr_extents &&
	    vma->offset == 0 && first->start == vma->start &&
	    first->end == first->start + THUMP_PAGE_SIZE && page_is_file(plan, vma))
		return 1;
	return 0;
}

/* Memory is accounted for once it is writable, and stays so (accountable_mapping() in mm/vma.c and
 * mprotect_fixup()). */
static bool was_writable(const struct thump_vma *vma)
{
	bool private = thump_vma_is_anonymous(vma) || vma->kind == THUMP_VMA_FILE_PRIVATE ||
		       vma->kind == THUMP_VMA_MEMFD_PRIVATE;

	return private && !(vma->prot & PROT_WRITE) && (vma->traits & THUMP_VMA_ACCOUNT);
}

/* While it is filled: readable and writable, and never executable unless it may be both. */
static uint32_t filling_prot(const struct thump_memory *memory, const struct thump_vma *vma)
{
	uint32_t count;

	(void)content_of(memory, vma, &count);
	if (count == 0 && !was_writable(vma))
		return vma->prot;
	if (vma->prot & PROT_WRITE)
		return vma->prot | PROT_READ;
	return PROT_READ | PROT_WRITE;
}

/* ---- templates ---------------------------------------------------------------------------- */

/*
 * What fork(2) hands to the child as it is, with pages that are copied when written to. Not what it
 * would share (a shared mapping), drop (DONTFORK) or empty (WIPEONFORK, DROPPABLE); nor of files
 * that every restored process has for itself.
 */
static bool is_inherited(const struct thump_model *model, const struct thump_vma *vma)
{
	const uint32_t others = THUMP_VMA_DONTFORK | THUMP_VMA_WIPEONFORK | THUMP_VMA_DROPPABLE;

	if (vma->traits & others)
		return false;
	return thump_vma_is_anonymous(vma) ||
	       (vma->kind == THUMP_VMA_FILE_PRIVATE &&
		model->backings[vma->backing_id].kind == THUMP_BACKING_FILE);
}

/* Is it made now? Templates and clones have each a part of all mappings. */
static bool is_due(const struct thump_plan *plan, const struct thump_vma *vma)
{
	switch (plan->options.part) {
	case THUMP_PART_ALL:
		break;
	case THUMP_PART_TEMPLATE:
		return is_inherited(plan->model, vma);
	case THUMP_PART_CLONE:
		return !is_inherited(plan->model, vma);
	}
	return true;
}

/* ---- what is lazy ----------------------------------------------------------------------- */

static bool may_be_lazy(const struct thump_model *model, const struct thump_vma *vma)
{
	const uint32_t never =
		THUMP_VMA_GROWSDOWN | THUMP_VMA_WIPEONFORK | THUMP_VMA_DROPPABLE | THUMP_VMA_LOCKED;
	bool is_heap = vma->start < model->mm.brk && vma->end > model->mm.start_brk;

	return (thump_vma_is_anonymous(vma) || vma->kind == THUMP_VMA_FILE_PRIVATE) &&
	       vma->nr_extents > 0 && !(vma->traits & never) && !is_heap;
}

static uint32_t find_vma(const struct thump_model *model, uint64_t addr)
{
	uint32_t low = 0, high = model->nr_vmas;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (model->vmas[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < model->nr_vmas && model->vmas[low].start <= addr ? low : THUMP_NO_ID;
}

static void choose_lazy(const struct thump_plan *plan, bool *lazy)
{
	const struct thump_model *model = plan->model;

	if (plan->memory != THUMP_MEMORY_LAZY && plan->memory != THUMP_MEMORY_LAZY_UNSAFE)
		return;
	for (uint32_t i = 0; i < model->nr_vmas; i++)
		lazy[i] = may_be_lazy(model, &model->vmas[i]) && is_due(plan, &model->vmas[i]);
	/* Guard regions are those of memory that is not a file's on most kernels (Linux 6.15). */
	for (uint32_t i = 0; i < model->nr_guards; i++) {
		uint32_t guarded = find_vma(model, model->guards[i].start);

		if (guarded != THUMP_NO_ID)
			lazy[guarded] = false;
	}
	/* Stacks are never lazy. */
	for (uint32_t i = 0; i < model->nr_tasks; i++) {
		uint32_t stack = find_vma(model, thump_stack_pointer(&model->tasks[i]));
		uint32_t alt = find_vma(model, model->tasks[i].altstack_sp);

		if (stack != THUMP_NO_ID)
			lazy[stack] = false;
		if (alt != THUMP_NO_ID && !(model->tasks[i].altstack_flags & SS_DISABLE))
			lazy[alt] = false;
	}
}

/* A part of an extent that is either mapped from the image, or read. */
struct piece {
	uint64_t start, end;
	uint64_t file_offset;
	bool lazy;
};

/* Where a VMA may be lazy: the first part of an extent from `start` on, vouched for or not. */
static struct piece vouched_piece(const struct thump_memory *memory, uint64_t start, uint64_t end)
{
	struct thump_range part;

	if (memory->plan->memory == THUMP_MEMORY_LAZY_UNSAFE)
		return (struct piece){ .start = start, .end = end, .lazy = true };
	if (!thump_model_find_vouched(memory->plan->model, start, end, &part))
		return (struct piece){ .start = start, .end = end };
	if (part.start > start)
		return (struct piece){ .start = start, .end = part.start };
	return (struct piece){ .start = start, .end = part.end, .lazy = true };
}

/* The piece of `extent` that begins at `start`, which lies in it. */
static struct piece piece_at(const struct thump_memory *memory, const struct thump_vma *vma,
			     const struct thump_extent *extent, uint64_t start)
{
	uint64_t least = thump_vma_is_anonymous(vma) ? LAZY_MIN_BYTES : LAZY_MIN_FILE_BYTES;
	struct piece piece = { .start = start, .end = extent->end };

	if (memory->lazy[vma - memory->plan->model->vmas])
		piece = vouched_piece(memory, start, extent->end);
	if (piece.end - piece.start < least)
		piece.lazy = false;
	piece.file_offset = extent->file_offset + (start - extent->start);
	return piece;
}

/* ---- mappings ----------------------------------------------------------------------------- */

static void step_run(struct thump_region *region, const struct run *run)
{
	struct thump_step *step;

	if (run->start == run->end)
		return;
	step = THUMP_STEP(region, run->what, SYS_mmap, run->start, run->end - run->start, run->prot,
			  run->flags | MAP_FIXED_NOREPLACE, run->file ? run->slot : (uint64_t)-1,
			  run->offset);
	step->fd_arg = run->file ? 5 : 0;
	thump_step_expect(step, run->start);
}

static bool continues(const struct run *run, const struct run *next)
{
	return run->end == next->start && run->prot == next->prot && run->flags == next->flags &&
	       run->file == next->file && run->slot == next->slot &&
	       (!run->file || run->offset + (run->end - run->start) == next->offset) &&
	       !(run->flags & (MAP_SHARED | MAP_GROWSDOWN));
}

static struct run run_of_anonymous(const struct thump_memory *memory, const struct thump_vma *vma)
{
	struct run run = {
		.start = vma->start,
		.end = vma->end,
		.prot = filling_prot(memory, vma),
		.flags = MAP_PRIVATE | MAP_ANONYMOUS,
		.what = THUMP_WHAT_MAP,
	};

	if (vma->traits & THUMP_VMA_DROPPABLE)
		run.flags = MAP_DROPPABLE | MAP_ANONYMOUS;
	if (vma->traits & THUMP_VMA_GROWSDOWN)
		run.flags |= MAP_GROWSDOWN;
	if (vma->traits & THUMP_VMA_NORESERVE)
		run.flags |= MAP_NORESERVE;
	return run;
}

static struct run run_of_file(const struct thump_memory *memory, const struct thump_vma *vma,
			      bool shared)
{
	struct run run = {
		.start = vma->start,
		.end = vma->end,
		.offset = vma->offset,
		.slot = thump_slot_backing(vma->backing_id),
		.prot = filling_prot(memory, vma),
		.flags = shared ? MAP_SHARED : MAP_PRIVATE,
		.what = THUMP_WHAT_MAP_FILE,
		.file = true,
	};

	if (vma->traits & THUMP_VMA_NORESERVE)
		run.flags |= MAP_NORESERVE;
	return run;
}

static struct run run_of_image(const struct thump_memory *memory, const struct thump_vma *vma,
			       const struct piece *piece)
{
	struct run run = {
		.start = piece->start,
		.end = piece->end,
		.offset = piece->file_offset,
		.slot = thump_slot_image(),
		.prot = filling_prot(memory, vma),
		.flags = MAP_PRIVATE,
		.what = THUMP_WHAT_MAP_IMAGE,
		.file = true,
	};

	if (vma->traits & THUMP_VMA_NORESERVE)
		run.flags |= MAP_NORESERVE;
	return run;
}

/* The one lazy piece that is the whole VMA needs no anonymous memory below it. */
static bool is_one_lazy_piece(const struct thump_memory *memory, const struct thump_vma *vma,
			      struct piece *piece_ret)
{
	if (vma->nr_extents != 1 || vma->extents[0].start != vma->start ||
	    vma->extents[0].end != vma->end)
		return false;
	*piece_ret = piece_at(memory, vma, &vma->extents[0], vma->start);
	return piece_ret->lazy && piece_ret->end == vma->end;
}

/* ---- shared anonymous memory ---------------------------------------------------------------- */

static void note_view(struct thump_memory *memory, const struct thump_vma *vma)
{
	struct shared_object *object = &memory->objects[vma->backing_id];
	uint64_t size =
		thump_page_up(memory->plan->model->backings[vma->backing_id].content_size_bytes);

	if (object->nr_views++ == 0) {
		object->view_start = vma->start;
		object->view_size = vma->end - vma->start;
		object->view_offset = vma->offset;
	}
	object->size = size;
}

static bool view_is_object(const struct shared_object *object)
{
	return object->nr_views == 1 && object->view_offset == 0 &&
	       object->view_size == object->size;
}

/* An object with several views, or a partial one, is mapped whole in free address space first. */
static int step_whole_object(struct thump_memory *memory, struct thump_region *region,
			     uint32_t backing_id, uint64_t *free_addr, struct thump_err *err)
{
	struct shared_object *object = &memory->objects[backing_id];
	struct run run = {
		.prot = PROT_READ | PROT_WRITE,
		.flags = MAP_SHARED | MAP_ANONYMOUS,
		.what = THUMP_WHAT_MAP_SHARED,
	};

	object->temporary = thump_find_gap(memory->plan->model, *free_addr, object->size);
	if (!object->temporary)
		return thump_refuse(err, "no free address space for %llu bytes of shared memory",
				    (unsigned long long)object->size);
	run.start = object->temporary;
	run.end = run.start + object->size;
	*free_addr = run.end;
	step_run(region, &run);
	return 0;
}

static int step_shared_objects(struct thump_memory *memory, struct thump_region *region,
			       struct thump_err *err)
{
	const struct thump_model *model = memory->plan->model;
	uint64_t free_addr = region->code_addr - THUMP_SPARE_BYTES + THUMP_GAP_BYTES;

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		if (model->vmas[i].kind == THUMP_VMA_SHMEM_ANON &&
		    is_due(memory->plan, &model->vmas[i]))
			note_view(memory, &model->vmas[i]);
	}
	for (uint32_t id = 0; id < model->nr_backings; id++) {
		if (memory->objects[id].nr_views && !view_is_object(&memory->objects[id]) &&
		    step_whole_object(memory, region, id, &free_addr, err) < 0)
			return -1;
	}
	return 0;
}

/* mremap(2) with an old size of 0 makes another mapping of the same shared memory. */
static void step_view(struct thump_memory *memory, struct thump_region *region,
		      const struct thump_vma *vma)
{
	const struct shared_object *object = &memory->objects[vma->backing_id];
	uint64_t size = vma->end - vma->start;
	struct run run = {
		.start = vma->start,
		.end = vma->end,
		.prot = vma->prot | PROT_READ | PROT_WRITE,
		.flags = MAP_SHARED | MAP_ANONYMOUS,
		.what = THUMP_WHAT_MAP_SHARED,
	};

	if (vma->traits & THUMP_VMA_NORESERVE)
		run.flags |= MAP_NORESERVE;
	if (!object->temporary) {
		step_run(region, &run);
		return;
	}
	thump_step_expect(THUMP_STEP(region, THUMP_WHAT_VIEW_SHARED, SYS_mremap,
				     object->temporary + vma->offset, 0, size,
				     MREMAP_MAYMOVE | MREMAP_FIXED, vma->start, 0),
			  vma->start);
}

/* The protection that step_view left. */
static uint32_t view_prot(const struct thump_memory *memory, const struct thump_vma *vma)
{
	return memory->objects[vma->backing_id].temporary ? PROT_READ | PROT_WRITE
							  : vma->prot | PROT_READ | PROT_WRITE;
}

/* ---- all mappings -------------------------------------------------------------------------- */

static bool describe_run(const struct thump_memory *memory, uint32_t index, struct run *run)
{
	const struct thump_vma *vma = &memory->plan->model->vmas[index];
	struct piece piece;

	switch ((enum thump_vma_kind)vma->kind) {
	case THUMP_VMA_ANON:
	case THUMP_VMA_DEVICE_ZERO:
		*run = is_one_lazy_piece(memory, vma, &piece) ? run_of_image(memory, vma, &piece)
							      : run_of_anonymous(memory, vma);
		return true;
	case THUMP_VMA_FILE_PRIVATE:
		*run = is_one_lazy_piece(memory, vma, &piece) ? run_of_image(memory, vma, &piece)
							      : run_of_file(memory, vma, false);
		return true;
	case THUMP_VMA_MEMFD_PRIVATE:
		*run = run_of_file(memory, vma, false);
		return true;
	case THUMP_VMA_FILE_SHARED:
	case THUMP_VMA_MEMFD_SHARED:
		*run = run_of_file(memory, vma, true);
		return true;
	case THUMP_VMA_SHMEM_ANON:
	case THUMP_VMA_VDSO:
	case THUMP_VMA_VVAR:
	case THUMP_VMA_VSYSCALL:
		return false;
	}
	return false;
}

static void step_mappings(struct thump_memory *memory, struct thump_region *region)
{
	const struct thump_model *model = memory->plan->model;
	struct run open = { 0 };

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		struct run next;

		if (!is_due(memory->plan, &model->vmas[i]))
			continue;
		if (model->vmas[i].kind == THUMP_VMA_SHMEM_ANON)
			step_view(memory, region, &model->vmas[i]);
		if (!describe_run(memory, i, &next))
			continue;
		if (continues(&open, &next)) {
			open.end = next.end;
			continue;
		}
		step_run(region, &open);
		open = next;
	}
	step_run(region, &open);
}

/* Maps the lazy pieces of one extent over what the VMA is else. */
static void step_lazy_extent(const struct thump_memory *memory, struct thump_region *region,
			     const struct thump_vma *vma, const struct thump_extent *extent)
{
	struct piece piece;

	for (uint64_t at = extent->start; at < extent->end; at = piece.end) {
		struct thump_step *step;
		struct run run;

		piece = piece_at(memory, vma, extent, at);
		if (!piece.lazy)
			continue;
		run = run_of_image(memory, vma, &piece);
		step = THUMP_STEP(region, run.what, SYS_mmap, run.start, run.end - run.start,
				  run.prot, run.flags | MAP_FIXED, run.slot, run.offset);
		step->fd_arg = 5;
		thump_step_expect(step, run.start);
	}
}

static void step_lazy(const struct thump_memory *memory, struct thump_region *region)
{
	const struct thump_model *model = memory->plan->model;

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];
		struct piece whole;

		if (!memory->lazy[i] || is_one_lazy_piece(memory, vma, &whole))
			continue;
		for (uint32_t e = 0; e < vma->nr_extents; e++)
			step_lazy_extent(memory, region, vma, &vma->extents[e]);
	}
}

/* See thump_hot_forget(). The program will not live long with it. */
static void step_train(const struct thump_memory *memory, struct thump_region *region,
		       const struct thump_vma *vma)
{
	struct piece piece;

	for (uint32_t e = 0; e < vma->nr_extents; e++) {
		const struct thump_extent *extent = &vma->extents[e];

		for (uint64_t at = extent->start; at < extent->end; at = piece.end) {
			piece = piece_at(memory, vma, extent, at);
			if (piece.lazy)
				thump_step_try(THUMP_STEP(region, THUMP_WHAT_ADVISE, SYS_madvise,
							  piece.start, piece.end - piece.start,
							  MADV_RANDOM));
		}
	}
}

/* ---- advice and names --------------------------------------------------------------------- */

struct advice {
	uint32_t trait;
	int advice;
	bool best_effort; /* only a hint, or not in every kernel */
};

static const struct advice advices[] = {
	{ THUMP_VMA_HUGEPAGE, MADV_HUGEPAGE, true },
	{ THUMP_VMA_NOHUGEPAGE, MADV_NOHUGEPAGE, true },
	{ THUMP_VMA_MERGEABLE, MADV_MERGEABLE, true },
	{ THUMP_VMA_SEQ_READ, MADV_SEQUENTIAL, true },
	{ THUMP_VMA_RAND_READ, MADV_RANDOM, true },
	{ THUMP_VMA_DONTFORK, MADV_DONTFORK, false },
	{ THUMP_VMA_WIPEONFORK, MADV_WIPEONFORK, false },
	{ THUMP_VMA_DONTDUMP, MADV_DONTDUMP, false },
};

static void step_advice(struct thump_region *region, const struct thump_vma *vma)
{
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(advices); i++) {
		struct thump_step *step;

		if (!(vma->traits & advices[i].trait))
			continue;
		step = THUMP_STEP(region, THUMP_WHAT_ADVISE, SYS_madvise, vma->start,
				  vma->end - vma->start, (uint64_t)advices[i].advice);
		if (advices[i].best_effort)
			thump_step_try(step);
	}
}

static void step_name(struct thump_region *region, const struct thump_vma *vma)
{
	uint64_t name;

	if (!vma->anon_name)
		return;
	name = thump_region_put(region, vma->anon_name, strlen(vma->anon_name) + 1);
	/* Not in every kernel (CONFIG_ANON_VMA_NAME). */
	thump_step_try(THUMP_STEP(region, THUMP_WHAT_NAME_MAPPING, SYS_prctl, PR_SET_VMA,
				  PR_SET_VMA_ANON_NAME, vma->start, vma->end - vma->start, name));
}

/* ---- content ------------------------------------------------------------------------------- */

static bool may_have_huge_pages(const struct thump_plan *plan, const struct thump_vma *vma)
{
	return plan->huge_pages && !plan->model->mm.thp_disable && thump_vma_is_anonymous(vma) &&
	       !(vma->traits & (THUMP_VMA_NOHUGEPAGE | THUMP_VMA_GROWSDOWN));
}

static void read_vmas(const struct thump_memory *memory, struct thump_jobs *jobs)
{
	const struct thump_model *model = memory->plan->model;

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];
		const bool huge = may_have_huge_pages(memory->plan, vma);
		struct thump_range room = { vma->start, vma->end };
		const struct thump_extent *extent;
		struct piece piece;
		uint32_t count;

		if (thump_vma_is_kernels(vma) || !is_due(memory->plan, vma))
			continue;
		extent = content_of(memory, vma, &count);
		for (; count > 0; count--, extent++) {
			for (uint64_t at = extent->start; at < extent->end; at = piece.end) {
				piece = piece_at(memory, vma, extent, at);
				if (memory->lazy[i]) /* others are mapped beside it */
					room = (struct thump_range){ at, piece.end };
				if (!piece.lazy)
					thump_jobs_add(jobs, at, piece.end - at, piece.file_offset,
						       huge ? &room : NULL);
			}
		}
	}
}

static void read_shared(const struct thump_memory *memory, struct thump_jobs *jobs)
{
	const struct thump_model *model = memory->plan->model;

	for (uint32_t id = 0; id < model->nr_backings; id++) {
		const struct shared_object *object = &memory->objects[id];
		const struct thump_backing *backing = &model->backings[id];
		uint64_t base = object->temporary ? object->temporary : object->view_start;

		for (uint32_t e = 0; object->nr_views && e < backing->nr_extents; e++) {
			const struct thump_extent *extent = &backing->extents[e];

			thump_jobs_add(jobs, base + extent->start, extent->end - extent->start,
				       extent->file_offset, NULL);
		}
	}
}

int thump_memory_steps(const struct thump_plan *plan, struct thump_region *region,
		       struct thump_arena *arena, struct thump_jobs *jobs,
		       struct thump_memory **memory_ret, struct thump_err *err)
{
	const struct thump_model *model = plan->model;
	struct thump_memory *memory = thump_arena_alloc(arena, 1, sizeof(*memory));

	if (!memory)
		return thump_fail_errno(err, "memory for mappings");
	memory->plan = plan;
	memory->lazy = thump_arena_alloc(arena, model->nr_vmas + 1, sizeof(*memory->lazy));
	memory->skipped = thump_arena_alloc(arena, model->nr_vmas + 1, sizeof(*memory->skipped));
	memory->objects =
		thump_arena_alloc(arena, model->nr_backings + 1, sizeof(*memory->objects));
	if (!memory->lazy || !memory->skipped || !memory->objects)
		return thump_fail_errno(err, "memory for %u mappings", model->nr_vmas);
	choose_lazy(plan, memory->lazy);
	for (uint32_t i = 0; i < model->nr_vmas; i++)
		memory->skipped[i] = skipped_extents(plan, &model->vmas[i]);
	if (step_shared_objects(memory, region, err) < 0)
		return -1;
	step_mappings(memory, region);
	step_lazy(memory, region);
	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		if (!is_due(plan, &model->vmas[i]))
			continue;
		if (plan->options.train)
			step_train(memory, region, &model->vmas[i]);
		if (!thump_vma_is_kernels(&model->vmas[i])) {
			step_advice(region, &model->vmas[i]);
			step_name(region, &model->vmas[i]);
		}
	}
	/* Of a template each fork copies what maps small pages. */
	jobs->huge_from_bytes = plan->options.part == THUMP_PART_TEMPLATE ? 0 : HUGE_FROM_BYTES;
	read_vmas(memory, jobs);
	read_shared(memory, jobs);
	*memory_ret = memory;
	return 0;
}

/* ---- when everything is filled ------------------------------------------------------------ */

static bool needs_protection(const struct thump_memory *memory, const struct thump_vma *vma)
{
	if (thump_vma_is_kernels(vma) || !is_due(memory->plan, vma))
		return false;
	if (vma->kind == THUMP_VMA_SHMEM_ANON)
		return view_prot(memory, vma) != vma->prot;
	return filling_prot(memory, vma) != vma->prot;
}

static void step_protections(const struct thump_memory *memory, struct thump_region *region)
{
	const struct thump_model *model = memory->plan->model;
	uint64_t start = 0, end = 0;
	uint32_t prot = 0;

	for (uint32_t i = 0; i <= model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];
		bool wanted = i < model->nr_vmas && needs_protection(memory, vma);

		if (wanted && end == vma->start && prot == vma->prot) {
			end = vma->end;
			continue;
		}
		if (i < model->nr_vmas && !wanted)
			continue;
		if (end > start)
			(void)THUMP_STEP(region, THUMP_WHAT_PROTECT, SYS_mprotect, start,
					 end - start, prot);
		if (i == model->nr_vmas)
			break;
		start = vma->start;
		end = vma->end;
		prot = vma->prot;
	}
}

/* The kernel gives out the lowest that is free. Before memory is made that can only be executed: it
 * takes one for that. fork(2) hands them on. */
static void step_pkeys(const struct thump_plan *plan, struct thump_region *region)
{
	const bool inherited = plan->options.part == THUMP_PART_CLONE;
	const uint32_t wanted = plan->have_pkeys && !inherited ? plan->model->mm.pkeys : 0;

	for (uint32_t key = 1; wanted >> key; key++)
		thump_step_expect(THUMP_STEP(region, THUMP_WHAT_PKEY, SYS_pkey_alloc, 0, 0), key);
	for (uint32_t key = 1; wanted >> key; key++)
		if (!(wanted >> key & 1))
			(void)THUMP_STEP(region, THUMP_WHAT_PKEY, SYS_pkey_free, key);
}

/* Inherited (madvise(2)), and only there where the memory is. */
static void step_guard(const struct thump_plan *plan, struct thump_region *region,
		       const struct thump_range *guard)
{
	const uint32_t guarded = find_vma(plan->model, guard->start);

	if (plan->options.part != THUMP_PART_ALL &&
	    (guarded == THUMP_NO_ID || !is_due(plan, &plan->model->vmas[guarded])))
		return;
	(void)THUMP_STEP(region, THUMP_WHAT_GUARD, SYS_madvise, guard->start,
			 guard->end - guard->start, THUMP_MADV_GUARD_INSTALL);
}

/* Locks are not inherited (mlock(2)), seals are. */
static void step_lock_and_seal(const struct thump_plan *plan, struct thump_region *region,
			       const struct thump_vma *vma)
{
	if ((vma->traits & THUMP_VMA_LOCKED) && plan->options.part != THUMP_PART_TEMPLATE)
		(void)THUMP_STEP(region, THUMP_WHAT_LOCK, SYS_mlock, vma->start,
				 vma->end - vma->start);
	if (vma->pkey && is_due(plan, vma))
		(void)THUMP_STEP(region, THUMP_WHAT_PROTECT, SYS_pkey_mprotect, vma->start,
				 vma->end - vma->start, vma->prot, vma->pkey);
	if ((vma->traits & THUMP_VMA_SEALED) && !thump_vma_is_kernels(vma) && is_due(plan, vma))
		(void)THUMP_STEP(region, THUMP_WHAT_SEAL, SYS_mseal, vma->start,
				 vma->end - vma->start);
}

void thump_memory_finish(const struct thump_memory *memory, struct thump_region *region)
{
	const struct thump_model *model = memory->plan->model;

	for (uint32_t id = 0; id < model->nr_backings; id++) {
		const struct shared_object *object = &memory->objects[id];

		if (object->temporary)
			(void)THUMP_STEP(region, THUMP_WHAT_UNMAP_SHARED, SYS_munmap,
					 object->temporary, object->size);
	}
	step_pkeys(memory->plan, region);
	step_protections(memory, region);
	/* Now that all is read: nothing can be written there any more. */
	for (uint32_t i = 0; i < model->nr_guards; i++)
		step_guard(memory->plan, region, &model->guards[i]);
	for (uint32_t i = 0; i < model->nr_vmas; i++)
		step_lock_and_seal(memory->plan, region, &model->vmas[i]);
	if (model->mm.mcl_future && memory->plan->options.part != THUMP_PART_TEMPLATE)
		(void)THUMP_STEP(region, THUMP_WHAT_LOCK_FUTURE, SYS_mlockall, MCL_FUTURE);
}
