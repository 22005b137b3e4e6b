/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that lives exactly as long as one model: allocated piece by piece, freed at once.
 * All functions return NULL with errno ENOMEM on failure; memory is zeroed.
 */
#ifndef THUMP_BASE_ARENA_H
#define THUMP_BASE_ARENA_H

#include "base/types.h"

struct thump_arena_block;

struct thump_arena {
	struct thump_arena_block *blocks;
};

void thump_arena_init(struct thump_arena *arena);
void thump_arena_deinit(struct thump_arena *arena);

void *thump_arena_alloc(struct thump_arena *arena, size_t count, size_t size_bytes);
char *thump_arena_strdup(struct thump_arena *arena, const char *text);
char *thump_arena_strndup(struct thump_arena *arena, const char *text, size_t len);
void *thump_arena_memdup(struct thump_arena *arena, const void *data, size_t size_bytes);
char *thump_arena_printf(struct thump_arena *arena, const char *fmt, ...) THUMP_PRINTF(2, 3);

/*
 * Makes room for one more element in an arena array of `count` elements; the room doubles at powers
 * of two. Old copies of a small array stay in the arena, a big one moves. New room is not zeroed.
 * Returns the array, possibly moved.
 */
void *thump_arena_grow(struct thump_arena *arena, void *array, size_t count, size_t size_bytes);

#endif
