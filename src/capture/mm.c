/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of the kernel's mm_struct, auxv and vdso. */
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/fd.h"
#include "capture/context.h"
#include "capture/mappings.h"
#include "proc/process.h"

#define VDSO_LIMIT_BYTES ((uint64_t)1 << 20)

static void set_fields(struct thump_capture *cap)
{
	const struct thump_stat *stat = &cap->stat;
	struct thump_mm *mm = &cap->model.mm;

	mm->start_code = stat->start_code;
	mm->end_code = stat->end_code;
	mm->start_data = stat->start_data;
	mm->end_data = stat->end_data;
	mm->start_brk = stat->start_brk;
	mm->start_stack = stat->start_stack;
	mm->arg_start = stat->arg_start;
	mm->arg_end = stat->arg_end;
	mm->env_start = stat->env_start;
	mm->env_end = stat->env_end;
}

static int read_auxv(struct thump_capture *cap, struct thump_err *err)
{
	auto_free char *auxv = NULL;
	size_t size;

	if (thump_capture_slurp(cap, "auxv", &auxv, &size, err) < 0)
		return -1;
	size = thump_auxv_size(auxv, size);
	if (!size)
		return thump_fail(err, "/proc/%d/auxv does not end", cap->options.pid);
	cap->model.mm.auxv = thump_arena_memdup(&cap->model.arena, auxv, size);
	cap->model.mm.auxv_size = (uint32_t)size;
	return cap->model.mm.auxv ? 0 : thump_out_of_memory(err);
}

static void find_vdso(struct thump_capture *cap)
{
	struct thump_mm *mm = &cap->model.mm;

	for (size_t i = 0; i < cap->maps.count; i++) {
		const struct thump_map *map = &cap->maps.list[i];
		const char *reason;
		enum thump_map_class class = thump_map_classify(map, &reason);

		if (class == THUMP_MAP_VDSO) {
			mm->vdso_start = map->start;
			mm->vdso_end = map->end;
		} else if (class == THUMP_MAP_VVAR) { /* [vvar], then [vvar_vclock] */
			mm->vvar_start = mm->vvar_start ? mm->vvar_start : map->start;
			mm->vvar_end = map->end;
		}
	}
}

static int hash_vdso(struct thump_capture *cap, struct thump_err *err)
{
	struct thump_mm *mm = &cap->model.mm;
	uint64_t size = mm->vdso_end - mm->vdso_start;
	auto_free unsigned char *bytes = NULL;
	XXH64_canonical_t canonical;

	_Static_assert(sizeof(canonical) == sizeof(mm->vdso_hash), "xxh3, 64 bits");
	if (size == 0)
		return 0;
	if (size > VDSO_LIMIT_BYTES)
		return thump_fail(err, "the vdso has %lu bytes", size);
	bytes = malloc(size);
	if (!bytes)
		return thump_out_of_memory(err);
	if (thump_target_read(cap->target, REMOTE(mm->vdso_start), bytes, size, err) < 0)
		return -1;
	XXH64_canonicalFromHash(&canonical, XXH3_64bits(bytes, size));
	memcpy(mm->vdso_hash, &canonical, sizeof(mm->vdso_hash));
	return 0;
}

int thump_capture_mm(struct thump_capture *cap, struct thump_err *err)
{
	struct remote_addr insn;

	set_fields(cap);
	if (read_auxv(cap, err) < 0)
		return -1;
	find_vdso(cap);
	if (hash_vdso(cap, err) < 0 || thump_target_syscall_insn(cap->target, &insn, err) < 0)
		return -1;
	cap->model.mm.syscall_insn = insn.addr;
	return 0;
}
