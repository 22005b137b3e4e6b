/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first block; each further one is twice as big, up to the greatest. Small ones keep the memory
 * small that a fork copies. */
#define FIRST_BLOCK_BYTES    ((size_t)8 << 10)
#define GREATEST_BLOCK_BYTES ((size_t)64 << 10)
#define ALIGN_BYTES	     ((size_t)16)

struct thump_arena_block {
	struct thump_arena_block *next;
	size_t used, room;
	_Alignas(16) unsigned char bytes[];
};

void thump_arena_init(struct thump_arena *arena)
{
	arena->blocks = NULL;
}

void thump_arena_deinit(struct thump_arena *arena)
{
	while (arena->blocks) {
		struct thump_arena_block *next = arena->blocks->next;

		free(arena->blocks);
		arena->blocks = next;
	}
}

static struct thump_arena_block *add_block(struct thump_arena *arena, size_t size_bytes)
{
	size_t room = arena->blocks ? 2 * arena->blocks->room : FIRST_BLOCK_BYTES;
	struct thump_arena_block *block;

	if (room > GREATEST_BLOCK_BYTES)
		room = GREATEST_BLOCK_BYTES;
	if (room < size_bytes)
		room = size_bytes;
	block = malloc(sizeof(*block) + room);
	if (!block)
		return NULL;
	block->used = 0;
	block->room = room;
	block->next = arena->blocks;
	arena->blocks = block;
	return block;
}

void *thump_arena_alloc(struct thump_arena *arena, size_t count, size_t size_bytes)
{
	struct thump_arena_block *block = arena->blocks;
	size_t total;
	void *memory;

	if (__builtin_mul_overflow(count, size_bytes, &total) || total > SIZE_MAX / 2) {
		errno = ENOMEM;
		return NULL;
	}
	total = (total + ALIGN_BYTES - 1) & ~(ALIGN_BYTES - 1);
	if (!block || block->room - block->used < total)
		block = add_block(arena, total);
	if (!block)
		return NULL;
	memory = block->bytes + block->used;
	block->used += total;
	/* Here, and not a whole block at once: pages that are not used are never touched. */
	return memset(memory, 0, total);
}

void *thump_arena_memdup(struct thump_arena *arena, const void *data, size_t size_bytes)
{
	void *copy = thump_arena_alloc(arena, size_bytes ? size_bytes : 1, 1);

	if (copy && size_bytes)
		memcpy(copy, data, size_bytes);
	return copy;
}

char *thump_arena_strndup(struct thump_arena *arena, const char *text, size_t len)
{
	char *copy = thump_arena_alloc(arena, len + 1, 1);

	if (copy && len)
		memcpy(copy, text, len);
	return copy;
}

char *thump_arena_strdup(struct thump_arena *arena, const char *text)
{
	return thump_arena_strndup(arena, text, strlen(text));
}

char *thump_arena_printf(struct thump_arena *arena, const char *fmt, ...)
{
	char *text = NULL, *copy = NULL;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vasprintf(&text, fmt, args);
	va_end(args);
	if (len >= 0) {
		copy = thump_arena_strndup(arena, text, (size_t)len);
		free(text);
	}
	return copy;
}

/* The place of the block that holds nothing but an array of so many bytes; NULL: there is none. */
static struct thump_arena_block **block_of(struct thump_arena *arena, const void *array,
					   size_t size_bytes)
{
	struct thump_arena_block **at = &arena->blocks;

	while (*at && (*at)->bytes != array)
		at = &(*at)->next;
	return *at && (*at)->room == size_bytes ? at : NULL;
}

/* realloc(3) moves what is so big by mremap(2): no copy, and no page that is not used. */
static void *grow_block(struct thump_arena_block **at, size_t room)
{
	struct thump_arena_block *block = realloc(*at, sizeof(*block) + room);

	if (!block)
		return NULL;
	block->used = block->room = room;
	*at = block;
	return block->bytes;
}

void *thump_arena_grow(struct thump_arena *arena, void *array, size_t count, size_t size_bytes)
{
	struct thump_arena_block **at = NULL;
	void *bigger;

	if (count != 0 && (count & (count - 1)) != 0)
		return array;
	if (count && count <= SIZE_MAX / 4 / size_bytes &&
	    count * size_bytes > GREATEST_BLOCK_BYTES)
		at = block_of(arena, array, count * size_bytes);
	if (at)
		return grow_block(at, 2 * count * size_bytes);
	bigger = thump_arena_alloc(arena, count ? count * 2 : 1, size_bytes);
	if (bigger && count)
		memcpy(bigger, array, count * size_bytes);
	return bigger;
}
