/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image once more, with another HOT record. All content stays where it is, so that the program
 * headers and every other note do, too; only the size of the notes and the SEAL follow.
 */
#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "image/encode.h"
#include "image/hash.h"
#include "image/note.h"
#include "image/read.h"
#include "image/rules.h"
#include "image/writer.h"

/* Where p_filesz stands in a program header; the first one is the PT_NOTE. */
#define FILESZ_AT offsetof(Elf64_Phdr, p_filesz)

static int copy_content(const struct thump_image *image, int fd, struct thump_err *err)
{
	off_t from = 0, to = 0;
	auto_free char *piece = NULL;

	while ((uint64_t)from < image->meta_offset) {
		ssize_t done = copy_file_range(image->fd, &from, fd, &to,
					       image->meta_offset - (uint64_t)from, 0);

		if (done <= 0)
			break;
	}
	/* Between file systems, and from a memfd, some kernels do not. */
	piece = malloc(IMG_CHUNK_SIZE);
	if (!piece)
		return thump_fail_errno(err, "copy the content");
	while ((uint64_t)from < image->meta_offset) {
		size_t size = thump_min_u64(IMG_CHUNK_SIZE, image->meta_offset - (uint64_t)from);

		if (thump_pread_full(image->fd, piece, size, (uint64_t)from) < 0 ||
		    thump_pwrite_full(fd, piece, size, (uint64_t)from) < 0)
			return thump_fail_errno(err, "copy the content");
		from += (off_t)size;
	}
	return 0;
}

/* All notes but HOT and the SEAL as they are, then the new HOT. */
static int put_notes(struct thump_buf *buf, const struct thump_image *image,
		     const struct thump_hot *hot, struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(image->notes, image->notes_size);

	while (r.at < r.end) {
		const unsigned char *start = r.at;
		struct image_note note;
		bool own;

		if (image_note_next(&r, &note, err) < 0)
			return -1;
		own = strcmp(note.owner, IMG_OWNER) == 0;
		if (!own || (note.type != IMG_REC_HOT && note.type != IMG_REC_SEAL))
			thump_buf_put(buf, start, (size_t)(r.at - start));
	}
	image_encode_hot(buf, hot);
	return 0;
}

/* Program headers and notes, with the seal over them and the header page. */
static int put_meta(struct thump_buf *buf, const struct thump_image *image,
		    const unsigned char *header_page, const struct thump_hot *hot,
		    struct thump_err *err)
{
	const size_t headers_size = image->nr_headers * sizeof(Elf64_Phdr);
	auto_free unsigned char *headers = malloc(headers_size);
	struct image_note_mark mark;
	uint64_t word;

	/* The copy in memory is forgotten once it was checked. */
	if (!headers || thump_pread_full(image->fd, headers, headers_size, image->meta_offset) < 0)
		return thump_fail_errno(err, "read the program headers");
	thump_buf_put(buf, headers, headers_size);
	if (put_notes(buf, image, hot, err) < 0)
		return -1;
	mark = image_record_begin(buf, IMG_REC_SEAL);
	thump_buf_put_u64(buf, image->meta_offset + buf->size_bytes + 2 * sizeof(word));
	thump_buf_put_u64(buf, 0);
	image_note_end(buf, mark);
	if (buf->failed)
		return thump_fail(err, "not enough memory for the notes of the image");
	if (buf->size_bytes > IMG_MAX_META)
		return thump_refuse(err, "%zu bytes of notes are more than an image can hold",
				    buf->size_bytes);
	word = htole64(buf->size_bytes - headers_size);
	memcpy(buf->bytes + FILESZ_AT, &word, sizeof(word));
	word = htole64(image_hash2(header_page, THUMP_PAGE_SIZE, buf->bytes,
				   buf->size_bytes - sizeof(word)));
	memcpy(buf->bytes + buf->size_bytes - sizeof(word), &word, sizeof(word));
	return 0;
}

static int write_copy(int fd, const struct thump_image *image, const struct thump_hot *hot,
		      struct thump_err *err)
{
	auto_buf struct thump_buf meta = THUMP_BUF_INIT;
	unsigned char header_page[THUMP_PAGE_SIZE];

	if (thump_pread_full(image->fd, header_page, sizeof(header_page), 0) < 0)
		return thump_fail_errno(err, "read the header");
	if (put_meta(&meta, image, header_page, hot, err) < 0 || copy_content(image, fd, err) < 0)
		return -1;
	if (thump_pwrite_full(fd, meta.bytes, meta.size_bytes, image->meta_offset) < 0)
		return thump_fail_errno(err, "write the notes");
	return 0;
}

int thump_image_write_hot(const struct thump_image_options *options,
			  const struct thump_image *image, const struct thump_hot *hot,
			  struct thump_image_writer **writer_ret, struct thump_err *err)
{
	struct thump_image_writer *writer;

	/* An image that breaks a rule could not be opened again: better say so now. */
	if (image_check_hot(hot, err) < 0) {
		err->code = THUMP_FAILED;
		return thump_add_context(err, "the table does not fit the image format");
	}
	writer = image_writer_create(options, err);
	if (writer && write_copy(writer->file.fd, image, hot, err) == 0 &&
	    image_writer_finish(writer, options, err) == 0) {
		*writer_ret = writer;
		return 0;
	}
	thump_image_writer_destroy(writer);
	return thump_add_context(err, "image %s", options->path);
}
