/* SPDX-License-Identifier: Apache-2.0 */
/* Model -> notes. Nothing here can fail but for memory, which thump_buf remembers. */
#ifndef THUMP_IMAGE_ENCODE_H
#define THUMP_IMAGE_ENCODE_H

#include "base/bytes.h"
#include "model/model.h"

/* What only the writer of the content knows; extents are [i] of the model's backings. */
struct image_content {
	uint64_t memory_end, backing_end, debug_end, zero_end;
	const uint64_t *checksums;
	size_t nr_checksums;
	struct image_extent_list *backing_extents; /* [backing_id] */
};

struct image_extent_list {
	struct thump_extent *list;
	size_t count, room;
};

/* The notes of the threads: those of a core file and the THREAD records. */
void image_encode_threads(struct thump_buf *buf, const struct thump_model *model);

/* All other records but the SEAL. */
void image_encode_records(struct thump_buf *buf, const struct thump_model *model,
			  const struct image_content *content);

/* The two lists of a table of hot memory. */
void image_put_hot(struct thump_buf *buf, const struct thump_hot *hot);

/* The HOT record, unless it would be empty. */
void image_encode_hot(struct thump_buf *buf, const struct thump_hot *hot);

/* arch/: notes whose layout is the machine's. */
void image_encode_prstatus(struct thump_buf *buf, const struct thump_process *process,
			   const struct thump_task *task);
void image_encode_prpsinfo(struct thump_buf *buf, const struct thump_process *process,
			   const struct thump_task *leader);
void image_encode_fpregset(struct thump_buf *buf, const struct thump_task *task);

#endif
