/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chunk store: what is stored of chunks, each in a file that is named by its hash, for all images
 * that were packed into it; docs/FORMAT.md, "Chunk stores". Who adds holds its lock shared, who
 * removes exclusively: so nothing is removed that is only about to be needed.
 */
#ifndef THUMP_PACK_STORE_H
#define THUMP_PACK_STORE_H

#include "base/fd.h"
#include "image/tempfile.h"
#include "pack/table.h"

struct pack_store {
	char *path;    /* of the folder */
	char *entered; /* of an image that is being made: its name in there; or NULL */
	int fd;	       /* its marker, which is locked; -1: closed */
};

#define PACK_STORE_INIT ((struct pack_store){ .fd = -1 })

enum pack_store_use {
	PACK_STORE_READ,   /* goes on without the lock when it is taken */
	PACK_STORE_ADD,	   /* made if `path` is not there, or an empty folder */
	PACK_STORE_REMOVE, /* waits until it is the only one */
};

THUMP_MUST_CHECK int pack_store_open(const char *path, enum pack_store_use use,
				     struct pack_store *store_ret, struct thump_err *err);
void pack_store_close(struct pack_store *store);
/* Whatever the paths are. */
THUMP_MUST_CHECK bool pack_store_is_same(const struct pack_store *a, const struct pack_store *b);

/* Several threads may do so at once. A file that does not hold the same bytes is replaced. */
THUMP_MUST_CHECK int pack_store_put(const struct pack_store *store, const struct pack_chunk *chunk,
				    const unsigned char *stored, bool *new_ret,
				    struct thump_err *err);
/* chunk->stored_size bytes that match chunk->hash, or DAMAGED, naming the file. Always: the name of
 * a file says nothing of its content, and who may write a store may not be who wrote the image. */
THUMP_MUST_CHECK int pack_store_get(const struct pack_store *store, const struct pack_chunk *chunk,
				    unsigned char *stored, struct thump_err *err);

/*
 * The store gets to know an image by a hard link of its file: for as long as that has another name,
 * wherever it was moved, the image lives. Entered before its first chunk is put, committed when it
 * is complete and synced, which makes all durable before it has its name, and left when that fails.
 */
THUMP_MUST_CHECK int pack_store_enter(struct pack_store *store, const struct image_tempfile *file,
				      struct thump_err *err);
THUMP_MUST_CHECK int pack_store_commit(const struct pack_store *store, struct image_tempfile *file,
				       struct thump_err *err);
void pack_store_leave(const struct pack_store *store, const struct image_tempfile *file);

/* The path of a store as an image at `image` notes it, and from there the path of the store; heap.
 */
THUMP_MUST_CHECK int pack_store_note(const struct pack_store *store, const char *image,
				     char **note_ret, struct thump_err *err);
THUMP_MUST_CHECK int pack_store_find(const char *note, const char *image, char **path_ret,
				     struct thump_err *err);

/* KEYS of an image whose chunks are in a store <-> the note. */
void pack_store_note_encode(struct thump_buf *buf, const char *note);
THUMP_MUST_CHECK int pack_store_note_decode(const unsigned char *bytes, size_t size,
					    char **note_ret, struct thump_err *err);

#endif
