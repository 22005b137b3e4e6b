/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STAGE 2: model <-> bytes. The image is an ELF core file; docs/FORMAT.md is the spec. Writer and
 * reader do not depend on each other. The reader trusts nothing.
 */
#ifndef THUMP_IMAGE_IMAGE_H
#define THUMP_IMAGE_IMAGE_H

#include <sys/stat.h>

#include "base/err.h"
#include "model/model.h"

struct thump_image;

/* ---- writing -------------------------------------------------------------------------- */

/* Where memory content comes from; called from the thread that called thump_image_write, memory in
 * ascending order, then backings in the order of their ids. */
struct thump_page_source {
	void *ctx;
	/* Reads size_bytes (a multiple of the page size, at most 1 MiB) of target memory at addr.
	 */
	int (*read_memory)(void *ctx, uint64_t addr, void *buf, size_t size_bytes,
			   struct thump_err *err);
	/* The same for the content of backing `backing_id` (carried files, memfds, shmem). Never
	 * asked for bytes behind its content_size_bytes, so size_bytes may be no page multiple at
	 * the end. */
	int (*read_backing)(void *ctx, uint32_t backing_id, uint64_t offset, void *buf,
			    size_t size_bytes, struct thump_err *err);
	/* Everything is read, and the model's records are written next: the last moment to complete
	 * it. May be NULL. */
	int (*settle)(void *ctx, struct thump_err *err);
};

typedef void (*thump_progress_fn)(void *ctx, uint64_t done_bytes, uint64_t total_bytes);

struct thump_image_options {
	const char *path;	    /* final name; written as a temporary file beside it. NULL: into
				       memory, to be taken out of the writer */
	mode_t mode;		    /* 0: 0400 */
	bool sync;		    /* fsync file and directory before the rename */
	thump_progress_fn progress; /* may be NULL */
	void *progress_ctx;
};

struct thump_image_stats {
	uint64_t file_bytes;   /* size of the image */
	uint64_t memory_bytes; /* content stored */
	uint64_t zero_bytes;   /* pages found all zero, not stored */
	uint64_t read_ns, write_ns, sync_ns;
};

/*
 * Two steps, so that a caller can do something between "all bytes are in the temporary file" and
 * "the name exists": write makes the temporary file complete and synced; commit renames it;
 * discard removes it. A process that dies leaves at most a file ".NAME.NUMBER.tmp" (or nothing,
 * where O_TMPFILE works and NAME was free).
 */
struct thump_image_writer;
/* Before a target is stopped for it: is `path` a place for an image? */
THUMP_MUST_CHECK int thump_image_try(const char *path, struct thump_err *err);
THUMP_MUST_CHECK int thump_image_write(const struct thump_image_options *options,
				       const struct thump_model *model,
				       const struct thump_page_source *source,
				       struct thump_image_writer **writer_ret,
				       struct thump_image_stats *stats_ret, struct thump_err *err);
/* A copy of an open image with this table of hot memory, in place of any that it has. Content is
 * copied as it is, whole or damaged, with its checksums. Mode and sync are the options'. */
THUMP_MUST_CHECK int thump_image_write_hot(const struct thump_image_options *options,
					   const struct thump_image *image,
					   const struct thump_hot *hot,
					   struct thump_image_writer **writer_ret,
					   struct thump_err *err);
THUMP_MUST_CHECK int thump_image_commit(struct thump_image_writer *writer, struct thump_err *err);
/* The memfd with the complete image; the caller's from then on. */
int thump_image_writer_take_memory(struct thump_image_writer *writer);
void thump_image_writer_destroy(struct thump_image_writer *writer); /* discards if not committed */

/* ---- reading -------------------------------------------------------------------------- */

/* Opens and checks header, notes and every record; memory content is not read. DAMAGED names the
 * rule that is broken. The model is owned by the image; extents carry file offsets. */
THUMP_MUST_CHECK int thump_image_open(const char *path, struct thump_image **image_ret,
				      struct thump_err *err);
THUMP_MUST_CHECK int thump_image_open_fd(int fd, const char *name, struct thump_image **image_ret,
					 struct thump_err *err); /* takes a dup of fd */
/* The same for an image that was unpacked into memory, a memfd: `origin` says who could have
 * written what it was made of. Takes fd, on failure too. */
THUMP_MUST_CHECK int thump_image_open_unpacked(int fd, const struct stat *origin, const char *name,
					       struct thump_image **image_ret,
					       struct thump_err *err);
/* The first page of what comes in a pipe: DAMAGED unless it is that of an image, which then has no
 * more than *max_bytes_ret bytes. */
THUMP_MUST_CHECK int thump_image_check_header(const unsigned char page[THUMP_PAGE_SIZE],
					      uint64_t *max_bytes_ret, struct thump_err *err);
void thump_image_destroy(struct thump_image *image);

/*
 * Content that is made when it is asked for: of an image that was unpacked only as far as it says
 * what there is. Pieces lie back to back in the image, each at most 1 MiB.
 */
struct thump_supply;
struct thump_supply_ops {
	void (*find)(const struct thump_supply *supply, uint32_t index, uint64_t *offset_ret,
		     size_t *size_ret);
	/* What one thread makes pieces with. */
	int (*bench_create)(struct thump_supply *supply, void **bench_ret, struct thump_err *err);
	/* The piece is on the bench until the next one is made. Has no memory, descriptor or lock
	 * of its own: several threads do it at a time, and others may fork meanwhile. */
	int (*make)(struct thump_supply *supply, void *bench, uint32_t index,
		    const unsigned char **bytes_ret, struct thump_err *err);
	void (*bench_destroy)(void *bench); /* NULL is fine */
	void (*destroy)(struct thump_supply *supply);
};
struct thump_supply {
	const struct thump_supply_ops *ops;
	uint32_t nr_pieces;
};
/* For an image that was opened by thump_image_open_unpacked; takes supply, on failure too. */
THUMP_MUST_CHECK int thump_image_set_supply(struct thump_image *image, struct thump_supply *supply,
					    struct thump_err *err);
/* NULL: all content is in the file. */
struct thump_supply *thump_image_supply(const struct thump_image *image);
/* Makes pieces until the file has this part. */
THUMP_MUST_CHECK int thump_image_fetch(struct thump_image *image, uint64_t offset,
				       uint64_t size_bytes, struct thump_err *err);

/* Content as it is stored, checked or not. */
THUMP_MUST_CHECK int thump_image_read(struct thump_image *image, uint64_t offset, void *buf,
				      size_t size_bytes, struct thump_err *err);

const struct thump_model *thump_image_model(const struct thump_image *image);
int thump_image_fd(const struct thump_image *image); /* read-only, CLOEXEC, owned by image */
uint64_t thump_image_size(const struct thump_image *image);
/* The file that the image came in: the same one, unless it was unpacked. */
const struct stat *thump_image_origin(const struct thump_image *image);
bool thump_image_is_unpacked(const struct thump_image *image);

/* Where its parts begin, as docs/FORMAT.md lays them out. */
struct thump_image_parts {
	uint64_t memory, backings, debug, zeros, meta;
};
struct thump_image_parts thump_image_parts(const struct thump_image *image);

/* Checks the checksums of all content (and that padding is zero), with two threads. */
THUMP_MUST_CHECK int thump_image_verify(struct thump_image *image, thump_progress_fn progress,
					void *progress_ctx, struct thump_err *err);

/*
 * The record that all content was verified, in a file FILE.verified beside the image that goes
 * where the image goes. It is believed when both lie on read-only mounts and it belongs to root or
 * the caller, and nobody else may write it; record.c says why.
 */
THUMP_MUST_CHECK int thump_image_record(const struct thump_image *image, struct thump_err *err);
THUMP_MUST_CHECK int thump_image_forget_record(const struct thump_image *image,
					       struct thump_err *err);
bool thump_image_is_recorded(const struct thump_image *image);

/*
 * A table of hot memory for an image that has none: a file FILE.hot beside it, of root or the
 * caller, which nobody else may write. Loading changes the model; false when there is no good one,
 * or the image needs none.
 */
THUMP_MUST_CHECK int thump_image_save_hot(const struct thump_image *image,
					  const struct thump_hot *hot, struct thump_err *err);
bool thump_image_load_hot(struct thump_image *image);
bool thump_image_has_hot(const struct thump_image *image);

/* Checks the chunks that hold [file_offset, file_offset + size_bytes) by reading them; for eager
 * restore, which verifies what it loads. A chunk once found good is not read again. May be called
 * by several threads at a time. */
THUMP_MUST_CHECK int thump_image_verify_range(struct thump_image *image, uint64_t file_offset,
					      uint64_t size_bytes, struct thump_err *err);

/*
 * The same for content that is in memory, from a supply. First it is said what will be used: with
 * that whole chunks are wanted, in ascending order; what is given beyond that is left out.
 */
struct thump_image_checker;
THUMP_MUST_CHECK int thump_image_checker_create(struct thump_image *image,
						struct thump_image_checker **checker_ret,
						struct thump_err *err);
void thump_image_checker_destroy(struct thump_image_checker *checker); /* NULL is fine */
void thump_image_checker_want(struct thump_image_checker *checker, uint64_t file_offset,
			      uint64_t size_bytes);
bool thump_image_checker_wants(const struct thump_image_checker *checker, uint64_t file_offset,
			       uint64_t size_bytes);
/* Fails when a chunk that ends here is damaged. */
THUMP_MUST_CHECK int thump_image_checker_add(struct thump_image_checker *checker,
					     uint64_t file_offset, const unsigned char *bytes,
					     size_t size_bytes, struct thump_err *err);

/* Reads stored content, after checking it; [offset, offset + size_bytes) must lie in one extent. */
THUMP_MUST_CHECK int thump_image_read_backing(struct thump_image *image, uint32_t backing_id,
					      uint64_t offset, void *buf, size_t size_bytes,
					      struct thump_err *err);

#endif
