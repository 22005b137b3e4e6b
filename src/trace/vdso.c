/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No thread is kept in the middle of a vdso(7) function. There it holds what it has read from the
 * kernel's pages for this boot, this host and this time namespace (sequence counts, the address of
 * the second data page that exists in a time namespace only: do_hres_timens() in lib/vdso), and
 * would go on with it where all of that is different: SIGBUS, or a wrong time.
 *
 * The functions take a microsecond and wait for nothing, so such a thread is let go on for a moment
 * (seize.c). Single-stepping would lead out for certain, but see rule 3 in target.h.
 */
#include <string.h>

#include "proc/maps.h"
#include "trace/internal.h"

static bool is_vdso(void *ctx, const struct thump_map *map)
{
	(void)ctx;
	return map->ino == 0 && strcmp(map->path, "[vdso]") == 0;
}

/* Looked for when a thread is found running for the first time; it does not move after that. */
static int find_vdso(struct thump_target *target, struct thump_err *err)
{
	struct thump_arena arena;
	struct thump_maps maps;
	int result;

	if (target->vdso_looked_for)
		return 0;
	thump_arena_init(&arena);
	thump_maps_init(&maps, &arena);
	maps.wanted = is_vdso;
	result = thump_read_maps(target->proc_fd, &maps, err);
	if (result == 0 && maps.count) {
		target->vdso_start = maps.list[0].start;
		target->vdso_end = maps.list[0].end;
	}
	target->vdso_looked_for = result == 0;
	thump_arena_deinit(&arena);
	return result;
}

int thump_in_vdso(struct thump_target *target, const struct thump_target_thread *thread,
		  bool *inside_ret, struct thump_err *err)
{
	const uint64_t pc = thump_arch_pc(&thread->regs);

	*inside_ret = false;
	/* Most threads sleep in a call; then nothing has to be looked for. */
	if (thump_arch_blocked_syscall(&thread->regs) != THUMP_NO_SYSCALL)
		return 0;
	if (find_vdso(target, err) != 0)
		return -1;
	*inside_ret = pc >= target->vdso_start && pc < target->vdso_end;
	return 0;
}
