/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of the Java heap need not be saved. Rules for editing this file:
 *
 * - Only from [top, end) of a space, rounded to whole pages inside of it. Below top lie
 * thread-local buffers, large objects and archived ones, whether live or not.
 * - Never anything beside the heap: card tables, remembered sets, bitmaps, metaspace, code.
 * - Only at a safepoint, and not inside a collection: a compaction has live objects above top.
 * - All or nothing: one field that is missing or makes no sense, and the heap is saved whole.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "vmstructs.h"

#define PAGE_SIZE_BYTES ((uint64_t)4096)

/* The free ranges found so far. */
struct found {
	struct thump_coord_range *list;
	uint32_t count, room;
	uint64_t heap_start, heap_end;
	bool failed; /* no memory, or something makes no sense; sticky */
};

static void add_range(struct found *found, uint64_t start, uint64_t end)
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
		.advice = THUMP_COORD_NEEDLESS,
	};
}

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
	add_range(found, (top + PAGE_SIZE_BYTES - 1) & ~(PAGE_SIZE_BYTES - 1),
		  end & ~(PAGE_SIZE_BYTES - 1));
}

/* ---- the collectors ------------------------------------------------------------------------ */

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

/* ---- all of it ----------------------------------------------------------------------------- */

static int by_start(const void *a, const void *b)
{
	const struct thump_coord_range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* In ascending order, neighbours as one. */
static void sort_ranges(struct found *found)
{
	uint32_t kept = 0;

	qsort(found->list, found->count, sizeof(*found->list), by_start);
	for (uint32_t i = 0; i < found->count; i++) {
		if (kept && found->list[kept - 1].end > found->list[i].start)
			found->failed = true; /* spaces do not overlap */
		if (kept && found->list[kept - 1].end == found->list[i].start)
			found->list[kept - 1].end = found->list[i].end;
		else
			found->list[kept++] = found->list[i];
	}
	found->count = kept;
}

static void find_free(struct found *found, struct vm_structs *vm)
{
	const char *heap = vm_static_pointer(vm, "Universe", "_collectedHeap");
	size_t reserved_at = vm_offset(vm, "CollectedHeap", "_reserved");
	size_t start_at = reserved_at + vm_offset(vm, "MemRegion", "_start");
	size_t words_at = reserved_at + vm_offset(vm, "MemRegion", "_word_size");
	size_t active_at = vm_offset_either(vm, "CollectedHeap", "_is_stw_gc_active",
					    "CollectedHeap", "_is_gc_active");

	if (vm->missing || !heap || heap[active_at])
		return;
	found->heap_start = (uintptr_t)vm_pointer(heap, start_at);
	found->heap_end = found->heap_start + vm_word(heap, words_at) * sizeof(void *);
	if (vm_flag(vm, "UseG1GC"))
		add_g1(found, vm, heap);
	else if (vm_flag(vm, "UseSerialGC"))
		add_serial(found, vm, heap);
	else if (vm_flag(vm, "UseParallelGC"))
		add_parallel(found, vm);
	if (found->count)
		sort_ranges(found);
}

struct thump_coord_range *heap_ranges(const struct agent *agent, uint32_t *count_ret)
{
	struct found found = { 0 };
	struct vm_structs vm;

	vm_open(&vm, agent);
	find_free(&found, &vm);
	*count_ret = vm.missing || found.failed ? 0 : found.count;
	return found.list;
}

void heap_shrink(struct agent *agent)
{
	int (*trim)(size_t) = (int (*)(size_t))dlsym(RTLD_DEFAULT, "malloc_trim");

	(void)(*agent->jvmti)->ForceGarbageCollection(agent->jvmti);
	if (trim) /* glibc has it */
		(void)trim(0);
}
