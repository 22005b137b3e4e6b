/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images for storage and transport: the bytes of an image in chunks, each compressed by itself;
 * docs/FORMAT.md, "Packed images". Packing and unpacking do not depend on each other. What is
 * unpacked is trusted no more than any other image.
 */
#ifndef THUMP_PACK_PACK_H
#define THUMP_PACK_PACK_H

#include "image/image.h"
#include "pack/keys.h"

enum thump_compress_method {
	THUMP_COMPRESS_NONE = 0,
	THUMP_COMPRESS_ZSTD,
	THUMP_COMPRESS_LZ4,
};

struct thump_compression {
	enum thump_compress_method method;
	int level; /* of zstd */
};

/* "zstd", "zstd:LEVEL", "lz4" or "none". */
THUMP_MUST_CHECK int thump_compression_parse(const char *text,
					     struct thump_compression *compression_ret);
/* What is taken when nobody asks for anything: zstd at the level that is its own default, too. */
extern const struct thump_compression thump_compression_default;

enum thump_cipher {
	THUMP_CIPHER_FASTER = 0, /* of the others, on this processor */
	THUMP_CIPHER_XCHACHA20_POLY1305,
	THUMP_CIPHER_AES256_OCB,
};

/* ---- packing --------------------------------------------------------------------------- */

struct thump_pack_options {
	const char *path; /* final name; written as a temporary file beside it */
	mode_t mode;	  /* 0: 0400 */
	struct thump_compression compression;
	const struct thump_keys *keys; /* whom to encrypt to, and who signs; NULL: nobody */
	enum thump_cipher cipher;      /* if it is encrypted */
	const char *store;	       /* chunks go into this chunk store; NULL: into the file */
	/* All is written and synced, and gets its name next: -1 keeps it from that. May be NULL. */
	int (*before_commit)(void *ctx, struct thump_err *err);
	void *before_commit_ctx;
	thump_progress_fn progress; /* may be NULL; called from the caller's thread */
	void *progress_ctx;
};

struct thump_pack_stats {
	uint64_t raw_bytes, file_bytes;
	uint64_t zero_bytes, same_bytes; /* of chunks that cost nothing */
	uint32_t nr_chunks;
	/* of a store: what is stored there of this image, and what of it was not there before */
	uint64_t stored_bytes, new_bytes;
	uint32_t nr_stored, nr_new;
};

/* Checks all content of the image and writes it, synced, under the name. */
THUMP_MUST_CHECK int thump_pack(struct thump_image *image, const struct thump_pack_options *options,
				struct thump_pack_stats *stats_ret, struct thump_err *err);

/* ---- reading --------------------------------------------------------------------------- */

/* What its head says of a packed image. */
struct thump_packed_info {
	uint64_t file_bytes, raw_bytes;
	uint64_t raw_meta_offset; /* its e_phoff */
	uint32_t nr_chunks, nr_signatures;
	bool encrypted;
	enum thump_cipher cipher; /* if it is */
	bool apart;		  /* its chunks are in a chunk store */
	uint64_t stored_bytes;	  /* of all chunks */
};

enum thump_open_extent {
	THUMP_OPEN_ALL,	 /* content, too */
	THUMP_OPEN_META, /* what thump_image_open reads: content may be missing */
};

struct thump_open_options {
	enum thump_open_extent extent;
	/* The caller checks all content that he uses by the checksums of the image, as a restore
	 * does: where no signature is asked for, hashes of chunks would find nothing more. */
	bool checks_content;
	/* Content of the program's memory may come from a supply of the image (image/image.h):
	 * that of a packed file does then. */
	bool takes_supply;
	const struct thump_keys *keys; /* to decrypt, and whose signature is asked for; or NULL */
	const char *store;	       /* where its chunks are, if not where it says; or NULL */
	thump_progress_fn progress;    /* may be NULL; of unpacking */
	void *progress_ctx;
};

/*
 * Opens the image `path`, packed or not; "-" is stdin, which may be a pipe. A packed one is
 * unpacked into memory, where it stays until the image is destroyed. `info_ret` may be NULL;
 * raw_bytes is 0 there when the image is not packed.
 */
THUMP_MUST_CHECK int thump_open(const char *path, const struct thump_open_options *options,
				struct thump_image **image_ret, struct thump_packed_info *info_ret,
				struct thump_err *err);

/* Unpacks `path` ("-": stdin) into the file options->path, which is an image when it has its
 * name. An image that is not packed is refused. */
struct thump_unpack_options {
	const char *path;
	mode_t mode;		       /* 0: 0400 */
	const struct thump_keys *keys; /* as of struct thump_open_options */
	const char *store;	       /* the same */
	thump_progress_fn progress;
	void *progress_ctx;
};
THUMP_MUST_CHECK int thump_unpack(const char *path, const struct thump_unpack_options *options,
				  struct thump_packed_info *info_ret, struct thump_err *err);

/* ---- signing --------------------------------------------------------------------------- */

/* Writes the packed image `path` with more signatures, one of each signing key of `keys`, into
 * `to`; what it holds is checked against the table, and needs no key. */
THUMP_MUST_CHECK int thump_sign(const char *path, const char *to, mode_t mode,
				const struct thump_keys *keys, struct thump_packed_info *info_ret,
				struct thump_err *err);

/* ---- chunk stores ------------------------------------------------------------------------ */

struct thump_gc_options {
	bool dry_run;		 /* says what it would do */
	const char *const *kept; /* images that the store does not know, and must keep */
	size_t nr_kept;
};

struct thump_gc_stats {
	uint64_t kept_bytes, removed_bytes;
	uint32_t nr_images, nr_chunks, nr_removed; /* of living images; their chunks; others */
};

/* Removes from the chunk store `path` what no image needs. Waits for who packs into it. */
THUMP_MUST_CHECK int thump_gc(const char *path, const struct thump_gc_options *options,
			      struct thump_gc_stats *stats_ret, struct thump_err *err);

#endif
