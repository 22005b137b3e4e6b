/* SPDX-License-Identifier: Apache-2.0 */
#include "image/hash.h"

#define XXH_INLINE_ALL
#define XXH_NO_STDLIB
#include <xxhash.h>

uint64_t image_hash(const void *data, size_t size_bytes)
{
	return XXH3_64bits(data, size_bytes);
}

uint64_t image_hash2(const void *first, size_t first_size, const void *second, size_t second_size)
{
	XXH3_state_t state;

	XXH3_INITSTATE(&state);
	(void)XXH3_64bits_reset(&state);
	(void)XXH3_64bits_update(&state, first, first_size);
	(void)XXH3_64bits_update(&state, second, second_size);
	return XXH3_64bits_digest(&state);
}
