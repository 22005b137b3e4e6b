/* SPDX-License-Identifier: Apache-2.0 */
/* XXH3-64 with seed 0; the library's header is compiled into hash.c alone. */
#ifndef THUMP_IMAGE_HASH_H
#define THUMP_IMAGE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t image_hash(const void *data, size_t size_bytes);

/* Of two buffers as if they were one. */
uint64_t image_hash2(const void *first, size_t first_size, const void *second, size_t second_size);

#endif
