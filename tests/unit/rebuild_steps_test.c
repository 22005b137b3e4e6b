/* SPDX-License-Identifier: Apache-2.0 */
/* The step list of hand-made models: which calls, in which order, with which arguments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "rebuild/jobs.h"

#define BASE   UINT64_C(0x10000000)
#define PAGE   THUMP_PAGE_SIZE
#define CODE   UINT64_C(0x100000100000)
#define MAX_RW (PROT_READ | PROT_WRITE)

/* A model, a plan without an image, and a region that takes their steps. */
struct rig {
	struct thump_model model;
	struct thump_vma vmas[8];
	struct thump_extent extents[8];
	struct thump_backing backings[2];
	struct thump_task tasks[4];
	struct thump_fd fds[8];
	struct thump_plan plan;
	int backing_fds[2];
	struct thump_region region;
	struct thump_jobs jobs;
	struct thump_memory *memory;
	struct thump_err err;
};

static int rig_setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	rig->model.vmas = rig->vmas;
	rig->model.backings = rig->backings;
	rig->model.tasks = rig->tasks;
	rig->model.nr_tasks = 1;
	rig->model.fds = rig->fds;
	rig->tasks[0].tid = 100;
	rig->model.process.pid = 100;
	rig->backing_fds[0] = rig->backing_fds[1] = -1;
	rig->plan.model = &rig->model;
	rig->plan.rb.backing_fds = rig->backing_fds;
	thump_arena_init(&rig->plan.arena);
	rig->region.fd = -1;
	*state = rig;
	return 0;
}

static int rig_teardown(void **state)
{
	struct rig *rig = *state;

	thump_jobs_deinit(&rig->jobs);
	thump_region_destroy(&rig->region);
	thump_arena_deinit(&rig->plan.arena);
	free(rig);
	return 0;
}

static struct thump_vma *add_vma(struct rig *rig, uint32_t kind, uint64_t pages, uint32_t prot)
{
	uint32_t i = rig->model.nr_vmas++;
	struct thump_vma *vma = &rig->vmas[i];
	uint64_t start = i ? rig->vmas[i - 1].end : BASE;

	*vma = (struct thump_vma){
		.start = start,
		.end = start + pages * PAGE,
		.prot = prot,
		.kind = kind,
		.backing_id = THUMP_NO_ID,
		.extents = &rig->extents[i],
	};
	return vma;
}

static void fill_vma(struct thump_vma *vma, uint64_t file_offset)
{
	vma->nr_extents = 1;
	vma->extents[0] = (struct thump_extent){ vma->start, vma->end, file_offset };
}

static void make_region(struct rig *rig)
{
	struct thump_region_needs needs = thump_region_needs(&rig->plan);

	assert_int_equal(thump_region_create(&rig->region, CODE, &needs, &rig->err), 0);
}

static void make_memory(struct rig *rig)
{
	make_region(rig);
	assert_int_equal(thump_memory_steps(&rig->plan, &rig->region, &rig->plan.arena, &rig->jobs,
					    &rig->memory, &rig->err),
			 0);
}

static uint32_t count_steps(const struct rig *rig)
{
	return rig->region.nr_steps - THUMP_REGION_LAYOUT_STEPS;
}

static const struct thump_step *step_at(const struct rig *rig, uint32_t index)
{
	assert_true(index < count_steps(rig));
	return &rig->region.steps[THUMP_REGION_LAYOUT_STEPS + index];
}

static void assert_mmap(const struct thump_step *step, uint64_t start, uint64_t pages,
			uint64_t prot)
{
	assert_int_equal(step->nr, SYS_mmap);
	assert_int_equal(step->args[0], start);
	assert_int_equal(step->args[1], pages * PAGE);
	assert_int_equal(step->args[2], prot);
	assert_int_equal(step->expect, THUMP_EXPECT_VALUE);
	assert_int_equal(step->value, start);
}

/* ---- memory ------------------------------------------------------------------------------- */

static void test_relro_and_data_are_one_mapping(void **state)
{
	struct rig *rig = *state;
	struct thump_vma *relro = add_vma(rig, THUMP_VMA_FILE_PRIVATE, 2, PROT_READ);
	struct thump_vma *data = add_vma(rig, THUMP_VMA_FILE_PRIVATE, 3, MAX_RW);

	relro->backing_id = data->backing_id = 0;
	relro->offset = 16 * PAGE;
	data->offset = 18 * PAGE;
	rig->model.nr_backings = 1;
	fill_vma(relro, 0x1000);
	make_memory(rig);
	assert_int_equal(count_steps(rig), 1);
	assert_mmap(step_at(rig, 0), BASE, 5, MAX_RW);
	assert_int_equal(step_at(rig, 0)->args[5], 16 * PAGE);
	assert_int_equal(step_at(rig, 0)->args[4], thump_slot_backing(0));
	assert_int_equal(step_at(rig, 0)->fd_arg, 5);
	thump_memory_finish(rig->memory, &rig->region);
	assert_int_equal(count_steps(rig), 2);
	assert_int_equal(step_at(rig, 1)->nr, SYS_mprotect);
	assert_int_equal(step_at(rig, 1)->args[0], BASE);
	assert_int_equal(step_at(rig, 1)->args[1], 2 * PAGE);
	assert_int_equal(step_at(rig, 1)->args[2], PROT_READ);
}

static void test_different_files_are_not_one_mapping(void **state)
{
	struct rig *rig = *state;

	add_vma(rig, THUMP_VMA_FILE_PRIVATE, 2, PROT_READ)->backing_id = 0;
	add_vma(rig, THUMP_VMA_FILE_PRIVATE, 2, PROT_READ)->backing_id = 1;
	rig->vmas[1].offset = 2 * PAGE;
	rig->model.nr_backings = 2;
	make_memory(rig);
	assert_int_equal(count_steps(rig), 2);
}

static void test_unchanged_code_stays_unwritable(void **state)
{
	struct rig *rig = *state;

	add_vma(rig, THUMP_VMA_FILE_PRIVATE, 2, PROT_READ | PROT_EXEC)->backing_id = 0;
	rig->model.nr_backings = 1;
	make_memory(rig);
	assert_mmap(step_at(rig, 0), BASE, 2, PROT_READ | PROT_EXEC);
	thump_memory_finish(rig->memory, &rig->region);
	assert_int_equal(count_steps(rig), 1);
}

static void test_hidden_content_is_written_then_hidden(void **state)
{
	struct rig *rig = *state;

	fill_vma(add_vma(rig, THUMP_VMA_ANON, 4, PROT_NONE), 0x2000);
	make_memory(rig);
	assert_mmap(step_at(rig, 0), BASE, 4, MAX_RW);
	assert_int_equal(rig->jobs.total_bytes, 4 * PAGE);
	thump_memory_finish(rig->memory, &rig->region);
	assert_int_equal(step_at(rig, 1)->args[2], PROT_NONE);
}

/* It was written to once: the kernel goes on accounting for it. */
static void test_accounted_memory_is_writable_first(void **state)
{
	struct rig *rig = *state;

	add_vma(rig, THUMP_VMA_ANON, 1, PROT_READ)->traits = THUMP_VMA_ACCOUNT;
	add_vma(rig, THUMP_VMA_ANON, 1, PROT_NONE);
	make_memory(rig);
	assert_int_equal(count_steps(rig), 2);
	assert_mmap(step_at(rig, 0), BASE, 1, MAX_RW);
	assert_mmap(step_at(rig, 1), BASE + PAGE, 1, PROT_NONE);
	thump_memory_finish(rig->memory, &rig->region);
	assert_int_equal(count_steps(rig), 3);
	assert_int_equal(step_at(rig, 2)->args[0], BASE);
	assert_int_equal(step_at(rig, 2)->args[2], PROT_READ);
}

static void test_secrets_come_back_as_zeros(void **state)
{
	struct rig *rig = *state;
	struct thump_vma *wipe = add_vma(rig, THUMP_VMA_ANON, 1, MAX_RW);
	struct thump_vma *droppable = add_vma(rig, THUMP_VMA_ANON, 1, MAX_RW);

	wipe->traits = THUMP_VMA_WIPEONFORK;
	droppable->traits = THUMP_VMA_DROPPABLE;
	fill_vma(wipe, 0x1000);
	fill_vma(droppable, 0x2000);
	make_memory(rig);
	assert_int_equal(rig->jobs.total_bytes, 0);
	assert_int_equal(step_at(rig, 2)->nr, SYS_madvise);
	assert_int_equal(step_at(rig, 2)->args[2], MADV_WIPEONFORK);
}

static void test_stack_grows(void **state)
{
	struct rig *rig = *state;

	add_vma(rig, THUMP_VMA_ANON, 2, MAX_RW);
	add_vma(rig, THUMP_VMA_ANON, 2, MAX_RW)->traits = THUMP_VMA_GROWSDOWN;
	make_memory(rig);
	assert_int_equal(count_steps(rig), 2);
	assert_false(step_at(rig, 0)->args[3] & MAP_GROWSDOWN);
	assert_true(step_at(rig, 1)->args[3] & MAP_GROWSDOWN);
}

static void test_kernel_mappings_are_not_made(void **state)
{
	struct rig *rig = *state;

	add_vma(rig, THUMP_VMA_VVAR, 4, PROT_READ)->traits = THUMP_VMA_IO;
	add_vma(rig, THUMP_VMA_VDSO, 2, PROT_READ | PROT_EXEC);
	add_vma(rig, THUMP_VMA_VSYSCALL, 1, PROT_EXEC);
	fill_vma(&rig->vmas[1], 0x1000);
	make_memory(rig);
	thump_memory_finish(rig->memory, &rig->region);
	assert_int_equal(count_steps(rig), 0);
	assert_int_equal(rig->jobs.total_bytes, 0);
}

static void test_one_view_of_shared_memory(void **state)
{
	struct rig *rig = *state;

	add_vma(rig, THUMP_VMA_SHMEM_ANON, 4, MAX_RW)->backing_id = 0;
	rig->model.nr_backings = 1;
	rig->backings[0] = (struct thump_backing){ .kind = THUMP_BACKING_SHMEM,
						   .content_size_bytes = 4 * PAGE,
						   .extents = &rig->extents[7],
						   .nr_extents = 1 };
	rig->extents[7] = (struct thump_extent){ PAGE, 2 * PAGE, 0x9000 };
	make_memory(rig);
	assert_int_equal(count_steps(rig), 1);
	assert_mmap(step_at(rig, 0), BASE, 4, MAX_RW);
	assert_true(step_at(rig, 0)->args[3] & MAP_SHARED);
	assert_int_equal(rig->jobs.count, 1);
	assert_int_equal(rig->jobs.segments[0].addr, BASE + PAGE);
}

static void test_two_views_of_shared_memory(void **state)
{
	struct rig *rig = *state;
	uint64_t whole;

	for (int i = 0; i < 2; i++)
		add_vma(rig, THUMP_VMA_SHMEM_ANON, 2, i ? PROT_READ : MAX_RW)->backing_id = 0;
	rig->vmas[1].offset = 2 * PAGE;
	rig->model.nr_backings = 1;
	rig->backings[0] = (struct thump_backing){ .kind = THUMP_BACKING_SHMEM,
						   .content_size_bytes = 4 * PAGE };
	make_memory(rig);
	assert_int_equal(count_steps(rig), 3);
	whole = step_at(rig, 0)->args[0];
	assert_mmap(step_at(rig, 0), whole, 4, MAX_RW);
	assert_int_equal(step_at(rig, 2)->nr, SYS_mremap);
	assert_int_equal(step_at(rig, 2)->args[0], whole + 2 * PAGE);
	assert_int_equal(step_at(rig, 2)->args[1], 0);
	assert_int_equal(step_at(rig, 2)->args[4], BASE + 2 * PAGE);
	thump_memory_finish(rig->memory, &rig->region);
	assert_int_equal(step_at(rig, 3)->nr, SYS_munmap);
	assert_int_equal(step_at(rig, 3)->args[0], whole);
	assert_int_equal(step_at(rig, 4)->nr, SYS_mprotect);
	assert_int_equal(step_at(rig, 4)->args[0], BASE + 2 * PAGE);
	assert_int_equal(step_at(rig, 4)->args[2], PROT_READ);
}

static void test_lazy_maps_the_image(void **state)
{
	struct rig *rig = *state;

	rig->plan.memory = THUMP_MEMORY_LAZY_UNSAFE;
	fill_vma(add_vma(rig, THUMP_VMA_ANON, 64, MAX_RW), 0x40000);
	make_memory(rig);
	assert_int_equal(count_steps(rig), 1);
	assert_mmap(step_at(rig, 0), BASE, 64, MAX_RW);
	assert_int_equal(step_at(rig, 0)->args[4], thump_slot_image());
	assert_int_equal(step_at(rig, 0)->args[5], 0x40000);
	assert_int_equal(step_at(rig, 0)->args[3] & MAP_TYPE, MAP_PRIVATE);
	assert_int_equal(rig->jobs.total_bytes, 0);
}

static void test_lazy_lies_over_anonymous_memory(void **state)
{
	struct rig *rig = *state;

	rig->plan.memory = THUMP_MEMORY_LAZY_UNSAFE;
	fill_vma(add_vma(rig, THUMP_VMA_ANON, 64, MAX_RW), 0x40000);
	rig->extents[0].end -= 8 * PAGE;
	make_memory(rig);
	assert_int_equal(count_steps(rig), 2);
	assert_mmap(step_at(rig, 0), BASE, 64, MAX_RW);
	assert_true(step_at(rig, 0)->args[3] & MAP_ANONYMOUS);
	assert_mmap(step_at(rig, 1), BASE, 56, MAX_RW);
	assert_true(step_at(rig, 1)->args[3] & MAP_FIXED);
}

/* Of 128 pages the middle 64 are vouched for: only those are mapped, the others are read. */
static void test_only_vouched_parts_are_lazy(void **state)
{
	struct thump_range vouched = { BASE + 32 * PAGE, BASE + 96 * PAGE };
	struct rig *rig = *state;

	rig->plan.memory = THUMP_MEMORY_LAZY;
	rig->model.vouched = &vouched;
	rig->model.nr_vouched = 1;
	fill_vma(add_vma(rig, THUMP_VMA_ANON, 128, MAX_RW), 0x40000);
	make_memory(rig);
	assert_int_equal(count_steps(rig), 2);
	assert_mmap(step_at(rig, 0), BASE, 128, MAX_RW);
	assert_true(step_at(rig, 0)->args[3] & MAP_ANONYMOUS);
	assert_mmap(step_at(rig, 1), BASE + 32 * PAGE, 64, MAX_RW);
	assert_int_equal(step_at(rig, 1)->args[4], thump_slot_image());
	assert_int_equal(step_at(rig, 1)->args[5], 0x40000 + 32 * PAGE);
	assert_int_equal(rig->jobs.total_bytes, 64 * PAGE);
}

/* Of what is hot only the vouched part is touched, and nothing where memory is read. */
static void test_hot_memory_is_touched(void **state)
{
	struct thump_range vouched = { BASE + 32 * PAGE, BASE + 96 * PAGE };
	struct thump_range hot = { BASE + 90 * PAGE, BASE + 100 * PAGE };
	struct rig *rig = *state;

	rig->plan.memory = THUMP_MEMORY_LAZY;
	rig->model.vouched = &vouched;
	rig->model.nr_vouched = 1;
	rig->model.hot = (struct thump_hot){ .written = &hot, .nr_written = 1 };
	fill_vma(add_vma(rig, THUMP_VMA_ANON, 128, MAX_RW), 0x40000);
	(void)thump_hot_touches(&rig->plan, &rig->jobs);
	assert_int_equal(rig->jobs.nr_touches, 1);
	assert_int_equal(rig->jobs.touches[0].start, hot.start);
	assert_int_equal(rig->jobs.touches[0].end, vouched.end);
	thump_jobs_deinit(&rig->jobs);
	rig->plan.memory = THUMP_MEMORY_EAGER;
	assert_int_equal(thump_hot_touches(&rig->plan, &rig->jobs), 0);
	assert_int_equal(rig->jobs.nr_touches, 0);
}

/* Ranges over all of user space: what is touched lies in private memory, and is no more than the
 * image stores. */
static void test_hot_ranges_do_no_harm(void **state)
{
	struct thump_range all[] = { { PAGE, BASE + 100 * PAGE },
				     { BASE + 101 * PAGE, (UINT64_C(1) << 56) - PAGE } };
	struct rig *rig = *state;
	struct thump_vma *stored, *shared, *reserved;
	uint64_t count;

	rig->plan.memory = THUMP_MEMORY_LAZY;
	rig->model.vouched = all;
	rig->model.nr_vouched = 2;
	rig->model.hot = (struct thump_hot){ .written = all, .nr_written = 2 };
	stored = add_vma(rig, THUMP_VMA_ANON, 16, MAX_RW);
	shared = add_vma(rig, THUMP_VMA_FILE_SHARED, 80, MAX_RW);
	reserved = add_vma(rig, THUMP_VMA_ANON, UINT64_C(1) << 30, MAX_RW);
	reserved->traits = THUMP_VMA_NORESERVE;
	fill_vma(stored, 0x40000);
	count = thump_hot_touches(&rig->plan, NULL);
	assert_int_equal(thump_hot_touches(&rig->plan, &rig->jobs), count);
	assert_in_range(rig->jobs.nr_touches, 1, count);
	assert_in_range(count, 1, 16);
	assert_int_equal(rig->jobs.touches[0].start, stored->start);
	assert_int_equal(rig->jobs.touches[0].end, stored->end);
	for (size_t i = 1; i < rig->jobs.nr_touches; i++)
		assert_true(rig->jobs.touches[i].start >= shared->end);
	/* A part of each is stored: what is left of that many bytes is made of the next. */
	thump_jobs_deinit(&rig->jobs);
	rig->extents[0].start += 12 * PAGE;
	reserved->nr_extents = 1;
	reserved->extents[0] =
		(struct thump_extent){ reserved->start, reserved->start + 14 * PAGE, 0x50000 };
	(void)thump_hot_touches(&rig->plan, &rig->jobs);
	assert_int_equal(rig->jobs.nr_touches, 2);
	assert_int_equal(rig->jobs.touches[1].start, reserved->start);
	assert_int_equal(rig->jobs.touches[1].end, reserved->start + 2 * PAGE);
	make_region(rig);
}

static void test_nothing_is_lazy_without_a_voucher(void **state)
{
	struct rig *rig = *state;

	rig->plan.memory = THUMP_MEMORY_LAZY;
	fill_vma(add_vma(rig, THUMP_VMA_ANON, 128, MAX_RW), 0x40000);
	make_memory(rig);
	assert_int_equal(count_steps(rig), 1);
	assert_int_equal(rig->jobs.total_bytes, 128 * PAGE);
}

static void test_stacks_and_heap_are_never_lazy(void **state)
{
	struct rig *rig = *state;

	rig->plan.memory = THUMP_MEMORY_LAZY_UNSAFE;
	for (uint64_t i = 0; i < 4; i++)
		fill_vma(add_vma(rig, THUMP_VMA_ANON, 64, MAX_RW), i * 64 * PAGE);
	rig->tasks[0].regs.rsp = rig->vmas[0].end - 100;
	rig->model.mm.start_brk = rig->vmas[1].start;
	rig->model.mm.brk = rig->vmas[1].end;
	rig->vmas[2].traits = THUMP_VMA_GROWSDOWN;
	rig->tasks[0].altstack_sp = rig->vmas[3].start;
	rig->tasks[0].altstack_size = PAGE;
	make_memory(rig);
	assert_int_equal(rig->jobs.total_bytes, 4 * 64 * PAGE);
}

/* ---- jobs --------------------------------------------------------------------------------- */

static const struct thump_read_job *job_at(const struct rig *rig, uint32_t index)
{
	const struct thump_blob_data *blob = rig->region.blob;

	assert_true(index < blob->nr_jobs);
	return (const struct thump_read_job *)(rig->region.bytes +
					       (blob->jobs - rig->region.addr)) +
	       index;
}

static void write_jobs(struct rig *rig)
{
	struct thump_region_needs needs = { .nr_steps = 1, .pool_bytes = 1 << 20 };

	assert_int_equal(thump_region_create(&rig->region, CODE, &needs, &rig->err), 0);
	assert_int_equal(thump_jobs_write(&rig->jobs, &rig->region, &rig->err), 0);
}

static void test_neighbours_in_the_file_are_one_job(void **state)
{
	struct rig *rig = *state;

	thump_jobs_add(&rig->jobs, BASE, PAGE, 0x1000, NULL);
	thump_jobs_add(&rig->jobs, BASE + 64 * PAGE, 2 * PAGE, 0x2000, NULL);
	thump_jobs_add(&rig->jobs, BASE + 128 * PAGE, PAGE, 0x9000, NULL);
	write_jobs(rig);
	assert_int_equal(rig->region.blob->nr_jobs, 2);
	assert_int_equal(job_at(rig, 0)->nr_iov, 2);
	assert_int_equal(job_at(rig, 0)->size_bytes, 3 * PAGE);
	assert_int_equal(job_at(rig, 0)->file_offset, 0x1000);
	assert_int_equal(job_at(rig, 1)->file_offset, 0x9000);
}

static void test_big_ranges_are_shared_out(void **state)
{
	struct rig *rig = *state;
	uint64_t sum = 0, next = 0;

	thump_jobs_add(&rig->jobs, BASE, UINT64_C(10) << 20, 0, NULL);
	write_jobs(rig);
	assert_true(rig->region.blob->nr_jobs >= 8);
	for (uint32_t i = 0; i < rig->region.blob->nr_jobs; i++) {
		assert_int_equal(job_at(rig, i)->file_offset, next);
		next += job_at(rig, i)->size_bytes;
		sum += job_at(rig, i)->size_bytes;
	}
	assert_int_equal(sum, UINT64_C(10) << 20);
}

/* The job that is to make huge pages from start to end, and no other. */
static const struct thump_read_job *only_huge_job(struct rig *rig, uint64_t start, uint64_t end)
{
	const struct thump_read_job *found = NULL;

	for (uint32_t i = 0; i < rig->region.blob->nr_jobs; i++) {
		if (!(job_at(rig, i)->flags & THUMP_READ_HUGE))
			continue;
		assert_null(found);
		found = job_at(rig, i);
	}
	assert_non_null(found);
	assert_int_equal(found->huge_start, start);
	assert_int_equal(found->huge_end, end);
	return found;
}

static void test_only_whole_huge_pages_are_huge(void **state)
{
	struct rig *rig = *state;
	const uint64_t huge = THUMP_HUGE_PAGE_SIZE;
	const struct thump_range room = { 5 * huge - 3 * PAGE, 6 * huge + 2 * PAGE };

	thump_jobs_add(&rig->jobs, room.start, room.end - room.start, 0x1000, &room);
	write_jobs(rig);
	assert_int_equal(rig->region.blob->nr_jobs, 3);
	assert_int_equal(job_at(rig, 0)->size_bytes, 3 * PAGE);
	assert_int_equal(only_huge_job(rig, 5 * huge, 6 * huge)->size_bytes, huge);
	assert_int_equal(job_at(rig, 2)->size_bytes, 2 * PAGE);
}

/* As in the heap of a JVM: regions of 1 MiB with free pages at the end of each. */
static void test_nearly_full_blocks_become_huge_pages(void **state)
{
	struct rig *rig = *state;
	const uint64_t huge = THUMP_HUGE_PAGE_SIZE, half = huge / 2, part = half - 15 * PAGE;
	const struct thump_range room = { 4 * huge, 7 * huge };
	const struct thump_read_job *job;

	for (uint64_t i = 0; i < 4; i++)
		thump_jobs_add(&rig->jobs, room.start + i * half, part, i * part, &room);
	thump_jobs_add(&rig->jobs, 6 * huge, half, 4 * part, &room);
	write_jobs(rig);
	job = only_huge_job(rig, 4 * huge, 6 * huge);
	assert_int_equal(job->nr_iov, 4);
	assert_int_equal(job->size_bytes, 4 * part);
	assert_int_equal(rig->region.blob->nr_jobs, 2);
}

static void test_content_from_several_places_makes_no_huge_page(void **state)
{
	struct rig *rig = *state;
	const uint64_t huge = THUMP_HUGE_PAGE_SIZE, half = huge / 2;
	const struct thump_range room = { 4 * huge, 5 * huge };

	thump_jobs_add(&rig->jobs, room.start, half, 0, &room);
	thump_jobs_add(&rig->jobs, room.start + half, half, huge, &room);
	write_jobs(rig);
	for (uint32_t i = 0; i < rig->region.blob->nr_jobs; i++)
		assert_false(job_at(rig, i)->flags & THUMP_READ_HUGE);
}

/* Making the first one takes longer than reading some MB without. */
static void test_little_content_makes_no_huge_page(void **state)
{
	struct rig *rig = *state;
	const uint64_t huge = THUMP_HUGE_PAGE_SIZE;
	const struct thump_range room = { 4 * huge, 5 * huge };

	thump_jobs_add(&rig->jobs, room.start, huge, 0, &room);
	rig->jobs.huge_from_bytes = huge + PAGE;
	write_jobs(rig);
	for (uint32_t i = 0; i < rig->region.blob->nr_jobs; i++)
		assert_false(job_at(rig, i)->flags & THUMP_READ_HUGE);
}

static void test_no_job_has_too_many_ranges(void **state)
{
	struct rig *rig = *state;
	uint64_t ranges = 0;

	for (uint64_t i = 0; i < 3000; i++)
		thump_jobs_add(&rig->jobs, BASE + 2 * i * PAGE, 64, i * 64, NULL);
	write_jobs(rig);
	for (uint32_t i = 0; i < rig->region.blob->nr_jobs; i++) {
		assert_true(job_at(rig, i)->nr_iov <= 1024);
		ranges += job_at(rig, i)->nr_iov;
	}
	assert_int_equal(ranges, 3000);
}

static void test_ranges_to_verify(void **state)
{
	struct rig *rig = *state;
	struct thump_file_range *ranges;
	size_t count;

	thump_jobs_add(&rig->jobs, BASE, 2 * PAGE, 0x8000, NULL);
	thump_jobs_add(&rig->jobs, BASE + 64 * PAGE, PAGE, 0x1000, NULL);
	thump_jobs_add(&rig->jobs, BASE + 96 * PAGE, PAGE, 0x2000, NULL);
	assert_int_equal(thump_jobs_ranges(&rig->jobs, &ranges, &count, &rig->err), 0);
	assert_int_equal(count, 2);
	assert_int_equal(ranges[0].offset, 0x1000);
	assert_int_equal(ranges[0].size_bytes, 2 * PAGE);
	assert_int_equal(ranges[1].offset, 0x8000);
	free(ranges);
}

/* ---- process ------------------------------------------------------------------------------- */

static void add_fd(struct rig *rig, int fd, bool cloexec)
{
	rig->fds[rig->model.nr_fds++] = (struct thump_fd){ .fd = fd, .cloexec = cloexec };
}

static void assert_close_range(const struct thump_step *step, uint64_t first, uint64_t last,
			       uint64_t flags)
{
	assert_int_equal(step->nr, SYS_close_range);
	assert_int_equal(step->args[0], first);
	assert_int_equal(step->args[1], last);
	assert_int_equal(step->args[2], flags);
}

static void test_descriptors_of_ours_are_closed(void **state)
{
	struct rig *rig = *state;

	add_fd(rig, 0, false);
	add_fd(rig, 1, true);
	add_fd(rig, 4, true);
	add_fd(rig, 5, false);
	make_region(rig);
	thump_process_finish(&rig->plan, &rig->region);
	assert_int_equal(count_steps(rig), 3);
	assert_close_range(step_at(rig, 0), 2, 3, 0);
	assert_close_range(step_at(rig, 1), 6, UINT32_MAX, 0);
	assert_close_range(step_at(rig, 2), 1, 4, CLOSE_RANGE_CLOEXEC);
}

static void test_no_descriptors_at_all(void **state)
{
	struct rig *rig = *state;

	make_region(rig);
	thump_process_finish(&rig->plan, &rig->region);
	assert_int_equal(count_steps(rig), 1);
	assert_close_range(step_at(rig, 0), 0, UINT32_MAX, 0);
}

static void test_traps_are_not_queued_by_the_blob(void **state)
{
	struct rig *rig = *state;
	struct thump_siginfo infos[3] = { 0 };
	const int signals[3] = { SIGTERM, SIGTRAP, SIGKILL };

	for (int i = 0; i < 3; i++)
		memcpy(infos[i].bytes, &signals[i], sizeof(signals[i]));
	make_region(rig);
	for (int i = 0; i < 3; i++)
		thump_step_queue(&rig->region, &infos[i], true);
	assert_int_equal(count_steps(rig), 1);
	assert_int_equal(step_at(rig, 0)->op, THUMP_STEP_QUEUE_SIGNAL);
	assert_int_equal(step_at(rig, 0)->args[0], SIGTERM);
	assert_int_equal(step_at(rig, 0)->args[2], 1);
}

static void test_only_differing_limits_are_set(void **state)
{
	struct rig *rig = *state;

	for (uint32_t i = 0; i < THUMP_NR_RLIMITS; i++)
		rig->plan.own_rlimits[i] = rig->plan.rlimits[i] =
			(struct thump_rlimit){ 1000, 1000 };
	/* Raised in the child, so it must be set again. */
	rig->plan.own_rlimits[RLIMIT_NOFILE].soft = rig->plan.rlimits[RLIMIT_NOFILE].soft = 500;
	rig->plan.own_rlimits[RLIMIT_CORE].soft = rig->plan.rlimits[RLIMIT_CORE].soft = 0;
	rig->plan.rlimits[RLIMIT_NPROC].hard = rig->plan.rlimits[RLIMIT_NPROC].soft = 10;
	make_region(rig);
	thump_process_last(&rig->plan, &rig->region);
	assert_int_equal(count_steps(rig), 2);
	assert_int_equal(step_at(rig, 0)->args[1], RLIMIT_NPROC);
	assert_int_equal(step_at(rig, 1)->args[1], RLIMIT_NOFILE);
}

/* ---- threads ------------------------------------------------------------------------------- */

static const struct thump_blob_thread *thread_at(const struct rig *rig, uint32_t index)
{
	return (const struct thump_blob_thread *)(rig->region.bytes +
						  (rig->region.blob->threads - rig->region.addr)) +
	       index;
}

/* Spinning can only go upwards: those that were made after the pids began again come last. */
static void test_threads_are_made_in_reachable_order(void **state)
{
	struct rig *rig = *state;
	const int32_t tids[] = { 100, 90, 200, 101 };
	struct thump_caps caps = { 0 };

	for (uint32_t i = 0; i < 4; i++)
		rig->tasks[i].tid = tids[i];
	rig->model.nr_tasks = 4;
	make_region(rig);
	assert_int_equal(thump_threads_describe(&rig->plan, &caps, 2, &rig->region, &rig->err), 0);
	assert_int_equal(rig->region.blob->nr_threads, 3);
	assert_int_equal(rig->region.blob->nr_helpers, 2);
	assert_int_equal(thread_at(rig, 0)->wanted_tid, 101);
	assert_int_equal(thread_at(rig, 1)->wanted_tid, 200);
	assert_int_equal(thread_at(rig, 2)->wanted_tid, 90);
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(thread_at(rig, i)->stack_top % 16, 0);
}

static void test_thread_steps(void **state)
{
	struct rig *rig = *state;
	struct thump_task *task = &rig->tasks[1];

	*task = (struct thump_task){ .tid = 101,
				     .comm = "worker",
				     .clear_child_tid = BASE,
				     .robust_list = BASE + 16,
				     .robust_list_len = 24,
				     .rseq_addr = BASE + 64,
				     .rseq_len = 32,
				     .rseq_sig = 0x53053053,
				     .altstack_flags = SS_DISABLE };
	rig->model.nr_tasks = 2;
	rig->plan.inherited = (struct thump_inherited){ 0 };
	make_region(rig);
	thump_thread_steps(&rig->plan, task, &rig->region);
	assert_int_equal(count_steps(rig), 4);
	assert_int_equal(step_at(rig, 0)->nr, SYS_set_tid_address);
	assert_int_equal(step_at(rig, 1)->nr, SYS_set_robust_list);
	assert_int_equal(step_at(rig, 2)->nr, 334 /* rseq */);
	assert_int_equal(step_at(rig, 3)->nr, SYS_prctl);
}

/* ---- room ------------------------------------------------------------------------------------ */

static void test_too_small_a_region_is_an_error(void **state)
{
	struct rig *rig = *state;
	struct thump_region_needs needs = { .nr_steps = 2, .pool_bytes = 64 };
	uint64_t addr;

	assert_int_equal(thump_region_create(&rig->region, CODE, &needs, &rig->err), 0);
	assert_int_equal(thump_region_check(&rig->region, &rig->err), 0);
	assert_null(thump_region_alloc(&rig->region, 1 << 20, &addr));
	for (int i = 0; i < 3; i++)
		(void)THUMP_STEP(&rig->region, THUMP_WHAT_MAP, SYS_mmap, 0);
	assert_int_equal(rig->region.nr_steps, rig->region.room_steps);
	assert_int_equal(thump_region_check(&rig->region, &rig->err), -1);
}

static void test_failures_are_sentences(void **state)
{
	struct rig *rig = *state;
	struct thump_blob_data data = {
		.fail_what = THUMP_WHAT_MAP, .fail_step = 0, .fail_tid = 101, .fail_result = -12
	};
	struct thump_step step = { .what = THUMP_WHAT_MAP, .args = { 0x1000, 0x2000 } };

	thump_what_failed(&data, &step, 1, &rig->err);
	assert_string_equal(rig->err.text,
			    "in the new process: thread 101: map anonymous memory at "
			    "0x1000-0x3000: Cannot allocate memory");
	data.fail_what = THUMP_WHAT_WRONG_TID;
	thump_what_failed(&data, &step, 1, &rig->err);
	assert_non_null(strstr(rig->err.text, "get the tid"));
	/* A number that the blob could only have made up is no index. */
	data.fail_what = THUMP_WHAT_MAP;
	data.fail_step = 1;
	thump_what_failed(&data, &step, 1, &rig->err);
	assert_int_equal(rig->err.code, THUMP_FAILED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_relro_and_data_are_one_mapping),
		TEST(test_different_files_are_not_one_mapping),
		TEST(test_unchanged_code_stays_unwritable),
		TEST(test_hidden_content_is_written_then_hidden),
		TEST(test_accounted_memory_is_writable_first),
		TEST(test_secrets_come_back_as_zeros),
		TEST(test_stack_grows),
		TEST(test_kernel_mappings_are_not_made),
		TEST(test_one_view_of_shared_memory),
		TEST(test_two_views_of_shared_memory),
		TEST(test_lazy_maps_the_image),
		TEST(test_lazy_lies_over_anonymous_memory),
		TEST(test_only_vouched_parts_are_lazy),
		TEST(test_hot_memory_is_touched),
		TEST(test_hot_ranges_do_no_harm),
		TEST(test_nothing_is_lazy_without_a_voucher),
		TEST(test_stacks_and_heap_are_never_lazy),
		TEST(test_neighbours_in_the_file_are_one_job),
		TEST(test_big_ranges_are_shared_out),
		TEST(test_only_whole_huge_pages_are_huge),
		TEST(test_little_content_makes_no_huge_page),
		TEST(test_nearly_full_blocks_become_huge_pages),
		TEST(test_content_from_several_places_makes_no_huge_page),
		TEST(test_no_job_has_too_many_ranges),
		TEST(test_ranges_to_verify),
		TEST(test_descriptors_of_ours_are_closed),
		TEST(test_no_descriptors_at_all),
		TEST(test_traps_are_not_queued_by_the_blob),
		TEST(test_only_differing_limits_are_set),
		TEST(test_threads_are_made_in_reachable_order),
		TEST(test_thread_steps),
		TEST(test_too_small_a_region_is_an_error),
		TEST(test_failures_are_sentences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
