/* SPDX-License-Identifier: Apache-2.0 */
/* Program headers -> extents; docs/FORMAT.md, "Segments". */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "image/read.h"
#include "image/rules.h"

struct segments {
	struct thump_image *image;
	struct thump_extent *extents; /* room for all, see count_extents */
	uint32_t nr_extents;
	uint32_t vma;	       /* index of the VMA we are in */
	uint64_t address;      /* end of the segment before */
	uint64_t file_offset;  /* end of the extent before */
	uint64_t debug_offset; /* end of the debug content before */
};

/* The caller knows that the header is there. In one piece: an image has thousands of them. */
static Elf64_Phdr header_at(const struct thump_image *image, uint32_t index)
{
	Elf64_Phdr le;

	memcpy(&le, image->meta + index * sizeof(le), sizeof(le));
	return (Elf64_Phdr){ .p_type = le32toh(le.p_type),
			     .p_flags = le32toh(le.p_flags),
			     .p_offset = le64toh(le.p_offset),
			     .p_vaddr = le64toh(le.p_vaddr),
			     .p_paddr = le64toh(le.p_paddr),
			     .p_filesz = le64toh(le.p_filesz),
			     .p_memsz = le64toh(le.p_memsz),
			     .p_align = le64toh(le.p_align) };
}

static uint32_t segment_prot(uint32_t flags)
{
	return (flags & PF_R ? 1u : 0) | (flags & PF_W ? 2u : 0) | (flags & PF_X ? 4u : 0);
}

static int check_form(const struct segments *s, const Elf64_Phdr *h, struct thump_err *err)
{
	uint64_t end;

	if (h->p_type != PT_LOAD)
		return thump_damaged(err, "type %#x is not PT_LOAD", h->p_type);
	if (h->p_flags > 7 || h->p_paddr != 0 || h->p_align != THUMP_PAGE_SIZE)
		return thump_damaged(err, "unexpected flags, p_paddr or p_align");
	if ((h->p_vaddr | h->p_memsz | h->p_offset) % THUMP_PAGE_SIZE != 0 || h->p_memsz == 0)
		return thump_damaged(err, "not a range of pages");
	if (h->p_filesz != 0 && h->p_filesz != h->p_memsz)
		return thump_damaged(err, "p_filesz is neither 0 nor p_memsz");
	if (__builtin_add_overflow(h->p_vaddr, h->p_memsz, &end) || h->p_vaddr < s->address)
		return thump_damaged(err, "overlaps the segment before it or is not sorted");
	return 0;
}

/* The VMA that holds the segment. */
static struct thump_vma *vma_of(struct segments *s, const Elf64_Phdr *h, struct thump_err *err)
{
	const struct thump_model *model = &s->image->model;
	struct thump_vma *vma;

	while (s->vma < model->nr_vmas && model->vmas[s->vma].end <= h->p_vaddr)
		s->vma++;
	vma = s->vma < model->nr_vmas ? &model->vmas[s->vma] : NULL;
	if (!vma || h->p_vaddr < vma->start || h->p_memsz > vma->end - h->p_vaddr ||
	    vma->kind == THUMP_VMA_VVAR || vma->kind == THUMP_VMA_VSYSCALL) {
		(void)thump_damaged(err, "not inside a VMA that may have segments");
		return NULL;
	}
	if (segment_prot(h->p_flags) != vma->prot) {
		(void)thump_damaged(err, "its flags are not the protection of its VMA");
		return NULL;
	}
	return vma;
}

static int take_extent(struct segments *s, const Elf64_Phdr *h, struct thump_vma *vma,
		       struct thump_err *err)
{
	struct thump_extent *extent = &s->extents[s->nr_extents];

	if (!image_vma_rule(vma->kind)->own_content)
		return thump_damaged(err, "a mapping of kind %s has no content of its own",
				     thump_vma_kind_name(vma->kind));
	if (h->p_offset < s->file_offset)
		return thump_damaged(err, "overlaps another segment in the file");
	if (h->p_offset > s->file_offset || h->p_filesz > s->image->memory_end - h->p_offset)
		return thump_damaged(err, "its content is not where it must be in the file");
	*extent = (struct thump_extent){ .start = h->p_vaddr,
					 .end = h->p_vaddr + h->p_memsz,
					 .file_offset = h->p_offset };
	if (!vma->nr_extents)
		vma->extents = extent;
	vma->nr_extents++;
	s->nr_extents++;
	s->file_offset += h->p_filesz;
	return 0;
}

/* The extent of a backing that holds offset `at`, or NULL; extents are sorted. */
static const struct thump_extent *extent_at(const struct thump_backing *backing, uint64_t at)
{
	uint32_t low = 0, high = backing->nr_extents;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (backing->extents[middle].end <= at)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == backing->nr_extents || backing->extents[low].start > at)
		return NULL;
	return &backing->extents[low];
}

static int check_view(const struct segments *s, const Elf64_Phdr *h, const struct thump_vma *vma,
		      struct thump_err *err)
{
	const struct thump_backing *backing = image_stored_backing(&s->image->model, vma);
	uint64_t at = vma->offset + (h->p_vaddr - vma->start);
	const struct thump_extent *extent = backing ? extent_at(backing, at) : NULL;

	if (!extent || h->p_filesz > extent->end - at ||
	    h->p_offset != extent->file_offset + (at - extent->start))
		return thump_damaged(err, "its bytes are not those of the backing of its VMA");
	return 0;
}

static int check_debug(struct segments *s, const Elf64_Phdr *h, const struct thump_vma *vma,
		       struct thump_err *err)
{
	if (!image_vma_shows_file(&s->image->model, vma))
		return thump_damaged(err, "its VMA is no private mapping of a file");
	if (h->p_offset != s->debug_offset || h->p_filesz > s->image->debug_end - h->p_offset)
		return thump_damaged(err, "its content is not where it must be in the file");
	s->debug_offset += h->p_filesz;
	return 0;
}

static int check_hole(const struct segments *s, const Elf64_Phdr *h, const struct thump_vma *vma,
		      struct thump_err *err)
{
	if (!image_vma_rule(vma->kind)->zero_holes && !image_stored_backing(&s->image->model, vma))
		return thump_damaged(err, "holes of its VMA are not zeros");
	if (h->p_offset != s->image->debug_end ||
	    h->p_filesz > s->image->zero_end - s->image->debug_end)
		return thump_damaged(err, "its bytes are not in the file's content");
	return 0;
}

static int take_segment(struct segments *s, const Elf64_Phdr *h, struct thump_err *err)
{
	struct thump_vma *vma;

	if (check_form(s, h, err) < 0)
		return -1;
	s->address = h->p_vaddr + h->p_memsz;
	vma = vma_of(s, h, err);
	if (!vma)
		return -1;
	if (h->p_filesz == 0)
		return h->p_offset == s->image->meta_offset
			       ? 0
			       : thump_damaged(err, "p_offset without bytes");
	if (h->p_offset < s->image->memory_end)
		return take_extent(s, h, vma, err);
	if (h->p_offset < s->image->backing_end)
		return check_view(s, h, vma, err);
	if (h->p_offset < s->image->debug_end)
		return check_debug(s, h, vma, err);
	return check_hole(s, h, vma, err);
}

static int check_backing_offsets(const struct thump_image *image, struct thump_err *err)
{
	uint64_t file_offset = image->memory_end;

	for (uint32_t i = 0; i < image->model.nr_backings; i++) {
		const struct thump_backing *backing = &image->model.backings[i];

		for (uint32_t k = 0; k < backing->nr_extents; k++) {
			const struct thump_extent *e = &backing->extents[k];

			if (e->file_offset != file_offset ||
			    e->end - e->start > image->backing_end - file_offset)
				return thump_damaged(err,
						     "backing %" PRIu32 ": its content is not "
						     "where it must be in the file",
						     i);
			file_offset += e->end - e->start;
		}
	}
	if (file_offset != image->backing_end)
		return thump_damaged(err, "bytes at %#" PRIx64 " belong to no backing",
				     file_offset);
	return 0;
}

/* How many headers are extents: memory that is not touched costs no page fault. */
static uint32_t count_extents(const struct thump_image *image)
{
	uint32_t count = 0;

	for (uint32_t i = 1; i < image->nr_headers; i++) {
		Elf64_Phdr header = header_at(image, i);

		count += header.p_filesz != 0 && header.p_offset < image->memory_end;
	}
	return count;
}

int image_check_segments(struct thump_image *image, struct thump_err *err)
{
	struct segments s = { .image = image,
			      .file_offset = IMG_DATA_OFFSET,
			      .debug_offset = image->backing_end };

	if (check_backing_offsets(image, err) < 0)
		return -1;
	s.extents = thump_arena_alloc(&image->model.arena, count_extents(image) + 1,
				      sizeof(*s.extents));
	if (!s.extents)
		return thump_fail_errno(err, "list of extents");
	for (uint32_t i = 1; i < image->nr_headers; i++) {
		Elf64_Phdr header = header_at(image, i);

		if (take_segment(&s, &header, err) < 0)
			return thump_add_context(err, "segment %" PRIu32 " at %" PRIx64, i,
						 (uint64_t)header.p_vaddr);
	}
	if (s.file_offset != image->memory_end || s.debug_offset != image->debug_end)
		return thump_damaged(err, "bytes at %#" PRIx64 " belong to no segment",
				     s.file_offset != image->memory_end ? s.file_offset
									: s.debug_offset);
	return 0;
}
