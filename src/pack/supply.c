/* SPDX-License-Identifier: Apache-2.0 */
/* The content of a packed image that is a file, chunk by chunk, in any order. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "pack/codec.h"
#include "pack/read.h"

struct pack_supply {
	struct thump_supply base;
	int fd; /* of the packed image */
	struct pack_front front;
	uint64_t *offsets; /* [nr_chunks], of what is stored */
	bool hashes;	   /* are checked */
};

static struct pack_supply *of_base(struct thump_supply *base)
{
	return (struct pack_supply *)base; /* its first member */
}

static void find(const struct thump_supply *base, uint32_t index, uint64_t *offset_ret,
		 size_t *size_ret)
{
	const struct pack_chunk *chunk = &((const struct pack_supply *)base)->front.chunks[index];

	*offset_ret = chunk->raw_offset;
	*size_ret = chunk->raw_size;
}

static int bench_create(struct thump_supply *base, void **bench_ret, struct thump_err *err)
{
	struct pack_bench *bench = malloc(sizeof(*bench));
	struct pack_coder *coder;

	if (!bench)
		return thump_fail_errno(err, "memory for chunks");
	if (pack_decoder_create(of_base(base)->front.cipher, &coder, err) < 0 ||
	    pack_bench_init(bench, coder, err) < 0) {
		free(bench);
		return -1;
	}
	*bench_ret = bench;
	return 0;
}

static void bench_destroy(void *bench)
{
	if (bench)
		pack_bench_deinit(bench);
	free(bench);
}

static int read_stored(const struct pack_supply *supply, uint32_t index, unsigned char *stored,
		       struct thump_err *err)
{
	const struct pack_chunk *chunk = &supply->front.chunks[index];

	if (supply->front.note)
		return pack_store_get(&supply->front.store, chunk, stored, err);
	if (thump_pread_full(supply->fd, stored, chunk->stored_size, supply->offsets[index]) == 0)
		return 0;
	if (errno == ENODATA)
		return thump_damaged(err, "it ends early");
	return thump_fail_errno(err, "read");
}

static int make(struct thump_supply *base, void *bench_, uint32_t index,
		const unsigned char **bytes_ret, struct thump_err *err)
{
	const struct pack_supply *supply = of_base(base);
	const struct pack_chunk *chunk = &supply->front.chunks[index];
	struct pack_bench *bench = bench_;

	if (chunk->form == PACK_ZEROS) {
		memset(bench->raw, 0, chunk->raw_size);
		*bytes_ret = bench->raw;
		return 0;
	}
	if (chunk->form == PACK_SAME) {
		index = chunk->same;
		chunk = &supply->front.chunks[index];
	}
	if (read_stored(supply, index, bench->stored, err) < 0 ||
	    (supply->hashes && pack_check_hash(chunk, bench->stored, err) < 0) ||
	    pack_decode(bench->coder, chunk, index, bench->stored, bench->raw, bytes_ret, err) < 0)
		return thump_add_context(err, "chunk %" PRIu32, index);
	return 0;
}

static void destroy(struct thump_supply *base)
{
	struct pack_supply *supply = of_base(base);

	pack_front_deinit(&supply->front);
	thump_close_fd(&supply->fd);
	free(supply->offsets);
	free(supply);
}

static const struct thump_supply_ops ops = { find, bench_create, make, bench_destroy, destroy };

int pack_supply_create(int fd, bool hashes, struct pack_front *front,
		       struct thump_supply **supply_ret, struct thump_err *err)
{
	struct pack_supply *supply = calloc(1, sizeof(*supply));
	uint64_t at = front->size_bytes;

	if (!supply)
		return thump_fail_errno(err, "memory for chunks");
	supply->front = PACK_FRONT_INIT;
	supply->base = (struct thump_supply){ .ops = &ops, .nr_pieces = front->head.nr_chunks };
	supply->hashes = hashes && !front->note; /* a store checks them */
	supply->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	supply->offsets = calloc(front->head.nr_chunks, sizeof(*supply->offsets));
	if (supply->fd < 0 || !supply->offsets) {
		(void)thump_fail_errno(err, "memory or descriptor for chunks");
		destroy(&supply->base);
		return -1;
	}
	for (uint32_t i = 0; i < front->head.nr_chunks; i++) {
		supply->offsets[i] = at;
		at += front->chunks[i].stored_size;
	}
	supply->front = *front;
	*front = PACK_FRONT_INIT;
	*supply_ret = &supply->base;
	return 0;
}
