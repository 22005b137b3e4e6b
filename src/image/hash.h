/* SPDX-License-Identifier: Apache-2.0 */
/* XXH3-64 with seed 0; the library's header is compiled into hash.c and arch/ alone. */
#ifndef THUMP_IMAGE_HASH_H
#define THUMP_IMAGE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t image_hash(const void *data, size_t size_bytes);

/* Of two buffers as if they were one. */
uint64_t image_hash2(const void *first, size_t first_size, const void *second, size_t second_size);

/* Of any number of buffers as if they were one; holds no memory of its own. */
#define IMAGE_HASHER_ROOM 640
struct image_hasher {
	_Alignas(64) unsigned char room[IMAGE_HASHER_ROOM];
};
void image_hasher_init(struct image_hasher *hasher);
void image_hasher_add(struct image_hasher *hasher, const void *data, size_t size_bytes);
uint64_t image_hasher_result(const struct image_hasher *hasher);

#endif
