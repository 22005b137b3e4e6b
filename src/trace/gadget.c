/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "proc/maps.h"
#include "trace/internal.h"

#define CHUNK_SIZE    ((size_t)256 << 10)
#define CHUNK_OVERLAP ((size_t)32) /* no gadget is longer */
#define LUXURY_BYTES  ((uint64_t)2 << 20)

int thump_read_maps(int proc_fd, struct thump_maps *maps, struct thump_err *err)
{
	auto_close int fd = openat(proc_fd, "maps", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return thump_fail_errno(err, "open /proc/PID/maps");
	return thump_maps_read(maps, fd, err);
}

/*
 * Files before the vdso, which another kernel replaces, and both before anonymous memory, which a
 * compiler at run time may write anew; small ones first, because reading is what takes time.
 */
static int map_class(const struct thump_map *map)
{
	if (map->ino != 0)
		return 0;
	return strcmp(map->path, "[vdso]") == 0 ? 1 : 2;
}

static int compare_maps(const void *a, const void *b)
{
	const struct thump_map *left = *(const struct thump_map *const *)a;
	const struct thump_map *right = *(const struct thump_map *const *)b;
	const uint64_t left_size = left->end - left->start, right_size = right->end - right->start;

	if (map_class(left) != map_class(right))
		return map_class(left) - map_class(right);
	return (left_size > right_size) - (left_size < right_size);
}

static bool found_enough(const struct thump_gadgets *gadgets, bool chain)
{
	return chain ? thump_arch_gadgets_complete(gadgets) : gadgets->syscall != 0;
}

/* What can be done without is looked for in the first mappings only. */
static bool is_search_over(const struct thump_gadgets *gadgets, bool chain, uint64_t searched_bytes)
{
	return found_enough(gadgets, chain) &&
	       (!chain || thump_arch_gadgets_run_trains(gadgets) || searched_bytes >= LUXURY_BYTES);
}

static void search_map(int mem_fd, const struct thump_map *map, bool chain, unsigned char *chunk,
		       uint64_t *searched_bytes, struct thump_gadgets *gadgets)
{
	uint64_t at = map->start;

	while (at < map->end && !is_search_over(gadgets, chain, *searched_bytes)) {
		const size_t size = (size_t)thump_min_u64(CHUNK_SIZE, map->end - at);
		const ssize_t got = pread(mem_fd, chunk, size, (off_t)at);

		/* Not readable: [vsyscall], a file cut short under its mapping. */
		if (got <= 0)
			return;
		thump_arch_find_gadgets(chunk, (size_t)got, at, gadgets);
		*searched_bytes += (size_t)got;
		at += (size_t)got > CHUNK_OVERLAP && at + (size_t)got < map->end
			      ? (size_t)got - CHUNK_OVERLAP
			      : (size_t)got;
	}
}

int thump_find_gadgets(int mem_fd, const struct thump_maps *maps, bool chain,
		       struct thump_gadgets *gadgets_ret, struct thump_err *err)
{
	auto_free const struct thump_map **order = calloc(maps->count + 1, sizeof(*order));
	auto_free unsigned char *chunk = malloc(CHUNK_SIZE);
	struct thump_gadgets gadgets = { 0 };
	uint64_t searched_bytes = 0;
	size_t count = 0;

	if (!order || !chunk)
		return thump_fail_errno(err, "search for system call instructions");
	for (size_t i = 0; i < maps->count; i++) {
		if (maps->list[i].prot & PROT_EXEC)
			order[count++] = &maps->list[i];
	}
	qsort(order, count, sizeof(*order), compare_maps);
	for (size_t i = 0; i < count && !is_search_over(&gadgets, chain, searched_bytes); i++)
		search_map(mem_fd, order[i], chain, chunk, &searched_bytes, &gadgets);
	if (!found_enough(&gadgets, chain))
		return thump_refuse(err,
				    "no usable system call instruction in %zu executable "
				    "mappings",
				    count);
	*gadgets_ret = gadgets;
	return 0;
}

static bool is_executable(void *ctx, const struct thump_map *map)
{
	(void)ctx;
	return map->prot & PROT_EXEC;
}

int thump_find_syscall_insn(int proc_fd, int mem_fd, struct remote_addr *insn_ret,
			    struct thump_err *err)
{
	struct thump_gadgets gadgets;
	struct thump_arena arena;
	struct thump_maps maps;
	int result;

	thump_arena_init(&arena);
	thump_maps_init(&maps, &arena);
	maps.wanted = is_executable;
	result = thump_read_maps(proc_fd, &maps, err);
	if (result == 0)
		result = thump_find_gadgets(mem_fd, &maps, false, &gadgets, err);
	if (result == 0)
		insn_ret->addr = gadgets.syscall;
	thump_arena_deinit(&arena);
	return result;
}
