/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is not as docs/FORMAT.md says is refused by name, and never crashes the reader: accidents
 * (a byte flipped, an end cut off) and well-sealed lies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "base/fd.h"
#include "image/format.h"
#include "image/hash.h"
#include "image/image.h"
#include "sample.h"

struct fixture {
	char dir[64], path[96];
	unsigned char *good, *bytes; /* the image as written, and the one being broken */
	size_t size;
	int fd; /* a memfd that the broken one is written to */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct thump_image_stats stats;
	struct thump_model model;
	auto_close int fd = -1;

	*state = f;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/thump-image-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/sample.thump", f->dir);
	sample_fill(&model, SAMPLE_SMALL);
	sample_write(&model, f->path, &stats);
	thump_model_deinit(&model);
	f->size = stats.file_bytes;
	f->good = malloc(f->size);
	f->bytes = malloc(f->size);
	f->fd = memfd_create("broken image", MFD_CLOEXEC);
	fd = open(f->path, O_RDONLY | O_CLOEXEC);
	assert_true(f->good && f->bytes && f->fd >= 0 && fd >= 0);
	assert_int_equal(thump_read_full(fd, f->good, f->size), 0);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	(void)unlink(f->path);
	(void)rmdir(f->dir);
	thump_close_fd(&f->fd);
	free(f->good);
	free(f->bytes);
	free(f);
	return 0;
}

/* Opens and verifies what is in the memfd. */
static int check(const struct fixture *f, struct thump_err *err)
{
	struct thump_image *image = NULL;
	int failed = thump_image_open_fd(f->fd, "broken", &image, err);

	if (!failed)
		failed = thump_image_verify(image, NULL, NULL, err);
	thump_image_destroy(image);
	return failed;
}

static void every_truncation_is_damage(void **state)
{
	struct fixture *f = *state;
	struct thump_err err = THUMP_ERR_INIT;

	assert_int_equal(thump_pwrite_full(f->fd, f->good, f->size, 0), 0);
	assert_int_equal(check(f, &err), 0);
	for (size_t size = f->size; size-- > 0;) {
		assert_int_equal(ftruncate(f->fd, (off_t)size), 0);
		err = THUMP_ERR_INIT;
		if (check(f, &err) == 0 || err.code != THUMP_DAMAGED)
			fail_msg("cut to %zu bytes: %d %s", size, err.code, err.text);
	}
}

static void every_flipped_byte_is_damage(void **state)
{
	struct fixture *f = *state;
	struct thump_err err = THUMP_ERR_INIT;

	assert_int_equal(thump_pwrite_full(f->fd, f->good, f->size, 0), 0);
	for (size_t at = 0; at < f->size; at++) {
		unsigned char broken = f->good[at] ^ (unsigned char)(1u << (at % 8));

		assert_int_equal(thump_pwrite_full(f->fd, &broken, 1, at), 0);
		err = THUMP_ERR_INIT;
		if (check(f, &err) == 0 || err.code != THUMP_DAMAGED)
			fail_msg("byte %zu flipped: %d %s", at, err.code, err.text);
		assert_int_equal(thump_pwrite_full(f->fd, &f->good[at], 1, at), 0);
	}
	assert_int_equal(check(f, &err), 0);
}

static void bytes_behind_the_end_are_damage(void **state)
{
	struct fixture *f = *state;
	struct thump_err err = THUMP_ERR_INIT;

	assert_int_equal(thump_pwrite_full(f->fd, f->good, f->size, 0), 0);
	assert_int_equal(thump_pwrite_full(f->fd, "", 1, f->size), 0);
	assert_int_equal(check(f, &err), -1);
	assert_int_equal(err.code, THUMP_DAMAGED);
	assert_int_equal(ftruncate(f->fd, (off_t)f->size), 0);
}

/* ---- lies with a good seal --------------------------------------------------------------- */

static uint64_t get64(const unsigned char *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static void put64(unsigned char *at, uint64_t value)
{
	memcpy(at, &value, sizeof(value));
}

static void put32(unsigned char *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

static void put16(unsigned char *at, uint16_t value)
{
	memcpy(at, &value, sizeof(value));
}

#define PHOFF_AT offsetof(Elf64_Ehdr, e_phoff)
#define PHNUM_AT offsetof(Elf64_Ehdr, e_phnum)

/* Over the place where the notes begin in the good image, whatever its header says now. */
static void seal(struct fixture *f)
{
	size_t meta = get64(f->good + PHOFF_AT), sealed = f->size - sizeof(uint64_t) - meta;

	put64(f->bytes + f->size - sizeof(uint64_t),
	      image_hash2(f->bytes, THUMP_PAGE_SIZE, f->bytes + meta, sealed));
}

/* Where the desc of the index-th note of this type begins. */
static unsigned char *note(struct fixture *f, uint32_t type, unsigned index)
{
	size_t at = get64(f->good + PHOFF_AT) + f->good[PHNUM_AT] * sizeof(Elf64_Phdr);

	while (at < f->size) {
		Elf64_Nhdr header;
		size_t desc;

		memcpy(&header, f->good + at, sizeof(header));
		desc = at + sizeof(header) + ((header.n_namesz + 3) & ~3u);
		if (header.n_type == type && index-- == 0)
			return f->bytes + desc;
		at = desc + ((header.n_descsz + 3) & ~3u);
	}
	fail_msg("note %#x is not there", type);
	return NULL;
}

/* Payload of a record. */
static unsigned char *record(struct fixture *f, uint32_t id)
{
	return note(f, id, 0) + 8;
}

static unsigned char *segment(struct fixture *f, unsigned index)
{
	return f->bytes + get64(f->good + PHOFF_AT) + index * sizeof(Elf64_Phdr);
}

#define P(field)  offsetof(Elf64_Phdr, p_##field)
#define VMA_SIZE  48u
#define VMA(f, i) (record((f), IMG_REC_VMAS) + 4 + (size_t)(i)*VMA_SIZE)

static void overlap_in_the_file(struct fixture *f)
{
	put64(segment(f, 2) + P(offset), get64(segment(f, 1) + P(offset)));
}

static void extents_not_back_to_back(struct fixture *f)
{
	put64(segment(f, 2) + P(offset), get64(segment(f, 2) + P(offset)) + THUMP_PAGE_SIZE);
}

static void overlap_in_memory(struct fixture *f)
{
	put64(segment(f, 2) + P(vaddr), get64(segment(f, 1) + P(vaddr)));
}

static void segment_behind_the_content(struct fixture *f)
{
	put64(segment(f, 1) + P(offset), get64(f->good + PHOFF_AT));
}

static void segment_offset_that_overflows(struct fixture *f)
{
	put64(segment(f, 1) + P(offset), UINT64_MAX - THUMP_PAGE_SIZE + 1);
}

static void segment_not_page_aligned(struct fixture *f)
{
	put64(segment(f, 1) + P(vaddr), get64(segment(f, 1) + P(vaddr)) + 8);
}

static void segment_size_that_overflows(struct fixture *f)
{
	put64(segment(f, 1) + P(memsz), UINT64_MAX - THUMP_PAGE_SIZE + 1);
	put64(segment(f, 1) + P(filesz), UINT64_MAX - THUMP_PAGE_SIZE + 1);
}

static void segment_outside_its_vma(struct fixture *f)
{
	put64(segment(f, 1) + P(vaddr), get64(segment(f, 1) + P(vaddr)) - THUMP_PAGE_SIZE);
}

static void segment_with_other_flags(struct fixture *f)
{
	put32(segment(f, 1) + P(flags), PF_R | PF_W | PF_X);
}

static void segment_half_in_the_file(struct fixture *f)
{
	put64(segment(f, 4) + P(filesz), THUMP_PAGE_SIZE);
}

static void segment_of_another_type(struct fixture *f)
{
	put32(segment(f, 1) + P(type), PT_INTERP);
}

static void view_of_wrong_bytes(struct fixture *f)
{
	/* the last segment shows the carried file */
	unsigned last = f->good[PHNUM_AT] - 1u;

	put64(segment(f, last) + P(offset), get64(segment(f, last) + P(offset)) + THUMP_PAGE_SIZE);
}

static void hole_in_a_file_mapping(struct fixture *f)
{
	/* the shared block of zeros for what debuggers must read from a file */
	put64(segment(f, 2) + P(offset), get64(record(f, IMG_REC_LAYOUT) + 16));
}

static void debug_content_elsewhere(struct fixture *f)
{
	put64(segment(f, 3) + P(offset), get64(segment(f, 3) + P(offset)) + THUMP_PAGE_SIZE);
	put64(record(f, IMG_REC_LAYOUT) + 16,
	      get64(record(f, IMG_REC_LAYOUT) + 16) + THUMP_PAGE_SIZE);
}

static void debug_content_of_anonymous_memory(struct fixture *f)
{
	put64(segment(f, 4) + P(offset), get64(segment(f, 3) + P(offset)));
}

static void first_header_is_no_note(struct fixture *f)
{
	put32(segment(f, 0) + P(type), PT_LOAD);
}

static void notes_end_early(struct fixture *f)
{
	put64(segment(f, 0) + P(filesz), get64(segment(f, 0) + P(filesz)) - 4);
}

static void no_header_at_all(struct fixture *f)
{
	put16(f->bytes + PHNUM_AT, 0);
}

static void more_headers_than_the_file(struct fixture *f)
{
	put16(f->bytes + PHNUM_AT, 60000);
}

static void pn_xnum(struct fixture *f)
{
	put16(f->bytes + PHNUM_AT, PN_XNUM);
}

static void headers_behind_the_end(struct fixture *f)
{
	put64(f->bytes + PHOFF_AT, UINT64_MAX - 4095);
}

static void headers_not_page_aligned(struct fixture *f)
{
	put64(f->bytes + PHOFF_AT, get64(f->good + PHOFF_AT) + 8);
}

static void header_page_with_something_behind(struct fixture *f)
{
	f->bytes[THUMP_PAGE_SIZE - 1] = 1;
}

static void an_executable(struct fixture *f)
{
	put16(f->bytes + offsetof(Elf64_Ehdr, e_type), ET_EXEC);
}

static void another_machine(struct fixture *f)
{
	put16(f->bytes + offsetof(Elf64_Ehdr, e_machine), EM_AARCH64);
}

static void file_size_in_the_seal(struct fixture *f)
{
	put64(record(f, IMG_REC_SEAL), f->size + 1);
}

static void unknown_required_record(struct fixture *f)
{
	put32(note(f, IMG_REC_TIMERS, 0) - 12, 0x7468007f);
}

static void unknown_optional_record_in_place_of_a_known_one(struct fixture *f)
{
	put32(note(f, IMG_REC_TIMERS, 0) - 12, 0x7468007f);
	put16(note(f, IMG_REC_TIMERS, 0) + 2, 0);
}

static void newer_version_of_a_required_record(struct fixture *f)
{
	put16(note(f, IMG_REC_VMAS, 0), 2);
}

static void unknown_flag_of_a_record(struct fixture *f)
{
	put16(note(f, IMG_REC_VMAS, 0) + 2, 3);
}

static void record_twice(struct fixture *f)
{
	put32(note(f, IMG_REC_TIMERS, 0) - 12, IMG_REC_FDS);
}

static void padding_of_an_owner_not_zero(struct fixture *f)
{
	note(f, IMG_REC_VMAS, 0)[-1] = 1;
}

static void note_longer_than_the_file(struct fixture *f)
{
	put32(note(f, IMG_REC_VMAS, 0) - 16, UINT32_MAX);
}

static void huge_count_of_vmas(struct fixture *f)
{
	put32(record(f, IMG_REC_VMAS), UINT32_MAX);
}

static void one_vma_too_few(struct fixture *f)
{
	put32(record(f, IMG_REC_VMAS), 3);
}

static void huge_count_of_fds(struct fixture *f)
{
	put32(record(f, IMG_REC_FDS), 0x10000000);
}

static void vma_upside_down(struct fixture *f)
{
	put64(VMA(f, 0), get64(VMA(f, 0) + 8));
}

static void vma_outside_user_space(struct fixture *f)
{
	put64(VMA(f, 2) + 8, 0xffffffff80000000);
}

static void vma_over_the_next(struct fixture *f)
{
	put64(VMA(f, 0) + 8, get64(VMA(f, 1)) + THUMP_PAGE_SIZE);
}

static void vma_of_unknown_kind(struct fixture *f)
{
	put32(VMA(f, 0) + 28, 77);
}

static void vma_with_unknown_traits(struct fixture *f)
{
	put32(VMA(f, 0) + 32, 1u << 31);
}

static void vma_of_a_backing_that_is_not_there(struct fixture *f)
{
	put32(VMA(f, 0) + 36, 2);
}

static void anonymous_vma_of_a_file(struct fixture *f)
{
	put32(VMA(f, 0) + 28, THUMP_VMA_ANON);
}

static void vma_name_with_a_nul(struct fixture *f)
{
	VMA(f, 2)[VMA_SIZE + 2] = 0;
}

static void layout_of_another_file(struct fixture *f)
{
	put64(record(f, IMG_REC_LAYOUT), get64(record(f, IMG_REC_LAYOUT)) + THUMP_PAGE_SIZE);
}

static void layout_below_the_content(struct fixture *f)
{
	put64(record(f, IMG_REC_LAYOUT), 0);
}

static void other_chunk_size(struct fixture *f)
{
	put32(record(f, IMG_REC_CHECKSUMS), 4096);
}

static void thread_record_of_another_thread(struct fixture *f)
{
	put32(record(f, IMG_REC_THREAD), 4712);
}

static void thread_that_is_not_the_process(struct fixture *f)
{
	put32(record(f, IMG_REC_PROCESS), 4712);
}

static void name_of_a_thread_without_end(struct fixture *f)
{
	memset(record(f, IMG_REC_THREAD) + 8, 'x', THUMP_COMM_SIZE);
}

static void compacted_registers(struct fixture *f)
{
	note(f, NT_X86_XSTATE, 0)[IMG_XCOMP_BV_AT + 7] = 0x80;
}

static void thread_without_registers(struct fixture *f)
{
	put32(note(f, NT_X86_XSTATE, 0) - 12, 0x2ff);
}

static void image_without_threads(struct fixture *f)
{
	put32(note(f, NT_PRSTATUS, 0) - 12, 0x3ff);
}

static void descriptors_not_sorted(struct fixture *f)
{
	put32(record(f, IMG_REC_FDS) + 4, 7);
}

static void descriptor_of_no_description(struct fixture *f)
{
	put32(record(f, IMG_REC_FDS) + 4 + 5, 2);
}

static void flag_that_is_neither_true_nor_false(struct fixture *f)
{
	record(f, IMG_REC_FDS)[4 + 4] = 2;
}

static const struct lie {
	void (*tell)(struct fixture *f);
	const char *answer; /* part of the message */
	int code;	    /* 0: DAMAGED */
} lies[] = {
	{ overlap_in_the_file, "overlaps another segment in the file", 0 },
	{ extents_not_back_to_back, "not where it must be", 0 },
	{ overlap_in_memory, "overlaps the segment before it", 0 },
	{ segment_behind_the_content, "holes of its VMA are not zeros", 0 },
	{ segment_offset_that_overflows, "holes of its VMA are not zeros", 0 },
	{ segment_not_page_aligned, "not a range of pages", 0 },
	{ segment_size_that_overflows, "overlaps the segment before it", 0 },
	{ segment_outside_its_vma, "not inside a VMA", 0 },
	{ segment_with_other_flags, "not the protection of its VMA", 0 },
	{ segment_half_in_the_file, "p_filesz", 0 },
	{ segment_of_another_type, "not PT_LOAD", 0 },
	{ view_of_wrong_bytes, "not those of the backing", 0 },
	{ hole_in_a_file_mapping, "holes of its VMA are not zeros", 0 },
	{ debug_content_elsewhere, "not where it must be", 0 },
	{ debug_content_of_anonymous_memory, "no private mapping of a file", 0 },
	{ first_header_is_no_note, "not the PT_NOTE", 0 },
	{ notes_end_early, "not the rest of the file", 0 },
	{ no_header_at_all, "0 program headers", 0 },
	{ more_headers_than_the_file, "do not fit a file", 0 },
	{ pn_xnum, "65535 program headers", 0 },
	{ headers_behind_the_end, "do not fit a file", 0 },
	{ headers_not_page_aligned, "do not fit a file", 0 },
	{ header_page_with_something_behind, "not zero behind the header", 0 },
	{ an_executable, "no core file", 0 },
	{ another_machine, "another architecture", THUMP_REFUSED },
	{ file_size_in_the_seal, "instead of", 0 },
	{ unknown_required_record, "0x7468007f", THUMP_REFUSED },
	{ unknown_optional_record_in_place_of_a_known_one, "TIMERS is missing", 0 },
	{ newer_version_of_a_required_record, "VMAS 0x74680005 version 2", THUMP_REFUSED },
	{ unknown_flag_of_a_record, "broken head", 0 },
	{ record_twice, "FDS", 0 },
	{ padding_of_an_owner_not_zero, "padding of a note", 0 },
	{ note_longer_than_the_file, "cut off", 0 },
	{ huge_count_of_vmas, "VMAS", 0 },
	{ one_vma_too_few, "VMAS: 48 bytes left over", 0 },
	{ huge_count_of_fds, "FDS", 0 },
	{ vma_upside_down, "not a range of pages", 0 },
	{ vma_outside_user_space, "outside user space", 0 },
	{ vma_over_the_next, "overlaps the VMA before it", 0 },
	{ vma_of_unknown_kind, "unknown kind 77", 0 },
	{ vma_with_unknown_traits, "unknown traits", 0 },
	{ vma_of_a_backing_that_is_not_there, "backing 2 does not exist", 0 },
	{ anonymous_vma_of_a_file, "cannot have this kind of backing", 0 },
	{ vma_name_with_a_nul, "VMAS", 0 },
	{ layout_of_another_file, "not where it must be", 0 },
	{ layout_below_the_content, "LAYOUT", 0 },
	{ other_chunk_size, "CHECKSUMS", 0 },
	{ thread_record_of_another_thread, "THREAD", 0 },
	{ thread_that_is_not_the_process, "is not process 4712", 0 },
	{ name_of_a_thread_without_end, "its name has no end", 0 },
	{ compacted_registers, "compacted", 0 },
	{ thread_without_registers, "NT_X86_XSTATE is missing", 0 },
	{ image_without_threads, "of no thread", 0 },
	{ descriptors_not_sorted, "descriptor 7 is not sorted", 0 },
	{ descriptor_of_no_description, "open file description 2 does not exist", 0 },
	{ flag_that_is_neither_true_nor_false, "FDS", 0 },
};

static void lies_are_named(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(lies); i++) {
		struct thump_err err = THUMP_ERR_INIT;
		int code = lies[i].code ? lies[i].code : THUMP_DAMAGED;

		memcpy(f->bytes, f->good, f->size);
		lies[i].tell(f);
		assert_memory_not_equal(f->bytes, f->good, f->size);
		seal(f);
		assert_int_equal(thump_pwrite_full(f->fd, f->bytes, f->size, 0), 0);
		if (check(f, &err) == 0 || err.code != code || !strstr(err.text, lies[i].answer))
			fail_msg("lie %zu, \"%s\" expected: %d %s", i, lies[i].answer, err.code,
				 err.text);
	}
}

static void an_unknown_optional_record_is_skipped(void **state)
{
	struct fixture *f = *state;
	struct thump_err err = THUMP_ERR_INIT;
	unsigned char *siginfo;

	/* The siginfo note is 4 bytes of owner "CORE" + NUL, padded like "thump". */
	memcpy(f->bytes, f->good, f->size);
	siginfo = note(f, NT_SIGINFO, 0);
	put32(siginfo - 20, sizeof("thump"));
	memcpy(siginfo - 8, "thump\0\0", 8);
	put32(siginfo - 12, 0x7468007f);
	put16(siginfo, 9); /* version; flags are 0 */
	seal(f);
	assert_int_equal(thump_pwrite_full(f->fd, f->bytes, f->size, 0), 0);
	if (check(f, &err) < 0)
		fail_msg("%s", err.text);
}

/* Nothing is said about the outcome: sealed garbage may be harmless. It must not crash. */
static void sealed_garbage_does_no_harm(void **state)
{
	static const unsigned char values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
	struct fixture *f = *state;
	size_t meta = get64(f->good + PHOFF_AT);

	for (size_t at = meta; at < f->size - sizeof(uint64_t); at++) {
		for (size_t i = 0; i < sizeof(values); i++) {
			struct thump_err err = THUMP_ERR_INIT;

			if (f->good[at] == values[i])
				continue;
			memcpy(f->bytes, f->good, f->size);
			f->bytes[at] = values[i];
			seal(f);
			assert_int_equal(
				thump_pwrite_full(f->fd, f->bytes + meta, f->size - meta, meta), 0);
			if (check(f, &err) < 0)
				assert_true(err.code == THUMP_DAMAGED || err.code == THUMP_REFUSED);
		}
	}
}

/* Content is not read by opening; it is checked before it is used. */
static void damaged_content_is_found_before_it_is_used(void **state)
{
	struct fixture *f = *state;
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image = NULL;
	unsigned char page[THUMP_PAGE_SIZE];

	memcpy(f->bytes, f->good, f->size);
	f->bytes[IMG_DATA_OFFSET + 17] ^= 1;
	assert_int_equal(thump_pwrite_full(f->fd, f->bytes, f->size, 0), 0);
	assert_int_equal(thump_image_open_fd(f->fd, "broken", &image, &err), 0);
	assert_int_equal(thump_image_verify(image, NULL, NULL, &err), -1);
	assert_int_equal(err.code, THUMP_DAMAGED);
	assert_non_null(strstr(err.text, "memory from 400000 on"));
	assert_int_equal(thump_image_verify_range(image, IMG_DATA_OFFSET, 1, &err), -1);
	assert_int_equal(err.code, THUMP_DAMAGED);
	assert_int_equal(thump_image_read_backing(image, 1, 0, page, sizeof(page), &err), -1);
	assert_int_equal(err.code, THUMP_DAMAGED);
	thump_image_destroy(image);
}

static void a_zero_block_that_is_not_zero_is_damage(void **state)
{
	struct fixture *f = *state;
	struct thump_err err = THUMP_ERR_INIT;
	uint64_t zero, end;

	memcpy(f->bytes, f->good, f->size);
	zero = get64(record(f, IMG_REC_LAYOUT) + 16);
	end = get64(record(f, IMG_REC_LAYOUT) + 24);
	assert_true(zero < end);
	f->bytes[zero + 5] = 1;
	put64(record(f, IMG_REC_CHECKSUMS) + 8,
	      image_hash(f->bytes + IMG_DATA_OFFSET, end - IMG_DATA_OFFSET));
	seal(f);
	assert_int_equal(thump_pwrite_full(f->fd, f->bytes, f->size, 0), 0);
	assert_int_equal(check(f, &err), -1);
	assert_int_equal(err.code, THUMP_DAMAGED);
	assert_non_null(strstr(err.text, "zero block"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_truncation_is_damage),
		cmocka_unit_test(every_flipped_byte_is_damage),
		cmocka_unit_test(bytes_behind_the_end_are_damage),
		cmocka_unit_test(lies_are_named),
		cmocka_unit_test(an_unknown_optional_record_is_skipped),
		cmocka_unit_test(sealed_garbage_does_no_harm),
		cmocka_unit_test(damaged_content_is_found_before_it_is_used),
		cmocka_unit_test(a_zero_block_that_is_not_zero_is_damage),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
