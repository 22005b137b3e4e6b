/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where chunks are made of an image, by as many threads as there are processors: read and checked
 * in the order of the table, encoded in any, given their places in order, written in any.
 */
#ifndef THUMP_PACK_LINE_H
#define THUMP_PACK_LINE_H

#include "pack/cipher.h"
#include "pack/store.h"
#include "pack/team.h"

struct pack_batch;

struct pack_line {
	/* what there is to do; outlives the line */
	struct thump_image *image;
	const struct thump_pack_options *options;
	const struct pack_cipher *cipher; /* NULL: not encrypted */
	const struct pack_store *store;	  /* NULL: data is in the file */
	struct pack_chunk *chunks;	  /* get form, stored_size, same and hash */
	uint32_t nr_chunks;
	int fd;
	uint64_t data_offset; /* in the file */
	/* what came of it */
	uint64_t data_size;
	uint32_t nr_new; /* in the store */
	uint64_t new_bytes;
	/* of the line alone */
	struct thump_image_checker *checker; /* under `reading` */
	pthread_mutex_t reading;
	uint32_t nr_read;    /* chunks, under `reading` */
	uint32_t nr_batches; /* the same */
	pthread_t caller;
	struct pack_team team; /* all below is under its lock, and so is what came of it */
	/* chunk index + 1 by hash of what is stored; 0: free */
	uint32_t *known;
	size_t known_room; /* a power of two */
	struct pack_batch *batches;
	uint32_t room;	    /* of batches */
	uint32_t nr_placed; /* batches */
	bool all_read;
};

THUMP_MUST_CHECK int pack_line_run(struct pack_line *line, struct thump_err *err);

#endif
