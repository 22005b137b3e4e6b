/* SPDX-License-Identifier: Apache-2.0 */
/* What is written is what is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "base/fd.h"
#include "image/image.h"
#include "sample.h"

/* A new field of the model belongs into encode.c, decode.c, docs/FORMAT.md and sample.c, too. */
_Static_assert(sizeof(struct thump_machine) == 104, "struct thump_machine has changed");
_Static_assert(sizeof(struct thump_process) == 2720, "struct thump_process has changed");
_Static_assert(sizeof(struct thump_mm) == 176, "struct thump_mm has changed");
_Static_assert(sizeof(struct thump_task) == 392, "struct thump_task has changed");
_Static_assert(sizeof(struct thump_vma) == 64, "struct thump_vma has changed");
_Static_assert(sizeof(struct thump_backing) == 168, "struct thump_backing has changed");
_Static_assert(sizeof(struct thump_ofd) == 56, "struct thump_ofd has changed");
_Static_assert(sizeof(struct thump_posix_timer) == 56, "struct thump_posix_timer has changed");

struct fixture {
	char dir[64], path[96];
	struct thump_model model; /* what was written */
	struct thump_image_stats stats;
	struct thump_image *image;
	const struct thump_model *read;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct thump_err err = THUMP_ERR_INIT;

	*state = f;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/thump-image-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/sample.thump", f->dir);
	sample_fill(&f->model, SAMPLE_RICH);
	sample_write(&f->model, f->path, &f->stats);
	if (thump_image_open(f->path, &f->image, &err) < 0)
		fail_msg("%s", err.text);
	f->read = thump_image_model(f->image);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	thump_image_destroy(f->image);
	thump_model_deinit(&f->model);
	(void)unlink(f->path);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

static void machine_is_kept(void **state)
{
	struct fixture *f = *state;
	struct thump_machine a = f->model.machine, b = f->read->machine;

	assert_string_equal(a.hostname, b.hostname);
	assert_string_equal(a.kernel_release, b.kernel_release);
	assert_string_equal(a.thump_version, b.thump_version);
	assert_string_equal(a.boot_id, b.boot_id);
	assert_string_equal(a.cpu_name, b.cpu_name);
	assert_memory_equal(a.cpuid_words, b.cpuid_words, 3 * sizeof(uint32_t));
	b.hostname = a.hostname;
	b.kernel_release = a.kernel_release;
	b.thump_version = a.thump_version;
	b.boot_id = a.boot_id;
	b.cpu_name = a.cpu_name;
	b.cpuid_words = a.cpuid_words;
	assert_memory_equal(&a, &b, sizeof(a));
}

static void process_and_mm_are_kept(void **state)
{
	struct fixture *f = *state;
	struct thump_process a = f->model.process, b = f->read->process;
	struct thump_mm mm = f->read->mm;

	assert_string_equal(a.exe_path, b.exe_path);
	assert_string_equal(a.cwd, b.cwd);
	assert_string_equal(a.root, b.root);
	assert_string_equal(a.cmdline, b.cmdline);
	assert_memory_equal(a.creds.groups, b.creds.groups, 2 * sizeof(uint32_t));
	assert_memory_equal(a.pending, b.pending, 2 * sizeof(*a.pending));
	b.exe_path = a.exe_path;
	b.cwd = a.cwd;
	b.root = a.root;
	b.cmdline = a.cmdline;
	assert_string_equal(a.runtime.name, b.runtime.name);
	b.runtime.name = a.runtime.name;
	b.creds.groups = a.creds.groups;
	b.pending = a.pending;
	assert_memory_equal(&a, &b, sizeof(a));

	assert_memory_equal(f->model.mm.auxv, mm.auxv, f->model.mm.auxv_size);
	mm.auxv = f->model.mm.auxv;
	assert_memory_equal(&f->model.mm, &mm, sizeof(mm));
}

static void threads_are_kept(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->model.nr_tasks, f->read->nr_tasks);
	for (uint32_t i = 0; i < f->model.nr_tasks; i++) {
		struct thump_task a = f->model.tasks[i], b = f->read->tasks[i];

		assert_int_equal(a.xstate_size, b.xstate_size);
		assert_memory_equal(a.xstate, b.xstate, a.xstate_size);
		assert_int_equal(a.nr_pending, b.nr_pending);
		if (a.nr_pending)
			assert_memory_equal(a.pending, b.pending,
					    a.nr_pending * sizeof(*a.pending));
		assert_memory_equal(a.affinity, b.affinity, 2 * sizeof(uint64_t));
		b.xstate = a.xstate;
		b.pending = a.pending;
		b.affinity = a.affinity;
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

static void mappings_are_kept(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->model.nr_vmas, f->read->nr_vmas);
	for (uint32_t i = 0; i < f->model.nr_vmas; i++) {
		struct thump_vma a = f->model.vmas[i], b = f->read->vmas[i];

		assert_int_equal(!a.anon_name, !b.anon_name);
		if (a.anon_name)
			assert_string_equal(a.anon_name, b.anon_name);
		b.anon_name = a.anon_name;
		b.extents = a.extents;
		b.nr_extents = a.nr_extents;
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

static void backings_are_kept(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->model.nr_backings, f->read->nr_backings);
	for (uint32_t i = 0; i < f->model.nr_backings; i++) {
		struct thump_backing a = f->model.backings[i], b = f->read->backings[i];

		assert_string_equal(a.path, b.path);
		b.path = a.path;
		b.extents = a.extents;
		b.nr_extents = a.nr_extents;
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

static void descriptors_and_timers_are_kept(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->model.nr_ofds, f->read->nr_ofds);
	for (uint32_t i = 0; i < f->model.nr_ofds; i++) {
		struct thump_ofd a = f->model.ofds[i], b = f->read->ofds[i];

		assert_string_equal(a.text, b.text);
		if (a.record_size)
			assert_memory_equal(a.record, b.record, a.record_size);
		b.text = a.text;
		b.record = a.record;
		assert_memory_equal(&a, &b, sizeof(a));
	}
	assert_int_equal(f->model.nr_fds, f->read->nr_fds);
	assert_memory_equal(f->model.fds, f->read->fds, f->model.nr_fds * sizeof(*f->model.fds));
	assert_int_equal(f->model.nr_timers, f->read->nr_timers);
	assert_memory_equal(f->model.timers, f->read->timers,
			    f->model.nr_timers * sizeof(*f->model.timers));
}

static void vouched_ranges_are_kept(void **state)
{
	struct fixture *f = *state;

	assert_true(f->model.nr_vouched > 0);
	assert_int_equal(f->model.nr_vouched, f->read->nr_vouched);
	assert_memory_equal(f->model.vouched, f->read->vouched,
			    f->model.nr_vouched * sizeof(*f->model.vouched));
}

/* A copy with another table of hot memory is the same image but for that; and once more. */
static void a_hot_table_is_replaced(void **state)
{
	static struct thump_range written[] = { { 0x100000, 0x101000 }, { 0x200000, 0x203000 } };
	static struct thump_range only_read[] = { { 0x104000, 0x110000 } };
	const struct thump_hot tables[] = { { written, only_read, 2, 1 }, { written, NULL, 1, 0 } };
	struct fixture *f = *state;
	const struct thump_image_options options = { .path = f->path };

	assert_int_equal(f->read->hot.nr_written + f->read->hot.nr_read, 0);
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(tables); i++) {
		const uint64_t size = thump_image_size(f->image);
		struct thump_image_writer *writer;
		struct thump_err err = THUMP_ERR_INIT;
		const struct thump_hot *hot;

		assert_int_equal(
			thump_image_write_hot(&options, f->image, &tables[i], &writer, &err), 0);
		assert_int_equal(thump_image_commit(writer, &err), 0);
		thump_image_writer_destroy(writer);
		thump_image_destroy(f->image);
		assert_int_equal(thump_image_open(f->path, &f->image, &err), 0);
		assert_int_equal(thump_image_verify(f->image, NULL, NULL, &err), 0);
		f->read = thump_image_model(f->image);
		hot = &f->read->hot;
		assert_int_equal(hot->nr_written, tables[i].nr_written);
		assert_memory_equal(hot->written, written, hot->nr_written * sizeof(*written));
		assert_int_equal(hot->nr_read, tables[i].nr_read);
		assert_memory_equal(hot->read, only_read, hot->nr_read * sizeof(*only_read));
		assert_int_equal(f->read->nr_vmas, f->model.nr_vmas);
		assert_true(i == 0 ? thump_image_size(f->image) > size
				   : thump_image_size(f->image) < size);
	}
}

static void a_hot_table_out_of_order_is_not_written(void **state)
{
	static struct thump_range behind[] = { { 0x200000, 0x203000 }, { 0x202000, 0x204000 } };
	const struct thump_hot table = { .read = behind, .nr_read = 2 };
	struct fixture *f = *state;
	const struct thump_image_options options = { .path = f->path };
	struct thump_image_writer *writer;
	struct thump_err err = THUMP_ERR_INIT;

	assert_int_equal(thump_image_write_hot(&options, f->image, &table, &writer, &err), -1);
	assert_int_equal(err.code, THUMP_FAILED);
}

static void places_of_tids_are_kept(void **state)
{
	struct fixture *f = *state;

	assert_true(f->model.nr_tid_words > 0);
	assert_int_equal(f->model.nr_tid_words, f->read->nr_tid_words);
	assert_memory_equal(f->model.tid_words, f->read->tid_words,
			    f->model.nr_tid_words * sizeof(*f->model.tid_words));
	assert_string_equal(f->model.tid_obstacle, f->read->tid_obstacle);
}

/* The page at addr as the image has it; false when no extent holds it. */
static bool stored_page(const struct fixture *f, const struct thump_extent *extents, uint32_t count,
			uint64_t at, unsigned char *page)
{
	for (uint32_t i = 0; i < count; i++) {
		if (at < extents[i].start || at >= extents[i].end)
			continue;
		assert_int_equal(thump_pread_full(thump_image_fd(f->image), page, THUMP_PAGE_SIZE,
						  extents[i].file_offset + at - extents[i].start),
				 0);
		return true;
	}
	return false;
}

static bool in_extents(const struct thump_extent *extents, uint32_t count, uint64_t at)
{
	for (uint32_t i = 0; i < count; i++)
		if (at >= extents[i].start && at < extents[i].end)
			return true;
	return false;
}

static void check_vma_content(const struct fixture *f, const struct thump_vma *was,
			      const struct thump_vma *is)
{
	bool zeros_may_miss = was->kind == THUMP_VMA_ANON || was->kind == THUMP_VMA_DEVICE_ZERO;
	unsigned char expected[THUMP_PAGE_SIZE], page[THUMP_PAGE_SIZE];

	if (was->nr_extents == 0) {
		assert_int_equal(is->nr_extents, 0);
		return;
	}
	for (uint64_t at = was->start; at < was->end; at += THUMP_PAGE_SIZE) {
		bool wanted = in_extents(was->extents, was->nr_extents, at);

		memset(expected, 0, sizeof(expected));
		if (wanted)
			sample_memory(at, expected, sizeof(expected));
		memset(page, 0, sizeof(page));
		if (!stored_page(f, is->extents, is->nr_extents, at, page))
			assert_true(zeros_may_miss || !wanted);
		else
			assert_true(wanted || zeros_may_miss);
		assert_memory_equal(page, expected, sizeof(page));
	}
}

static void memory_is_kept(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < f->model.nr_vmas; i++)
		check_vma_content(f, &f->model.vmas[i], &f->read->vmas[i]);
}

static void content_of_backings_is_kept(void **state)
{
	struct fixture *f = *state;
	unsigned char expected[THUMP_PAGE_SIZE], page[THUMP_PAGE_SIZE];

	for (uint32_t i = 0; i < f->model.nr_backings; i++) {
		const struct thump_backing *was = &f->model.backings[i];
		const struct thump_backing *is = &f->read->backings[i];

		for (uint64_t at = 0; at < was->content_size_bytes; at += THUMP_PAGE_SIZE) {
			size_t there = thump_min_u64(THUMP_PAGE_SIZE, was->content_size_bytes - at);

			memset(expected, 0, sizeof(expected));
			if (in_extents(was->extents, was->nr_extents, at))
				sample_backing(i, at, expected, there);
			memset(page, 0, sizeof(page));
			(void)stored_page(f, is->extents, is->nr_extents, at, page);
			assert_memory_equal(page, expected, sizeof(page));
		}
	}
}

static void long_runs_of_zeros_are_left_out_and_short_ones_stored(void **state)
{
	struct fixture *f = *state;
	const struct thump_vma *vma = &f->read->vmas[4];

	assert_int_equal(vma->start, 0x200000000);
	assert_int_equal(vma->extents[0].start, 0x200000000 + 3 * THUMP_PAGE_SIZE);
	assert_int_equal(vma->extents[0].end, 0x200000000 + 8 * THUMP_PAGE_SIZE);
	assert_int_equal(vma->extents[1].start, 0x200000000 + 16 * THUMP_PAGE_SIZE);
	assert_int_equal(vma->extents[1].end, 0x200000000 + 72 * THUMP_PAGE_SIZE);
	assert_true(f->stats.zero_bytes > 0);
}

static void all_of_it_verifies(void **state)
{
	struct fixture *f = *state;
	struct thump_err err = THUMP_ERR_INIT;
	struct stat st;

	if (thump_image_verify(f->image, NULL, NULL, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(st.st_size, f->stats.file_bytes);
	assert_int_equal(st.st_size, thump_image_size(f->image));
}

static void backing_reads_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct thump_err err = THUMP_ERR_INIT;
	unsigned char page[THUMP_PAGE_SIZE], expected[THUMP_PAGE_SIZE];

	assert_int_equal(thump_image_read_backing(f->image, 1, 1, page, 100, &err), 0);
	sample_backing(1, 1, expected, 100);
	assert_memory_equal(page, expected, 100);
	assert_int_equal(thump_image_read_backing(f->image, 0, 0, page, 1, &err), -1);
	assert_int_equal(thump_image_read_backing(f->image, 99, 0, page, 1, &err), -1);
	assert_int_equal(
		thump_image_read_backing(f->image, 1, 2 * THUMP_PAGE_SIZE + 1, page, 4096, &err),
		-1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(machine_is_kept),
		cmocka_unit_test(process_and_mm_are_kept),
		cmocka_unit_test(threads_are_kept),
		cmocka_unit_test(mappings_are_kept),
		cmocka_unit_test(backings_are_kept),
		cmocka_unit_test(descriptors_and_timers_are_kept),
		cmocka_unit_test(vouched_ranges_are_kept),
		cmocka_unit_test_setup_teardown(a_hot_table_is_replaced, set_up, tear_down),
		cmocka_unit_test(a_hot_table_out_of_order_is_not_written),
		cmocka_unit_test(places_of_tids_are_kept),
		cmocka_unit_test(memory_is_kept),
		cmocka_unit_test(content_of_backings_is_kept),
		cmocka_unit_test(long_runs_of_zeros_are_left_out_and_short_ones_stored),
		cmocka_unit_test(all_of_it_verifies),
		cmocka_unit_test(backing_reads_are_bounded),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
