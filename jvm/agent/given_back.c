/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a lazy restore the arenas of malloc(3) are private mappings of the image, as no code in the
 * original gave their memory back but malloc (code.c). A library that is loaded later may: it would
 * find the image's content where madvise(2) promises zeros. What it calls instead makes anonymous
 * memory of such a range first.
 *
 * No work in a restore: the arenas are looked for when the first library is loaded after it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent.h"

/* HEAP_MAX_SIZE in malloc/arena.c; see also src/capture/vouched.c. */
#define ARENA_BYTES ((uintptr_t)64 << 20)

/* What an arena begins with: struct _heap_info. */
struct heap_info {
	uintptr_t arena, previous;
	size_t size_bytes, accessible_bytes;
};

struct mapping {
	uintptr_t start, end;
	unsigned long inode;
};

/* Parts of arenas that are mapped from the image. */
struct image_parts {
	size_t count;
	struct mapping list[];
};

static uintptr_t lower(uintptr_t a, uintptr_t b)
{
	return a < b ? a : b;
}

/* The next private mapping that is readable and writable, as all of malloc's are. */
static bool next_mapping(FILE *maps, char **line, size_t *room, struct mapping *mapping_ret)
{
	char access[5];

	while (getline(line, room, maps) > 0) {
		if (sscanf(*line, "%lx-%lx %4s %*x %*s %lu", &mapping_ret->start, &mapping_ret->end,
			   access, &mapping_ret->inode) == 4 &&
		    strcmp(access, "rw-p") == 0)
			return true;
	}
	return false;
}

/* ---- which they are ------------------------------------------------------------------------- */

/* Where an arena may begin; `start` if none does. Through /proc/self/mem, as malloc may unmap it
 * meanwhile. */
static uintptr_t end_of_arena(int mem, uintptr_t start)
{
	struct heap_info info;

	if (pread(mem, &info, sizeof(info), (off_t)start) != (ssize_t)sizeof(info) ||
	    info.accessible_bytes > ARENA_BYTES || info.size_bytes > info.accessible_bytes ||
	    info.previous % ARENA_BYTES != 0)
		return start;
	return start + info.accessible_bytes;
}

static bool add(struct image_parts **parts, const struct mapping *part)
{
	size_t count = *parts ? (*parts)->count : 0;
	struct image_parts *longer =
		realloc(*parts, sizeof(*longer) + (count + 1) * sizeof(longer->list[0]));

	if (!longer)
		return false;
	*parts = longer;
	longer->count = count + 1;
	longer->list[count] = *part;
	return true;
}

/* *arena_end is that of the last arena seen. Nobody maps files inside of one but the restore. */
static bool add_parts(int mem, const struct mapping *mapping, uintptr_t *arena_end,
		      struct image_parts **parts)
{
	struct mapping part = *mapping;

	for (; part.start < mapping->end; part.start = part.end) {
		if (part.start % ARENA_BYTES == 0)
			*arena_end = end_of_arena(mem, part.start);
		part.end = lower(mapping->end, (part.start / ARENA_BYTES + 1) * ARENA_BYTES);
		if (part.inode && part.start < *arena_end && !add(parts, &part))
			return false;
	}
	return true;
}

static bool find_parts(struct image_parts **parts)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	struct mapping mapping;
	uintptr_t arena_end = 0;
	char *line = NULL;
	size_t room = 0;
	bool fine = maps && mem >= 0;

	while (fine && next_mapping(maps, &line, &room, &mapping))
		fine = add_parts(mem, &mapping, &arena_end, parts);
	free(line);
	if (maps)
		(void)fclose(maps);
	if (mem >= 0)
		(void)close(mem);
	return fine;
}

/* ---- giving memory back --------------------------------------------------------------------- */

static const struct mapping *find(const struct image_parts *parts, uintptr_t start, uintptr_t end)
{
	for (size_t i = 0; parts && i < parts->count; i++)
		if (parts->list[i].start < end && parts->list[i].end > start)
			return &parts->list[i];
	return NULL;
}

/* What of the range is such a part still: malloc may have given it back, and others have it. */
static bool make_anonymous(const struct image_parts *parts, uintptr_t start, uintptr_t end)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	struct mapping mapping;
	char *line = NULL;
	size_t room = 0;
	bool fine = maps;

	while (fine && next_mapping(maps, &line, &room, &mapping) && mapping.start < end) {
		uintptr_t first = mapping.start > start ? mapping.start : start;
		uintptr_t last = lower(mapping.end, end);
		const struct mapping *part = first < last ? find(parts, first, last) : NULL;

		if (part && part->inode == mapping.inode)
			fine = mmap((void *)first, last - first, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
	}
	free(line);
	if (maps)
		(void)fclose(maps);
	return fine;
}

static int own_madvise(void *addr, size_t size_bytes, int advice)
{
	const uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)addr;
	const struct image_parts *parts =
		__atomic_load_n(&agent_get()->image_parts, __ATOMIC_ACQUIRE);
	uintptr_t end;

	if ((advice == MADV_DONTNEED || advice == MADV_FREE) && start % page_size == 0 &&
	    !__builtin_add_overflow(start, size_bytes, &end) && find(parts, start, end)) {
		end += -end % page_size;
		if (!make_anonymous(parts, start, end)) {
			errno = ENOMEM;
			return -1;
		}
	}
	return madvise(addr, size_bytes, advice);
}

/* ---- when ----------------------------------------------------------------------------------- */

void given_back_restored(struct agent *agent, bool promised)
{
	/* Of another image. Native code that runs already may look at them: they stay. */
	__atomic_store_n(&agent->image_parts, NULL, __ATOMIC_RELEASE);
	__atomic_store_n(&agent->looks_for_parts, promised, __ATOMIC_RELEASE);
}

/* Two threads may do the same at once: what one of them finds is as good as the other's. */
static void look_for_parts(struct agent *agent)
{
	struct image_parts *parts = NULL;

	if (!find_parts(&parts))
		agent_complain(agent,
			       "memory of malloc that is mapped from the image cannot be found: "
			       "native libraries that are loaded now must not give it back",
			       JVMTI_ERROR_NONE);
	__atomic_store_n(&agent->image_parts, parts, __ATOMIC_RELEASE);
	__atomic_store_n(&agent->looks_for_parts, false, __ATOMIC_RELEASE);
}

void given_back_loaded(struct agent *agent)
{
	const struct slot slot = { "madvise", (uintptr_t)own_madvise };

	if (__atomic_load_n(&agent->looks_for_parts, __ATOMIC_ACQUIRE))
		look_for_parts(agent);
	if (__atomic_load_n(&agent->image_parts, __ATOMIC_ACQUIRE))
		slots_point_everywhere(&slot, 1);
}
