/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of the memory is zeros, and so not stored, nobody knows before it has been read. Where
 * all of it would not fit, a sample of the pages tells.
 */
#include "image/room.h"

#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "image/rules.h"
#include "image/stream.h"

#define NR_SAMPLES 1024u
/* Of 1,024 pages: far outside of what chance does to a sample. */
#define MARGIN	    8u
#define BTRFS_MAGIC 0x9123683e
#define ZFS_MAGIC   0x2fc12fc1

/* UINT64_MAX where that says nothing: without limits, or with compression. */
static uint64_t free_bytes(int fd)
{
	struct statvfs room;
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0 || fs.f_type == BTRFS_MAGIC || fs.f_type == ZFS_MAGIC ||
	    fstatvfs(fd, &room) < 0 || room.f_blocks == 0)
		return UINT64_MAX;
	/* What is reserved for root may be used by root. */
	return (geteuid() == 0 ? room.f_bfree : room.f_bavail) * room.f_frsize;
}

uint64_t image_memory_bytes(const struct thump_model *model)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < model->nr_vmas; i++)
		for (uint32_t k = 0; k < model->vmas[i].nr_extents; k++)
			total += model->vmas[i].extents[k].end - model->vmas[i].extents[k].start;
	return total;
}

struct sample {
	const struct thump_page_source *source;
	uint64_t stride, next, passed; /* offsets into all extents, as if they were one */
	uint32_t nr_pages, nr_stored;
};

static void sample_extent(struct sample *sample, const struct thump_extent *extent, bool drop_zeros)
{
	uint64_t end = sample->passed + (extent->end - extent->start);

	for (; sample->next < end; sample->next += sample->stride) {
		uint64_t at = extent->start + thump_page_down(sample->next - sample->passed);
		struct thump_err ignored = THUMP_ERR_INIT;
		unsigned char page[THUMP_PAGE_SIZE];

		sample->nr_pages++;
		if (sample->source->read_memory(sample->source->ctx, at, page, sizeof(page),
						&ignored) == 0)
			sample->nr_stored += !drop_zeros || !image_page_is_zero(page);
	}
	sample->passed = end;
}

int image_check_room(int fd, const struct thump_model *model,
		     const struct thump_page_source *source, struct thump_err *err)
{
	uint64_t room = free_bytes(fd), total = image_memory_bytes(model), needed;
	struct sample sample = { .source = source, .stride = total / NR_SAMPLES + THUMP_PAGE_SIZE };

	if (total <= room)
		return 0;
	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];
		bool drop_zeros = image_vma_rule(vma->kind)->drop_zeros;

		for (uint32_t k = 0; k < vma->nr_extents; k++)
			sample_extent(&sample, &vma->extents[k], drop_zeros);
	}
	needed = total / sample.nr_pages * sample.nr_stored;
	if (needed - needed / MARGIN <= room)
		return 0;
	(void)thump_fail(
		err, "some %llu MB are needed, and only %llu MB are free on its file system",
		(unsigned long long)(needed / 1000000), (unsigned long long)(room / 1000000));
	err->sys_errno = ENOSPC;
	return -1;
}
