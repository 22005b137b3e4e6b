/* SPDX-License-Identifier: Apache-2.0 */
/* A packed image that is being read, from front to back. */
#ifndef THUMP_PACK_READ_H
#define THUMP_PACK_READ_H

#include "pack/pack.h"
#include "pack/table.h"

/* Bytes that come once, from a file or a pipe. Does not own fd. */
struct pack_stream {
	int fd;
	bool seekable;
	uint64_t size_bytes;		      /* of the file, if seekable */
	unsigned char ahead[PACK_MAGIC_SIZE]; /* were read to find out what it is */
};

struct pack_front {
	struct pack_head head;
	struct pack_chunk *chunks; /* [head.nr_chunks] */
	uint64_t size_bytes;	   /* of all in front of the data */
};

/* Is what stands ahead the beginning of a packed image? */
bool pack_stream_is_packed(const struct pack_stream *stream);

/* front.c: reads and checks all that stands in front of the data; the first bytes of it were read
 * into stream->ahead. */
THUMP_MUST_CHECK int pack_front_read(struct pack_stream *stream, struct pack_front *front_ret,
				     struct thump_err *err);
void pack_front_deinit(struct pack_front *front);

/* unpack.c: reads the data and writes the raw image into `fd`, an empty file. With THUMP_OPEN_META
 * the rest becomes a hole. */
THUMP_MUST_CHECK int pack_unpack_data(struct pack_stream *stream, const struct pack_front *front,
				      const struct thump_open_options *options, int fd,
				      struct thump_err *err);

#endif
