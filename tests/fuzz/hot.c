/* SPDX-License-Identifier: Apache-2.0 */
/* A table of hot memory beside an image: as it is, and with the checksum that it should have. */
#include "fuzz.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/fd.h"
#include "image/hash.h"
#include "image/read.h"

static void decode(const uint8_t *bytes, size_t size)
{
	/* That of the corpus. */
	const struct thump_image image = { .size_bytes = 4096, .seal = 1 };
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_arena arena;
	struct thump_hot hot;

	thump_arena_init(&arena);
	(void)!image_decode_hot_file(&image, bytes, size, &arena, &hot, &err);
	thump_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint64_t hash = htole64(image_hash(data, size));
	auto_free uint8_t *with_hash = malloc(size + sizeof(hash));

	decode(data, size);
	if (!with_hash)
		return 0;
	if (size)
		memcpy(with_hash, data, size);
	memcpy(with_hash + size, &hash, sizeof(hash));
	decode(with_hash, size + sizeof(hash));
	return 0;
}
