/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of images. An input is the ELF header (64 bytes) and all that follows the content: the
 * program headers, the notes, the seal. What no mutation would ever get right is made right here:
 * the file size, the size of the PT_NOTE and the seal. Content is zeros that are not stored.
 */
#include "fuzz.h"

#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "image/hash.h"
#include "image/image.h"
#include "kinds/kind.h"

#define MAX_META    ((size_t)1 << 20)
#define MAX_CONTENT ((uint64_t)16 << 20)
#define HASH_SIZE   sizeof(uint64_t)

struct input {
	unsigned char page[THUMP_PAGE_SIZE]; /* the first one of the file */
	unsigned char *meta;
	size_t meta_size;
	uint64_t meta_offset;
};

static void make_right(struct input *in)
{
	const uint64_t file_size = in->meta_offset + in->meta_size;
	Elf64_Ehdr header;
	Elf64_Phdr notes;
	uint64_t seal;
	size_t headers_size;

	memcpy(&header, in->page, sizeof(header));
	headers_size = header.e_phnum * sizeof(Elf64_Phdr);
	if (in->meta_size >= headers_size + 2 * HASH_SIZE && headers_size > 0) {
		memcpy(&notes, in->meta, sizeof(notes));
		notes.p_offset = in->meta_offset + headers_size;
		notes.p_filesz = in->meta_size - headers_size;
		memcpy(in->meta, &notes, sizeof(notes));
		memcpy(in->meta + in->meta_size - 2 * HASH_SIZE, &file_size, HASH_SIZE);
	}
	seal = image_hash2(in->page, sizeof(in->page), in->meta, in->meta_size - HASH_SIZE);
	memcpy(in->meta + in->meta_size - HASH_SIZE, &seal, HASH_SIZE);
}

static void decode_descriptors(const struct thump_model *model)
{
	for (uint32_t i = 0; i < model->nr_ofds; i++) {
		const struct thump_kind *kind = thump_kind_by_id(model->ofds[i].kind_id);
		struct thump_err err = THUMP_ERR_INIT;
		struct thump_arena arena;
		void *object;

		thump_arena_init(&arena);
		if (kind)
			(void)!kind->decode(&model->ofds[i], &arena, &object, &err);
		thump_arena_deinit(&arena);
	}
}

static void read_image(const struct input *in)
{
	auto_close int fd = memfd_create("image", MFD_CLOEXEC);
	struct thump_image *image = NULL;
	struct thump_err err = THUMP_ERR_INIT;

	if (fd < 0 || ftruncate(fd, (off_t)in->meta_offset) != 0 ||
	    thump_pwrite_full(fd, in->page, sizeof(in->page), 0) != 0 ||
	    thump_pwrite_full(fd, in->meta, in->meta_size, in->meta_offset) != 0)
		return;
	if (thump_image_open_fd(fd, "fuzzed", &image, &err) != 0)
		return;
	decode_descriptors(thump_image_model(image));
	(void)!thump_image_verify(image, NULL, NULL, &err);
	thump_image_destroy(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { 0 };
	Elf64_Ehdr header;

	if (size < sizeof(header) + HASH_SIZE || size > MAX_META)
		return 0;
	memcpy(&header, data, sizeof(header));
	header.e_phoff = (header.e_phoff % MAX_CONTENT) & ~((uint64_t)THUMP_PAGE_SIZE - 1);
	if (header.e_phoff < THUMP_PAGE_SIZE)
		header.e_phoff = THUMP_PAGE_SIZE;
	memcpy(in.page, &header, sizeof(header));
	in.meta_offset = header.e_phoff;
	in.meta_size = size - sizeof(header);
	in.meta = malloc(in.meta_size);
	if (!in.meta)
		return 0;
	memcpy(in.meta, data + sizeof(header), in.meta_size);
	make_right(&in);
	read_image(&in);
	free(in.meta);
	return 0;
}
