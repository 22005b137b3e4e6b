/* SPDX-License-Identifier: Apache-2.0 */
#include "image/hash.h"

#include <assert.h>

#define XXH_INLINE_ALL
#define XXH_NO_STDLIB
#include <xxhash.h>

#include "image/arch/hash.h"

static_assert(sizeof(XXH3_state_t) <= IMAGE_HASHER_ROOM, "room for the state of XXH3");
static_assert(_Alignof(XXH3_state_t) <= 64, "alignment of the state of XXH3");

void image_hasher_init(struct image_hasher *hasher)
{
	XXH3_state_t *state = (XXH3_state_t *)hasher->room;

	XXH3_INITSTATE(state);
	(void)XXH3_64bits_reset(state);
}

void image_hasher_add(struct image_hasher *hasher, const void *data, size_t size_bytes)
{
	if (image_arch_hashes_faster())
		image_arch_hasher_add(hasher, data, size_bytes);
	else
		(void)XXH3_64bits_update((XXH3_state_t *)hasher->room, data, size_bytes);
}

uint64_t image_hasher_result(const struct image_hasher *hasher)
{
	return XXH3_64bits_digest((const XXH3_state_t *)hasher->room);
}

uint64_t image_hash(const void *data, size_t size_bytes)
{
	if (image_arch_hashes_faster())
		return image_arch_hash(data, size_bytes);
	return XXH3_64bits(data, size_bytes);
}

uint64_t image_hash2(const void *first, size_t first_size, const void *second, size_t second_size)
{
	struct image_hasher hasher;

	image_hasher_init(&hasher);
	image_hasher_add(&hasher, first, first_size);
	image_hasher_add(&hasher, second, second_size);
	return image_hasher_result(&hasher);
}
