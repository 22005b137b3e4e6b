/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the image writer gets content from. No ptrace(2) in here: it may be called from any thread.
 * The target or its copy stands still, so every read of a range gives the same bytes.
 */
#include <string.h>

#include "base/fd.h"
#include "capture/context.h"

const struct thump_target *thump_capture_memory(const struct thump_capture *cap)
{
	return cap->copy ? cap->copy : cap->target;
}

static int read_memory(void *ctx, uint64_t addr, void *buf, size_t size_bytes,
		       struct thump_err *err)
{
	const struct thump_target *memory = thump_capture_memory(ctx);

	if (thump_target_read(memory, REMOTE(addr), buf, size_bytes, err) == 0)
		return 0;
	return memory->is_copy ? thump_add_context(err, "the copy of the process (ended for lack "
							"of memory?)")
			       : -1;
}

/* The last page of a file is filled up with zeros. */
static int read_file(const struct thump_backing *backing, uint64_t offset, char *buf,
		     size_t size_bytes, struct thump_err *err)
{
	uint64_t left =
		offset < backing->content_size_bytes ? backing->content_size_bytes - offset : 0;
	size_t wanted = thump_min_u64(size_bytes, left);

	memset(buf + wanted, 0, size_bytes - wanted);
	if (thump_pread_full(backing->capture_fd, buf, wanted, offset) < 0)
		return thump_fail_errno(err, "read %s%s at offset %lu",
					backing->path[0] ? backing->path : "shared memory",
					backing->deleted ? " (deleted)" : "", offset);
	return 0;
}

static bool is_shared(const struct thump_vma *vma)
{
	return vma->kind == THUMP_VMA_SHMEM_ANON || vma->kind == THUMP_VMA_MEMFD_SHARED ||
	       vma->kind == THUMP_VMA_FILE_SHARED;
}

/* A mapping of backing_id that holds `offset`: a shared one, if there is any. */
static const struct thump_vma *find_view(const struct thump_model *model, uint32_t backing_id,
					 uint64_t offset)
{
	const struct thump_vma *found = NULL;

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];

		if (vma->backing_id != backing_id || offset < vma->offset ||
		    offset - vma->offset >= vma->end - vma->start)
			continue;
		if (is_shared(vma))
			return vma;
		found = vma;
	}
	return found;
}

/* What no descriptor leads to: through its mappings. A private one shows its own copies of pages
 * that were written, but then nobody else can see what lies below them either. */
static int read_views(const struct thump_capture *cap, uint32_t backing_id, uint64_t offset,
		      char *buf, size_t size_bytes, struct thump_err *err)
{
	while (size_bytes) {
		const struct thump_vma *vma = find_view(&cap->model, backing_id, offset);
		size_t part;

		if (!vma)
			return thump_fail(err, "shared memory at offset %lu is not mapped", offset);
		part = thump_min_u64(size_bytes, vma->end - vma->start - (offset - vma->offset));
		if (thump_target_read(cap->target, REMOTE(vma->start + (offset - vma->offset)), buf,
				      part, err) < 0)
			return -1;
		offset += part;
		buf += part;
		size_bytes -= part;
	}
	return 0;
}

int thump_capture_read_backing(const struct thump_capture *cap, uint32_t backing_id,
			       uint64_t offset, void *buf, size_t size_bytes, struct thump_err *err)
{
	const struct thump_backing *backing = &cap->model.backings[backing_id];

	if (backing->capture_fd >= 0)
		return read_file(backing, offset, buf, size_bytes, err);
	return read_views(cap, backing_id, offset, buf, size_bytes, err);
}

static int read_backing(void *ctx, uint32_t backing_id, uint64_t offset, void *buf,
			size_t size_bytes, struct thump_err *err)
{
	return thump_capture_read_backing(ctx, backing_id, offset, buf, size_bytes, err);
}

struct thump_page_source thump_capture_source(struct thump_capture *capture)
{
	return (struct thump_page_source){
		.ctx = capture,
		.read_memory = read_memory,
		.read_backing = read_backing,
	};
}
