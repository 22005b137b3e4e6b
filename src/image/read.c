/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening an image. Order: form of the ELF header, size, seal; only then is anything decoded. The
 * seal finds accidents, not attackers: decoding trusts nothing all the same.
 */
#include "image/read.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/pages.h"
#include "image/hash.h"
#include "image/rules.h"

#define HASH_SIZE sizeof(uint64_t)

static int check_elf_header(struct thump_image *image, const unsigned char *page,
			    uint16_t *machine_ret, struct thump_err *err)
{
	static const unsigned char ident[EI_NIDENT] = { ELFMAG0,    ELFMAG1,	 ELFMAG2,   ELFMAG3,
							ELFCLASS64, ELFDATA2LSB, EV_CURRENT };
	struct thump_reader r = thump_reader_of(page, THUMP_PAGE_SIZE);
	uint16_t type, ehsize, phentsize;
	uint32_t version;
	uint64_t entry, shoff;

	if (memcmp(thump_get_bytes(&r, sizeof(ident)), ident, sizeof(ident)) != 0)
		return thump_damaged(err, "not a thump image: the ELF header is not one");
	type = thump_get_u16(&r);
	*machine_ret = thump_get_u16(&r);
	version = thump_get_u32(&r);
	entry = thump_get_u64(&r);
	image->meta_offset = thump_get_u64(&r);
	shoff = thump_get_u64(&r);
	if (type != ET_CORE)
		return thump_damaged(err, "not a thump image: ELF, but no core file");
	if (version != EV_CURRENT || entry != 0 || shoff != 0 || thump_get_u32(&r) != 0)
		return thump_damaged(err, "unexpected fields in the ELF header");
	ehsize = thump_get_u16(&r);
	phentsize = thump_get_u16(&r);
	image->nr_headers = thump_get_u16(&r);
	if (ehsize != sizeof(Elf64_Ehdr) || phentsize != sizeof(Elf64_Phdr))
		return thump_damaged(err, "unexpected sizes in the ELF header");
	if (image->nr_headers < 1 || image->nr_headers > IMG_MAX_SEGMENTS + 1)
		return thump_damaged(err, "%" PRIu32 " program headers", image->nr_headers);
	for (const unsigned char *at = r.at; at < r.end; at++)
		if (*at)
			return thump_damaged(err,
					     "the ELF header page is not zero behind the header");
	return 0;
}

int thump_image_check_header(const unsigned char page[THUMP_PAGE_SIZE], uint64_t *max_bytes_ret,
			     struct thump_err *err)
{
	struct thump_image image = { 0 };
	uint16_t machine;

	if (check_elf_header(&image, page, &machine, err) < 0)
		return -1;
	if (image.meta_offset > INT64_MAX - IMG_MAX_META)
		return thump_damaged(err, "program headers at %#" PRIx64 " fit no file",
				     image.meta_offset);
	*max_bytes_ret = image.meta_offset + IMG_MAX_META;
	return 0;
}

static int read_meta(struct thump_image *image, struct thump_err *err)
{
	uint64_t size = image->size_bytes - image->meta_offset;
	void *meta;

	if (image->meta_offset % THUMP_PAGE_SIZE != 0 || image->meta_offset < IMG_DATA_OFFSET ||
	    image->meta_offset > image->size_bytes || size > IMG_MAX_META ||
	    size < image->nr_headers * sizeof(Elf64_Phdr) + HASH_SIZE)
		return thump_damaged(err,
				     "program headers at %#" PRIx64 " do not fit a file of %" PRIu64
				     " bytes",
				     image->meta_offset, image->size_bytes);
	/* Populated at once: page faults would cost more than the reading. */
	meta = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		    -1, 0);
	if (meta == MAP_FAILED)
		return thump_fail_errno(err, "memory for %" PRIu64 " bytes of notes", size);
	image->meta = meta;
	image->meta_size = size;
	if (thump_pread_full(image->fd, meta, size, image->meta_offset) < 0)
		return thump_fail_errno(err, "read the notes");
	return 0;
}

static int check_seal(struct thump_image *image, const unsigned char *header_page,
		      struct thump_err *err)
{
	size_t sealed = image->meta_size - HASH_SIZE;
	struct thump_reader r = thump_reader_of(image->meta + sealed, HASH_SIZE);

	image->seal = thump_get_u64(&r);
	if (image->seal != image_hash2(header_page, THUMP_PAGE_SIZE, image->meta, sealed))
		return thump_damaged(err, "headers or notes are damaged: the seal does not match");
	return 0;
}

/* After the seal: another architecture is no damage. */
static int check_machine(uint16_t machine, struct thump_err *err)
{
	if (machine != EM_X86_64)
		return thump_refuse(err, "an image of another architecture (ELF machine %u)",
				    machine);
	return 0;
}

/* The first header is the PT_NOTE; notes are what is left of the file. */
static int find_notes(struct thump_image *image, struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(image->meta, sizeof(Elf64_Phdr));
	size_t headers_size = image->nr_headers * sizeof(Elf64_Phdr);
	uint32_t type = thump_get_u32(&r), flags = thump_get_u32(&r);
	uint64_t offset = thump_get_u64(&r), addresses = thump_get_u64(&r) | thump_get_u64(&r);
	uint64_t size = thump_get_u64(&r), memsz = thump_get_u64(&r), align = thump_get_u64(&r);

	if (type != PT_NOTE || flags || addresses || memsz || align != 4)
		return thump_damaged(err, "the first program header is not the PT_NOTE");
	if (offset != image->meta_offset + headers_size || size != image->meta_size - headers_size)
		return thump_damaged(err, "the notes are not the rest of the file");
	image->notes = image->meta + headers_size;
	image->notes_size = image->meta_size - headers_size;
	return 0;
}

static int check_layout(const struct thump_image *image, struct thump_err *err)
{
	uint64_t content = image->zero_end - IMG_DATA_OFFSET;

	if (image->zero_end != image->meta_offset || image->memory_end < IMG_DATA_OFFSET ||
	    image->backing_end < image->memory_end || image->debug_end < image->backing_end ||
	    image->zero_end < image->debug_end ||
	    (image->memory_end | image->backing_end | image->debug_end) % THUMP_PAGE_SIZE != 0 ||
	    image->zero_end - image->debug_end > IMG_ZERO_BLOCK_MAX)
		return thump_damaged(err, "record LAYOUT does not fit the file");
	if (image->nr_chunks != (content + IMG_CHUNK_SIZE - 1) / IMG_CHUNK_SIZE)
		return thump_damaged(err, "%" PRIu32 " checksums for %" PRIu64 " bytes",
				     image->nr_chunks, content);
	return 0;
}

/* SEAL's other field; it stands in front of the hash. */
static int check_file_size(const struct thump_image *image, struct thump_err *err)
{
	size_t at = image->meta_size - 2 * HASH_SIZE;
	struct thump_reader r = thump_reader_of(image->meta + at, HASH_SIZE);
	uint64_t size = thump_get_u64(&r);

	if (size != image->size_bytes)
		return thump_damaged(err, "the file has %" PRIu64 " bytes instead of %" PRIu64,
				     image->size_bytes, size);
	return 0;
}

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a FIFO or pipe";
	case S_IFSOCK:
		return "a socket";
	default:
		return "a device";
	}
}

static int open_parts(struct thump_image *image, struct thump_err *err)
{
	unsigned char header_page[THUMP_PAGE_SIZE];
	uint16_t machine = 0;
	struct stat st;

	if (fstat(image->fd, &st) < 0)
		return thump_fail_errno(err, "fstat");
	if (!image->unpacked)
		image->origin = st;
	if (!S_ISREG(st.st_mode))
		return thump_fail(err, "%s, not a regular file: an image is one",
				  type_name(st.st_mode));
	image->size_bytes = (uint64_t)st.st_size;
	if (image->size_bytes < sizeof(header_page))
		return thump_damaged(err, "not a thump image: %" PRIu64 " bytes are too few",
				     image->size_bytes);
	if (thump_pread_full(image->fd, header_page, sizeof(header_page), 0) < 0)
		return thump_fail_errno(err, "read the header");
	if (check_elf_header(image, header_page, &machine, err) < 0 || read_meta(image, err) < 0 ||
	    check_seal(image, header_page, err) < 0 || check_machine(machine, err) < 0 ||
	    find_notes(image, err) < 0 || image_decode_notes(image, err) < 0 ||
	    check_file_size(image, err) < 0 || check_layout(image, err) < 0 ||
	    image_check_model(&image->model, err) < 0 || image_check_segments(image, err) < 0)
		return -1;
	thump_forget_pages(image->meta, image->notes);
	image->chunk_good = calloc(image->nr_chunks + (size_t)1, 1);
	return image->chunk_good ? 0 : thump_fail_errno(err, "table of chunks");
}

/* Takes fd, on failure too. No origin: it is the file itself. */
static int open_taken(int fd, const struct stat *origin, const char *name,
		      struct thump_image **image_ret, struct thump_err *err)
{
	struct thump_image *image = calloc(1, sizeof(*image));

	if (!image) {
		thump_close_fd(&fd);
		return thump_fail_errno(err, "image");
	}
	image->fd = fd;
	image->unpacked = origin != NULL;
	if (origin)
		image->origin = *origin;
	thump_model_init(&image->model);
	image->name = strdup(name);
	if (!image->name)
		(void)thump_fail_errno(err, "image");
	if (!image->name || open_parts(image, err) < 0) {
		thump_image_destroy(image);
		return thump_add_context(err, "image %s", name);
	}
	*image_ret = image;
	return 0;
}

int thump_image_open(const char *path, struct thump_image **image_ret, struct thump_err *err)
{
	/* O_NONBLOCK: a FIFO is refused below, not waited for. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return thump_fail_errno(err, "image %s", path);
	return open_taken(fd, NULL, path, image_ret, err);
}

int thump_image_open_fd(int fd, const char *name, struct thump_image **image_ret,
			struct thump_err *err)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy < 0)
		return thump_fail_errno(err, "image %s", name);
	return open_taken(copy, NULL, name, image_ret, err);
}

int thump_image_open_unpacked(int fd, const struct stat *origin, const char *name,
			      struct thump_image **image_ret, struct thump_err *err)
{
	return open_taken(fd, origin, name, image_ret, err);
}

void thump_image_destroy(struct thump_image *image)
{
	if (!image)
		return;
	thump_model_deinit(&image->model);
	if (image->meta)
		(void)munmap(image->meta, image->meta_size);
	image_supply_destroy(image);
	thump_close_fd(&image->fd);
	free(image->chunk_good);
	free(image->name);
	free(image);
}

const struct thump_model *thump_image_model(const struct thump_image *image)
{
	return &image->model;
}

int thump_image_fd(const struct thump_image *image)
{
	return image->fd;
}

uint64_t thump_image_size(const struct thump_image *image)
{
	return image->size_bytes;
}

const struct stat *thump_image_origin(const struct thump_image *image)
{
	return &image->origin;
}

bool thump_image_is_unpacked(const struct thump_image *image)
{
	return image->unpacked;
}

struct thump_image_parts thump_image_parts(const struct thump_image *image)
{
	return (struct thump_image_parts){
		.memory = IMG_DATA_OFFSET,
		.backings = image->memory_end,
		.debug = image->backing_end,
		.zeros = image->debug_end,
		.meta = image->meta_offset,
	};
}
