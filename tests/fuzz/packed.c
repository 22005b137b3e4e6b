/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of packed images, with what decompresses chunks. An input is a packed image. What no
 * mutation would ever get right is made right here: sums of sizes, hashes of chunks, the digest.
 */
#include "fuzz.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "pack/pack.h"
#include "pack/table.h"

#define MAX_BYTES  ((size_t)1 << 20)
#define MAX_CHUNKS 64u /* of a MiB each */

#define RAW_SIZE_AT  16
#define DATA_SIZE_AT 32
#define HASH_AT	     16 /* in an entry of the table */

static void make_hash_right(unsigned char *entry, const unsigned char *data, size_t *left,
			    uint64_t *raw_ret, uint64_t *stored_ret)
{
	uint32_t raw, stored;

	memcpy(&raw, entry, sizeof(raw));
	memcpy(&stored, entry + sizeof(raw), sizeof(stored));
	*raw_ret += raw;
	*stored_ret += stored;
	if (stored == 0 || stored > *left)
		return;
	(void)crypto_generichash(entry + HASH_AT, PACK_HASH_SIZE, data, stored, NULL, 0);
	*left -= stored;
}

static void make_right(unsigned char *bytes, size_t size)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct pack_head head;
	uint64_t raw = 0, stored = 0;
	size_t front, left;

	if (pack_head_decode(bytes, &head, &err) < 0)
		return;
	front = PACK_HEAD_SIZE + head.keys_size + (size_t)head.nr_chunks * PACK_ENTRY_SIZE;
	if (size < front + PACK_HASH_SIZE + sizeof(uint32_t))
		return;
	left = size - front - PACK_HASH_SIZE - sizeof(uint32_t);
	for (uint32_t i = 0; i < head.nr_chunks; i++)
		make_hash_right(bytes + PACK_HEAD_SIZE + head.keys_size + i * PACK_ENTRY_SIZE,
				bytes + size - left, &left, &raw, &stored);
	memcpy(bytes + RAW_SIZE_AT, &raw, sizeof(raw));
	memcpy(bytes + DATA_SIZE_AT, &stored, sizeof(stored));
	(void)crypto_generichash(bytes + front, PACK_HASH_SIZE, bytes, front, NULL, 0);
}

static bool is_small(const unsigned char *bytes)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct pack_head head;

	return pack_head_decode(bytes, &head, &err) < 0 || head.nr_chunks <= MAX_CHUNKS;
}

/* Unpacked at once, or chunk by chunk as a restore does it. */
static void open_packed(const unsigned char *bytes, size_t size, bool takes_supply)
{
	const struct thump_open_options options = { .extent = THUMP_OPEN_ALL,
						    .takes_supply = takes_supply };
	auto_close int fd = memfd_create("packed", MFD_CLOEXEC);
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image;
	char path[64];

	if (fd < 0 || thump_write_full(fd, bytes, size) < 0)
		return;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (thump_open(path, &options, &image, NULL, &err) < 0)
		return;
	(void)!thump_image_verify(image, NULL, NULL, &err);
	thump_image_destroy(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char *bytes;

	if (size < PACK_HEAD_SIZE || size > MAX_BYTES || sodium_init() < 0)
		return 0;
	bytes = malloc(size);
	if (!bytes)
		return 0;
	memcpy(bytes, data, size);
	make_right(bytes, size);
	if (is_small(bytes)) {
		open_packed(bytes, size, false);
		open_packed(bytes, size, true);
	}
	free(bytes);
	return 0;
}
