/* SPDX-License-Identifier: Apache-2.0 */
/* A packed image that is being read, from front to back. */
#ifndef THUMP_PACK_READ_H
#define THUMP_PACK_READ_H

#include "pack/pack.h"
#include "pack/cipher.h"
#include "pack/signature.h"
#include "pack/store.h"

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
	unsigned char *bytes;	   /* KEYS, TABLE and DIGEST, as they stand there */
	const unsigned char *digest;
	struct pack_signature signatures[PACK_MAX_SIGNED];
	uint32_t nr_signatures;
	struct pack_cipher *cipher; /* NULL: not encrypted, or not asked for */
	char *note;		    /* where its chunk store is; NULL: data follows */
	struct pack_store store;    /* once it was opened */
};

#define PACK_FRONT_INIT ((struct pack_front){ .store = PACK_STORE_INIT })

/* coming.c: an image, packed or not, of which only the first bytes were looked at. */
struct pack_coming {
	struct pack_stream stream;
	struct stat origin;
	const char *name; /* for messages */
	size_t nr_ahead;  /* bytes of stream.ahead that there are */
	int fd;
};

THUMP_MUST_CHECK int pack_coming_open(const char *path, struct pack_coming *coming_ret,
				      struct thump_err *err);
void pack_coming_close(struct pack_coming *coming);
bool pack_coming_is_packed(const struct pack_coming *coming);
/* Goes to where pack_front_read goes on. */
THUMP_MUST_CHECK int pack_coming_begin(const struct pack_coming *coming, struct thump_err *err);

/* All of it, or DAMAGED when it ends before. */
THUMP_MUST_CHECK int pack_coming_read(int fd, void *buf, size_t size_bytes, struct thump_err *err);

/* front.c: reads and checks all that stands in front of the data; the first bytes of it were read
 * into stream->ahead. Signatures first, those that `keys` (or NULL) asks for among them. */
THUMP_MUST_CHECK int pack_front_read(struct pack_stream *stream, const struct thump_keys *keys,
				     struct pack_front *front_ret, struct thump_err *err);
/* Finds the data key, if there is one. */
THUMP_MUST_CHECK int pack_front_unlock(struct pack_front *front, const struct thump_keys *keys,
				       struct thump_err *err);
/* Opens the chunk store, if there is one: `store`, or if that is NULL the one that it notes. */
THUMP_MUST_CHECK int pack_front_find_store(struct pack_front *front,
					   const struct pack_coming *coming, const char *store,
					   struct thump_err *err);
struct thump_packed_info pack_front_info(const struct pack_front *front);
void pack_front_deinit(struct pack_front *front);

/* Does it hold what `extent` tells of? */
bool pack_front_wants(const struct pack_front *front, enum thump_open_extent extent,
		      const struct pack_chunk *chunk);

/* memory.c: refuses what takes more than `left` of memory. */
THUMP_MUST_CHECK int pack_memory_check(uint64_t needed, uint64_t left, struct thump_err *err);
/* The pages of memory that unpacking writes to. */
uint64_t pack_memory_needed(const struct pack_front *front, enum thump_open_extent extent);

/* unpack.c: are the hashes of chunks checked? */
bool pack_checks_hashes(const struct thump_open_options *options);
/* Reads the data and writes the raw image into `fd`, an empty file. With THUMP_OPEN_META
 * the rest becomes a hole. */
THUMP_MUST_CHECK int pack_unpack_data(struct pack_stream *stream, const struct pack_front *front,
				      const struct thump_open_options *options, int fd,
				      struct thump_err *err);

/* supply.c: takes `front`, which is unlocked, when it succeeds. fd is a file. */
THUMP_MUST_CHECK int pack_supply_create(int fd, bool hashes, struct pack_front *front,
					struct thump_supply **supply_ret, struct thump_err *err);

#endif
