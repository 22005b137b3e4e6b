/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in front of the data of a packed image: HEAD and TABLE <-> structs. */
#ifndef THUMP_PACK_TABLE_H
#define THUMP_PACK_TABLE_H

#include "base/bytes.h"
#include "pack/format.h"

struct pack_head {
	uint32_t version, flags;
	uint64_t raw_size, raw_meta_offset, data_size;
	uint32_t nr_chunks, keys_size;
	unsigned char key_check[PACK_HASH_SIZE], id[PACK_ID_SIZE]; /* zeros unless encrypted */
};

struct pack_chunk {
	uint64_t raw_offset;
	uint32_t raw_size, stored_size;
	enum pack_form form;
	uint32_t same; /* index, of form PACK_SAME */
	unsigned char hash[PACK_HASH_SIZE];
};

void pack_head_encode(struct thump_buf *buf, const struct pack_head *head);
void pack_table_encode(struct thump_buf *buf, const struct pack_chunk *chunks, uint32_t count);

/* Only what must be right for the place of DIGEST to be known; pack_head_check does the rest. */
THUMP_MUST_CHECK int pack_head_decode(const unsigned char bytes[PACK_HEAD_SIZE],
				      struct pack_head *head_ret, struct thump_err *err);
THUMP_MUST_CHECK int pack_head_check(const struct pack_head *head, struct thump_err *err);

/* chunks_ret has head->nr_chunks; `bytes` are so many entries. Checks every rule of the table. */
THUMP_MUST_CHECK int pack_table_decode(const struct pack_head *head, const unsigned char *bytes,
				       struct pack_chunk *chunks_ret, struct thump_err *err);

#endif
