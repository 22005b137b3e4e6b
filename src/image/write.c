/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model -> file. Order: memory, backings, zero block (all through the stream), then everything
 * from the program headers on, and the ELF header last: a file that is cut short is no core file.
 */
#include "image/image.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/fd.h"
#include "image/encode.h"
#include "image/format.h"
#include "image/hash.h"
#include "image/layout.h"
#include "image/note.h"
#include "image/room.h"
#include "image/rules.h"
#include "image/stream.h"
#include "image/writer.h"

/* Gaps and runs of zeros up to this are stored: a mapping more costs more than their bytes. */
#define FILL_BYTES (4 * THUMP_PAGE_SIZE)
/* The segments that holes, views and untouched VMAs can count on, and those that splitting extents
 * at zeros can. */
#define MAX_PLANNED (IMG_MAX_SEGMENTS - 20000u)
#define MAX_SPLITS  10000u
/* Content for debuggers alone: so much of one mapping, and only up to so many segments. */
#define MAX_DEBUG_BYTES	   ((uint64_t)64 << 20)
#define MAX_DEBUG_SEGMENTS (MAX_PLANNED + MAX_SPLITS)

struct write_job {
	const struct thump_model *model;
	const struct thump_page_source *source;
	struct image_stream *stream;
	struct image_extent_list vma_extents;
	uint32_t *first_extent;			   /* [nr_vmas + 1] */
	struct image_extent_list *backing_extents; /* [nr_backings] */
	struct image_extent_list debug_extents;
	uint64_t fill_bytes;
	struct image_split_budget split;
	uint64_t memory_end, backing_end, debug_end;
};

/* ---- gaps ----------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Calls for every gap inside VMAs whose gaps are zeros; gaps may be NULL, to count. */
static size_t list_gaps(const struct thump_model *model, uint64_t *gaps)
{
	size_t count = 0;

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];

		if (!image_vma_rule(vma->kind)->drop_zeros)
			continue;
		for (uint32_t k = 1; k < vma->nr_extents; k++) {
			if (gaps)
				gaps[count] = vma->extents[k].start - vma->extents[k - 1].end;
			count++;
		}
	}
	return count;
}

/* Smallest gaps first, until the extents are few enough. */
static int plan_gaps(struct write_job *job, struct thump_err *err)
{
	auto_free uint64_t *gaps = NULL;
	uint64_t nr_extents = 0;
	size_t nr_gaps, filled = 0;

	for (uint32_t i = 0; i < job->model->nr_vmas; i++)
		nr_extents += job->model->vmas[i].nr_extents;
	nr_gaps = list_gaps(job->model, NULL);
	gaps = calloc(nr_gaps + 1, sizeof(*gaps));
	if (!gaps)
		return thump_fail_errno(err, "list of gaps");
	(void)list_gaps(job->model, gaps);
	qsort(gaps, nr_gaps, sizeof(*gaps), by_size);
	while (filled < nr_gaps &&
	       (gaps[filled] <= FILL_BYTES || nr_extents - filled > MAX_PLANNED))
		filled++;
	job->fill_bytes = filled ? gaps[filled - 1] : 0;
	/* Runs of zeros are not split where a gap of the same length was filled. */
	job->split = image_split_budget_of(
		job->fill_bytes > FILL_BYTES ? job->fill_bytes : FILL_BYTES, MAX_SPLITS);
	return 0;
}

/* ---- content -------------------------------------------------------------------------- */

/* Number of parts from the first on that become one range: no gap between them over fill_bytes. */
static size_t range_of(const struct thump_extent *parts, size_t nr_parts, uint64_t fill_bytes)
{
	size_t count = 1;

	while (count < nr_parts && parts[count].start - parts[count - 1].end <= fill_bytes)
		count++;
	return count;
}

/* Copies all extents of one VMA or backing. */
static int copy_extents(struct write_job *job, struct image_copy copy,
			const struct thump_extent *extents, size_t nr_extents, uint64_t fill_bytes,
			struct image_extent_list *extents_out, struct thump_err *err)
{
	while (nr_extents) {
		size_t count = range_of(extents, nr_extents, fill_bytes);

		copy.parts = extents;
		copy.nr_parts = count;
		if (image_stream_copy(job->stream, &copy, extents_out, err) < 0)
			return -1;
		extents += count;
		nr_extents -= count;
	}
	return 0;
}

static int copy_memory(struct write_job *job, struct thump_err *err)
{
	const struct thump_model *model = job->model;

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];
		bool drop_zeros = image_vma_rule(vma->kind)->drop_zeros;
		struct image_copy copy = {
			.read = job->source->read_memory,
			.ctx = job->source->ctx,
			.split = drop_zeros ? &job->split : NULL,
		};

		job->first_extent[i] = (uint32_t)job->vma_extents.count;
		if (copy_extents(job, copy, vma->extents, vma->nr_extents,
				 drop_zeros ? job->fill_bytes : 0, &job->vma_extents, err) < 0)
			return thump_add_context(err, "memory %" PRIx64 "-%" PRIx64, vma->start,
						 vma->end);
		if (job->vma_extents.count > UINT32_MAX / 2)
			return thump_refuse(err, "memory is scattered over too many ranges");
	}
	job->first_extent[model->nr_vmas] = (uint32_t)job->vma_extents.count;
	job->memory_end = image_stream_offset(job->stream);
	return 0;
}

struct backing_source {
	const struct thump_page_source *source;
	uint32_t id;
	uint64_t size_bytes;
};

/* Pages of a backing; behind its end, zeros to the end of the page. */
static int read_backing(void *ctx, uint64_t at, void *buf, size_t size_bytes, struct thump_err *err)
{
	const struct backing_source *backing = ctx;
	size_t there =
		at < backing->size_bytes ? thump_min_u64(size_bytes, backing->size_bytes - at) : 0;

	memset((char *)buf + there, 0, size_bytes - there);
	if (there == 0)
		return 0;
	return backing->source->read_backing(backing->source->ctx, backing->id, at, buf, there,
					     err);
}

static int copy_backings(struct write_job *job, struct thump_err *err)
{
	struct image_split_budget split = image_split_budget_of(FILL_BYTES, IMG_MAX_ITEMS / 2);

	for (uint32_t i = 0; i < job->model->nr_backings; i++) {
		const struct thump_backing *backing = &job->model->backings[i];
		struct backing_source source = { .source = job->source,
						 .id = i,
						 .size_bytes = backing->content_size_bytes };
		struct image_copy copy = { .read = read_backing, .ctx = &source, .split = &split };

		if (copy_extents(job, copy, backing->extents, backing->nr_extents, FILL_BYTES,
				 &job->backing_extents[i], err) < 0)
			return thump_add_context(err, "content of %s",
						 backing->path ? backing->path : "a backing");
	}
	job->backing_end = image_stream_offset(job->stream);
	return 0;
}

/*
 * Debuggers want more of a private mapping of a file than was written: libsaproc reads only code
 * and constants from libraries, and nothing from other files (CDS archives). So mappings that are
 * or were writable are stored whole, as the kernel's own cores do.
 */
static bool wanted_by_debuggers(const struct thump_model *model, const struct thump_vma *vma)
{
	const struct thump_extent *first = vma->extents;
	bool written = vma->nr_extents > 1 ||
		       (vma->nr_extents == 1 && (vma->offset != 0 || first->start != vma->start ||
						 first->end - first->start > THUMP_PAGE_SIZE));

	return image_vma_shows_file(model, vma) && !(vma->prot & PROT_EXEC) &&
	       (written || (vma->prot & PROT_WRITE)) && vma->end - vma->start <= MAX_DEBUG_BYTES;
}

/* Best effort: behind the end of a file there is nothing to read. What was read is consistent. */
static void copy_shown(struct write_job *job, uint64_t start, uint64_t end)
{
	struct thump_extent part = { .start = start, .end = end };
	struct image_copy copy = { .read = job->source->read_memory,
				   .ctx = job->source->ctx,
				   .parts = &part,
				   .nr_parts = 1 };
	struct thump_err ignored = THUMP_ERR_INIT;

	if (start >= end || job->vma_extents.count + job->debug_extents.count >= MAX_DEBUG_SEGMENTS)
		return;
	/* A failure to write comes back from the stream's end. */
	if (image_stream_copy(job->stream, &copy, &job->debug_extents, &ignored) < 0)
		return;
}

static void copy_debug_content(struct write_job *job)
{
	const struct thump_model *model = job->model;

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];
		uint64_t at = vma->start;

		if (!wanted_by_debuggers(model, vma))
			continue;
		for (uint32_t k = job->first_extent[i]; k < job->first_extent[i + 1]; k++) {
			copy_shown(job, at, job->vma_extents.list[k].start);
			at = job->vma_extents.list[k].end;
		}
		copy_shown(job, at, vma->end);
	}
	job->debug_end = image_stream_offset(job->stream);
}

static uint64_t total_bytes(const struct thump_model *model)
{
	uint64_t total = image_memory_bytes(model);

	for (uint32_t i = 0; i < model->nr_backings; i++)
		for (uint32_t k = 0; k < model->backings[i].nr_extents; k++)
			total += model->backings[i].extents[k].end -
				 model->backings[i].extents[k].start;
	return total;
}

/* ---- headers and notes ---------------------------------------------------------------- */

static void put_note_header(struct thump_buf *buf, uint64_t offset, uint64_t size_bytes)
{
	thump_buf_put_u32(buf, PT_NOTE);
	thump_buf_put_u32(buf, 0);
	thump_buf_put_u64(buf, offset);
	thump_buf_put_u64(buf, 0); /* p_vaddr */
	thump_buf_put_u64(buf, 0); /* p_paddr */
	thump_buf_put_u64(buf, size_bytes);
	thump_buf_put_u64(buf, 0); /* p_memsz */
	thump_buf_put_u64(buf, 4);
}

static void put_elf_header(struct thump_buf *buf, uint64_t phoff, uint32_t phnum)
{
	static const unsigned char ident[EI_NIDENT] = { ELFMAG0,    ELFMAG1,	 ELFMAG2,   ELFMAG3,
							ELFCLASS64, ELFDATA2LSB, EV_CURRENT };

	thump_buf_put(buf, ident, sizeof(ident));
	thump_buf_put_u16(buf, ET_CORE);
	thump_buf_put_u16(buf, EM_X86_64);
	thump_buf_put_u32(buf, EV_CURRENT);
	thump_buf_put_u64(buf, 0); /* e_entry */
	thump_buf_put_u64(buf, phoff);
	thump_buf_put_u64(buf, 0); /* e_shoff */
	thump_buf_put_u32(buf, 0); /* e_flags */
	thump_buf_put_u16(buf, sizeof(Elf64_Ehdr));
	thump_buf_put_u16(buf, sizeof(Elf64_Phdr));
	thump_buf_put_u16(buf, (uint16_t)phnum);
	thump_buf_pad(buf, THUMP_PAGE_SIZE); /* no sections; the rest of the page is zero */
}

/* What stands behind the content, on its way into the file and into the hash of the SEAL. */
struct meta {
	struct image_sink sink;
	int fd;
	uint64_t at;
	struct image_hasher hasher;
	int write_errno;
};

static void write_to_meta(struct meta *meta, const struct thump_buf *buf)
{
	if (!meta->write_errno &&
	    thump_pwrite_full(meta->fd, buf->bytes, buf->size_bytes, meta->at) < 0)
		meta->write_errno = errno;
	meta->at += buf->size_bytes;
}

static void flush_to_meta(struct image_sink *sink, struct thump_buf *buf)
{
	struct meta *meta = (struct meta *)sink; /* its first member */

	image_hasher_add(&meta->hasher, buf->bytes, buf->size_bytes);
	write_to_meta(meta, buf);
	buf->size_bytes = 0;
}

/* The last note; its last field is the hash of all that stands before it. */
static void write_notes(struct meta *meta, struct thump_buf *notes)
{
	struct image_note_mark mark = image_record_begin(notes, IMG_REC_SEAL);
	uint64_t hash;
	size_t sealed;

	thump_buf_put_u64(notes, meta->at + notes->size_bytes + 2 * sizeof(hash)); /* file size */
	sealed = notes->size_bytes;
	thump_buf_put_u64(notes, 0);
	image_note_end(notes, mark);
	if (notes->failed)
		return;
	image_hasher_add(&meta->hasher, notes->bytes, sealed);
	hash = htole64(image_hasher_result(&meta->hasher));
	memcpy(notes->bytes + sealed, &hash, sizeof(hash));
	write_to_meta(meta, notes);
}

static void write_headers(struct meta *meta, const struct write_job *job,
			  const struct image_layout *layout, uint64_t notes_size,
			  struct thump_buf *headers)
{
	uint64_t headers_at = meta->at,
		 headers_size = (layout->nr_segments + 1) * sizeof(Elf64_Phdr);

	put_note_header(headers, headers_at + headers_size, notes_size);
	image_layout_put(layout, job->debug_end, headers_at, headers, &meta->sink);
	flush_to_meta(&meta->sink, headers);
}

static int write_meta(int fd, const struct write_job *job, const struct image_layout *layout,
		      uint64_t *size_ret, struct thump_err *err)
{
	struct image_content content = { .memory_end = job->memory_end,
					 .backing_end = job->backing_end,
					 .debug_end = job->debug_end,
					 .zero_end = image_stream_offset(job->stream),
					 .backing_extents = job->backing_extents };
	auto_buf struct thump_buf header = THUMP_BUF_INIT, headers = THUMP_BUF_INIT;
	auto_buf struct thump_buf notes = THUMP_BUF_INIT;
	struct meta meta = { .sink = { flush_to_meta }, .fd = fd, .at = content.zero_end };
	size_t seal_size = 12 + 8 + 8 + 2 * sizeof(uint64_t); /* note, owner, record, payload */
	uint64_t size;

	image_stream_checksums(job->stream, &content.checksums, &content.nr_checksums);
	image_encode_threads(&notes, job->model);
	image_encode_records(&notes, job->model, &content);
	put_elf_header(&header, meta.at, layout->nr_segments + 1);
	size = (layout->nr_segments + 1) * sizeof(Elf64_Phdr) + notes.size_bytes + seal_size;
	if (size > IMG_MAX_META)
		return thump_refuse(
			err, "%" PRIu64 " bytes of notes are more than an image can hold", size);
	image_hasher_init(&meta.hasher);
	image_hasher_add(&meta.hasher, header.bytes, header.size_bytes);
	write_headers(&meta, job, layout, notes.size_bytes + seal_size, &headers);
	write_notes(&meta, &notes);
	if (notes.failed || headers.failed || header.failed)
		return thump_fail(err, "not enough memory for the notes of the image");
	errno = meta.write_errno;
	if (errno || thump_pwrite_full(fd, header.bytes, header.size_bytes, 0) < 0)
		return thump_fail_errno(err, "write the image");
	*size_ret = meta.at;
	return 0;
}

static int write_all(struct write_job *job, int fd, struct thump_image_stats *stats,
		     struct thump_err *err)
{
	struct image_layout layout = { .model = job->model,
				       .vma_extents = &job->vma_extents,
				       .first_extent = job->first_extent,
				       .backing_extents = job->backing_extents,
				       .debug_extents = &job->debug_extents };

	if (plan_gaps(job, err) < 0 || copy_memory(job, err) < 0 || copy_backings(job, err) < 0)
		return -1;
	copy_debug_content(job);
	if (job->source->settle && job->source->settle(job->source->ctx, err) < 0)
		return -1;
	if (image_layout_plan(&layout, err) < 0 ||
	    image_stream_zeros(job->stream, layout.zero_block_bytes, err) < 0 ||
	    image_stream_finish(job->stream, err) < 0)
		return -1;
	image_stream_stats(job->stream, stats);
	stats->memory_bytes = job->backing_end - IMG_DATA_OFFSET;
	return write_meta(fd, job, &layout, &stats->file_bytes, err);
}

static void job_deinit(struct write_job *job)
{
	image_stream_destroy(job->stream);
	free(job->vma_extents.list);
	free(job->debug_extents.list);
	free(job->first_extent);
	for (uint32_t i = 0; job->backing_extents && i < job->model->nr_backings; i++)
		free(job->backing_extents[i].list);
	free(job->backing_extents);
}

static int write_content(int fd, const struct thump_image_options *options,
			 const struct thump_model *model, const struct thump_page_source *source,
			 struct thump_image_stats *stats, struct thump_err *err)
{
	struct write_job job = { .model = model, .source = source };
	int failed;

	job.first_extent = calloc((size_t)model->nr_vmas + 1, sizeof(*job.first_extent));
	job.backing_extents = calloc((size_t)model->nr_backings + 1, sizeof(*job.backing_extents));
	if (!job.first_extent || !job.backing_extents)
		failed = thump_fail_errno(err, "lists of extents");
	else
		failed = image_stream_create(fd, options->progress, options->progress_ctx,
					     total_bytes(model), &job.stream, err);
	if (!failed)
		failed = write_all(&job, fd, stats, err);
	job_deinit(&job);
	return failed;
}

static int make_file(const char *path, struct image_tempfile *file, struct thump_err *err)
{
	if (path)
		return image_tempfile_create(path, file, err);
	file->fd = memfd_create("thump image", MFD_CLOEXEC);
	return file->fd < 0 ? thump_fail_errno(err, "memfd_create") : 0;
}

struct thump_image_writer *image_writer_create(const struct thump_image_options *options,
					       struct thump_err *err)
{
	struct thump_image_writer *writer = calloc(1, sizeof(*writer));

	if (!writer) {
		(void)thump_fail_errno(err, "image writer");
		return NULL;
	}
	writer->file = IMAGE_TEMPFILE_INIT;
	writer->sync = options->sync;
	if (make_file(options->path, &writer->file, err) == 0)
		return writer;
	thump_image_writer_destroy(writer);
	return NULL;
}

int image_writer_finish(struct thump_image_writer *writer,
			const struct thump_image_options *options, struct thump_err *err)
{
	/* The mode is as asked for, whatever the umask. */
	if (fchmod(writer->file.fd, options->mode ? options->mode : 0400) < 0 ||
	    (options->sync && fsync(writer->file.fd) < 0))
		return thump_fail_errno(err, "finish the image");
	return 0;
}

int thump_image_write(const struct thump_image_options *options, const struct thump_model *model,
		      const struct thump_page_source *source,
		      struct thump_image_writer **writer_ret, struct thump_image_stats *stats_ret,
		      struct thump_err *err)
{
	struct thump_image_stats stats = { 0 };
	struct thump_image_writer *writer;
	uint64_t begin;

	/* An image that breaks a rule could not be opened again: better say so now. */
	if (image_check_model(model, err) < 0) {
		err->code = THUMP_FAILED;
		return thump_add_context(err, "the captured state does not fit the image format");
	}
	writer = image_writer_create(options, err);
	if (!writer || image_check_room(writer->file.fd, model, source, err) < 0 ||
	    write_content(writer->file.fd, options, model, source, &stats, err) < 0)
		goto failed;
	begin = thump_now_ns();
	if (image_writer_finish(writer, options, err) < 0)
		goto failed;
	stats.sync_ns = thump_now_ns() - begin;
	*writer_ret = writer;
	*stats_ret = stats;
	return 0;
failed:
	thump_image_writer_destroy(writer);
	return options->path ? thump_add_context(err, "image %s", options->path) : -1;
}

int thump_image_try(const char *path, struct thump_err *err)
{
	return image_tempfile_try(path, err) < 0 ? thump_add_context(err, "image %s", path) : 0;
}

int thump_image_commit(struct thump_image_writer *writer, struct thump_err *err)
{
	return image_tempfile_commit(&writer->file, writer->sync, err);
}

int thump_image_writer_take_memory(struct thump_image_writer *writer)
{
	return thump_take_fd(&writer->file.fd);
}

void thump_image_writer_destroy(struct thump_image_writer *writer)
{
	if (!writer)
		return;
	image_tempfile_deinit(&writer->file);
	free(writer);
}
