/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine is told about the JVM's memory: what is free in the Java heap need not be saved,
 * and heap, metaspace and code cache may be mapped from the image. Rules for editing this file:
 *
 * Needless is only [top, end) of a space, rounded to whole pages inside of it. Below top lie
 * thread-local buffers, large objects and archived ones, whether live or not. Never anything beside
 * the heap: card tables, remembered sets, bitmaps. Only at a safepoint, and not inside a
 * collection: a compaction has live objects above top. All or nothing: one field that is missing or
 * makes no sense, and the heap is saved whole.
 *
 * Vouched for is only memory that HotSpot gives back by mapping new memory over it
 * (os::uncommit_memory) or not at all: the heap with Serial, G1 and Parallel, metaspace, code
 * cache, class data archive. Nothing of malloc(3), whatever lies near: the engine finds its arenas
 * itself, where code.c knows all code in the process.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmstructs.h"

#define PAGE_SIZE_BYTES ((uint64_t)4096)

/* The ranges found so far; those of the advice that is looked for begin at `first`. */
struct found {
	struct thump_coord_range *list;
	uint32_t count, room, first;
	uint64_t heap_start, heap_end;
	bool failed; /* no memory, or something makes no sense; sticky */
};

static void add_range(struct found *found, enum thump_coord_advice advice, uint64_t start,
		      uint64_t end)
{
	if (start >= end)
		return;
	if (found->count == found->room) {
		uint32_t room = found->room ? 2 * found->room : 64;
		struct thump_coord_range *bigger = reallocarray(found->list, room, sizeof(*bigger));

		if (!bigger) {
			found->failed = true;
			return;
		}
		found->list = bigger;
		found->room = room;
	}
	found->list[found->count++] = (struct thump_coord_range){
		.start = start,
		.end = end,
		.advice = (uint32_t)advice,
	};
}

static uint64_t page_up(uint64_t addr)
{
	return (addr + PAGE_SIZE_BYTES - 1) & ~(PAGE_SIZE_BYTES - 1);
}

static uint64_t page_down(uint64_t addr)
{
	return addr & ~(PAGE_SIZE_BYTES - 1);
}

/* ---- free memory of the heap ----------------------------------------------------------------- */

/* Offsets in what the collectors call a space or a region. */
struct space_offsets {
	size_t bottom, top, end;
};

static void add_space(struct found *found, const char *space, const struct space_offsets *at)
{
	uint64_t bottom, top, end;

	if (!space) {
		found->failed = true;
		return;
	}
	bottom = (uintptr_t)vm_pointer(space, at->bottom);
	top = (uintptr_t)vm_pointer(space, at->top);
	end = (uintptr_t)vm_pointer(space, at->end);
	if (bottom < found->heap_start || top < bottom || end < top || end > found->heap_end) {
		found->failed = true;
		return;
	}
	add_range(found, THUMP_COORD_NEEDLESS, page_up(top), page_down(end));
}

static void add_g1(struct found *found, struct vm_structs *vm, const char *heap)
{
	const struct space_offsets at = {
		vm_offset_either(vm, "G1HeapRegion", "_bottom", "HeapRegion", "_bottom"),
		vm_offset_either(vm, "G1HeapRegion", "_top", "HeapRegion", "_top"),
		vm_offset_either(vm, "G1HeapRegion", "_end", "HeapRegion", "_end"),
	};
	size_t table = vm_offset(vm, "G1CollectedHeap", "_hrm") +
		       vm_offset_either(vm, "G1HeapRegionManager", "_regions", "HeapRegionManager",
					"_regions");
	size_t base_at = vm_offset(vm, "G1HeapRegionTable", "_base");
	size_t length_at = vm_offset(vm, "G1HeapRegionTable", "_length");
	const char *regions;

	if (vm->missing)
		return;
	regions = vm_pointer(heap, table + base_at);
	for (size_t i = 0; i < vm_word(heap, table + length_at); i++) {
		const char *region = vm_pointer(regions, i * sizeof(region));

		/* NULL: was never part of the heap. */
		if (region)
			add_space(found, region, &at);
	}
}

static void add_serial(struct found *found, struct vm_structs *vm, const char *heap)
{
	static const char *const young_spaces[] = { "_eden_space", "_from_space", "_to_space" };
	const struct space_offsets at = {
		vm_offset_either(vm, "ContiguousSpace", "_bottom", "Space", "_bottom"),
		vm_offset(vm, "ContiguousSpace", "_top"),
		vm_offset_either(vm, "ContiguousSpace", "_end", "Space", "_end"),
	};
	size_t young_at =
		vm_offset_either(vm, "SerialHeap", "_young_gen", "GenCollectedHeap", "_young_gen");
	size_t old_at =
		vm_offset_either(vm, "SerialHeap", "_old_gen", "GenCollectedHeap", "_old_gen");
	size_t old_space_at = vm_offset(vm, "TenuredGeneration", "_the_space");
	const char *young, *old;

	if (vm->missing)
		return;
	young = vm_pointer(heap, young_at);
	old = vm_pointer(heap, old_at);
	for (size_t i = 0; i < sizeof(young_spaces) / sizeof(young_spaces[0]); i++) {
		size_t space_at = vm_offset(vm, "DefNewGeneration", young_spaces[i]);

		if (!vm->missing)
			add_space(found, vm_pointer(young, space_at), &at);
	}
	add_space(found, vm_pointer(old, old_space_at), &at);
}

static void add_parallel(struct found *found, struct vm_structs *vm)
{
	static const char *const young_spaces[] = { "_eden_space", "_from_space", "_to_space" };
	const struct space_offsets at = {
		vm_offset(vm, "MutableSpace", "_bottom"),
		vm_offset(vm, "MutableSpace", "_top"),
		vm_offset(vm, "MutableSpace", "_end"),
	};
	const char *young = vm_static_pointer(vm, "ParallelScavengeHeap", "_young_gen");
	const char *old = vm_static_pointer(vm, "ParallelScavengeHeap", "_old_gen");
	size_t old_space_at = vm_offset(vm, "PSOldGen", "_object_space");

	/* With UseNUMA eden is divided into spaces of its own. */
	if (vm_flag(vm, "UseNUMA") || vm->missing || !young || !old)
		return;
	for (size_t i = 0; i < sizeof(young_spaces) / sizeof(young_spaces[0]); i++) {
		size_t space_at = vm_offset(vm, "PSYoungGen", young_spaces[i]);

		if (!vm->missing)
			add_space(found, vm_pointer(young, space_at), &at);
	}
	add_space(found, vm_pointer(old, old_space_at), &at);
}

static void find_free(struct found *found, struct vm_structs *vm, const char *heap)
{
	size_t active_at = vm_offset_either(vm, "CollectedHeap", "_is_stw_gc_active",
					    "CollectedHeap", "_is_gc_active");

	if (vm->missing || heap[active_at])
		return;
	if (vm_flag(vm, "UseG1GC"))
		add_g1(found, vm, heap);
	else if (vm_flag(vm, "UseSerialGC"))
		add_serial(found, vm, heap);
	else if (vm_flag(vm, "UseParallelGC"))
		add_parallel(found, vm);
}

/* ---- memory that may be mapped from the image ------------------------------------------------ */

/* Metaspace is reserved in whole blocks of this size or a multiple of it, aligned to it (JDK 17:
 * 4 MB, JDK 25: 16 MB). */
#define METASPACE_BLOCK_BYTES ((uint64_t)4 << 20)

static void add_code_cache(struct found *found, struct vm_structs *vm)
{
	uint64_t low = (uintptr_t)vm_static_pointer(vm, "CodeCache", "_low_bound");
	uint64_t high = (uintptr_t)vm_static_pointer(vm, "CodeCache", "_high_bound");

	if (!vm->missing)
		add_range(found, THUMP_COORD_VOUCHED, page_up(low), page_down(high));
}

/* The block of metaspace in which something lies; not the same one again and again. */
static void add_block(struct found *found, const char *metadata)
{
	uint64_t start = (uintptr_t)metadata & ~(METASPACE_BLOCK_BYTES - 1);

	for (uint32_t i = found->first; i < found->count; i++)
		if (start >= found->list[i].start && start < found->list[i].end)
			return;
	add_range(found, THUMP_COORD_VOUCHED, start, start + METASPACE_BLOCK_BYTES);
}

/* Metaspace is not among the exported structures, but what lies in it is: classes in the class
 * space, constant pools in the rest. */
static void add_metaspace(struct found *found, struct vm_structs *vm)
{
	const char *loader = vm_static_pointer(vm, "ClassLoaderDataGraph", "_head");
	const char *cds_start = vm_static_pointer(vm, "MetaspaceObj", "_shared_metaspace_base");
	const char *cds_end = vm_static_pointer(vm, "MetaspaceObj", "_shared_metaspace_top");
	size_t next_loader = vm_offset(vm, "ClassLoaderData", "_next");
	size_t klasses = vm_offset(vm, "ClassLoaderData", "_klasses");
	size_t next_klass = vm_offset(vm, "Klass", "_next_link");
	size_t layout_helper = vm_offset(vm, "Klass", "_layout_helper");
	size_t constants = vm_offset(vm, "InstanceKlass", "_constants");

	if (vm->missing)
		return;
	for (; loader; loader = vm_pointer(loader, next_loader)) {
		const char *klass = vm_pointer(loader, klasses);

		for (; klass; klass = vm_pointer(klass, next_klass)) {
			int32_t helper;

			if (klass >= cds_start && klass < cds_end)
				continue; /* of the class data archive */
			add_block(found, klass);
			/* Negative: an array class, which has no constants. */
			memcpy(&helper, klass + layout_helper, sizeof(helper));
			if (helper >= 0 && vm_pointer(klass, constants))
				add_block(found, vm_pointer(klass, constants));
		}
	}
}

/* What was written of the class data archive: all of it where it was moved. HotSpot maps the file
 * when it starts, and gives nothing back. */
static void add_class_data(struct found *found, struct vm_structs *vm)
{
	uint64_t start = (uintptr_t)vm_static_pointer(vm, "MetaspaceObj", "_shared_metaspace_base");
	uint64_t end = (uintptr_t)vm_static_pointer(vm, "MetaspaceObj", "_shared_metaspace_top");

	if (!vm->missing)
		add_range(found, THUMP_COORD_VOUCHED, page_up(start), page_down(end));
}

static void find_vouched(struct found *found, struct vm_structs *vm)
{
	if (vm_flag(vm, "UseG1GC") || vm_flag(vm, "UseSerialGC") || vm_flag(vm, "UseParallelGC"))
		add_range(found, THUMP_COORD_VOUCHED, page_up(found->heap_start),
			  page_down(found->heap_end));
	add_code_cache(found, vm);
	add_metaspace(found, vm);
	add_class_data(found, vm);
}

/* ---- all of it ----------------------------------------------------------------------------- */

static int by_start(const void *a, const void *b)
{
	const struct thump_coord_range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* The ranges of one advice in ascending order, neighbours as one. */
static void sort_ranges(struct found *found)
{
	struct thump_coord_range *list = found->list + found->first;
	uint32_t count = found->count - found->first, kept = 0;

	if (count == 0)
		return;
	qsort(list, count, sizeof(*list), by_start);
	for (uint32_t i = 0; i < count; i++) {
		if (kept && list[kept - 1].end > list[i].start)
			found->failed = true; /* none of them overlap */
		if (kept && list[kept - 1].end == list[i].start)
			list[kept - 1].end = list[i].end;
		else
			list[kept++] = list[i];
	}
	found->count = found->first + kept;
}

/* Looks for ranges of one advice: all, or none. */
static void find(struct found *found, struct vm_structs *vm, const char *heap,
		 enum thump_coord_advice advice)
{
	found->first = found->count;
	if (advice == THUMP_COORD_NEEDLESS)
		find_free(found, vm, heap);
	else
		find_vouched(found, vm);
	sort_ranges(found);
	if (vm->missing || found->failed)
		found->count = found->first;
	vm->missing = found->failed = false;
}

struct thump_coord_range *heap_ranges(const struct agent *agent, uint32_t *count_ret)
{
	struct found found = { 0 };
	struct vm_structs vm;
	const char *heap;
	size_t reserved, start, words;

	vm_open(&vm, agent);
	heap = vm_static_pointer(&vm, "Universe", "_collectedHeap");
	reserved = vm_offset(&vm, "CollectedHeap", "_reserved");
	start = vm_offset(&vm, "MemRegion", "_start");
	words = vm_offset(&vm, "MemRegion", "_word_size");
	if (!vm.missing && heap) {
		found.heap_start = (uintptr_t)vm_pointer(heap, reserved + start);
		found.heap_end =
			found.heap_start + vm_word(heap, reserved + words) * sizeof(void *);
		find(&found, &vm, heap, THUMP_COORD_NEEDLESS);
		find(&found, &vm, heap, THUMP_COORD_VOUCHED);
	}
	*count_ret = found.count;
	return found.list;
}

/* What the kernel will not take back (huge pages of hugetlbfs) stays as it is. */
void heap_drop(const struct thump_coord_range *ranges, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (ranges[i].advice == THUMP_COORD_NEEDLESS)
			(void)madvise((void *)(uintptr_t)ranges[i].start,
				      ranges[i].end - ranges[i].start, MADV_DONTNEED);
}

void heap_shrink(struct agent *agent)
{
	int (*trim)(size_t) = (int (*)(size_t))dlsym(RTLD_DEFAULT, "malloc_trim");

	(void)(*agent->jvmti)->ForceGarbageCollection(agent->jvmti);
	if (trim) /* glibc has it */
		(void)trim(0);
}
