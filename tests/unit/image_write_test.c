/* SPDX-License-Identifier: Apache-2.0 */
/* An image is whole or absent; writing takes little memory; limits of the format hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/fd.h"
#include "image/format.h"
#include "image/image.h"
#include "image/tempfile.h"
#include "sample.h"

struct fixture {
	char dir[64], path[96];
	struct thump_model model;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/thump-image-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/sample.thump", f->dir);
	sample_fill(&f->model, SAMPLE_SMALL);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	(void)unlink(f->path);
	assert_int_equal(rmdir(f->dir), 0); /* nothing else was left */
	thump_model_deinit(&f->model);
	free(f);
	return 0;
}

static unsigned nr_files(const struct fixture *f)
{
	auto_closedir DIR *dir = opendir(f->dir);
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	return count - 2; /* . and .. */
}

static int write_image(const struct fixture *f, const struct thump_page_source *source,
		       struct thump_image_writer **writer_ret, struct thump_err *err)
{
	const struct thump_image_options options = { .path = f->path, .sync = true };
	struct thump_image_stats stats;

	return thump_image_write(&options, &f->model, source, writer_ret, &stats, err);
}

static void nothing_has_the_name_before_commit(void **state)
{
	struct fixture *f = *state;
	struct thump_image_writer *writer = NULL;
	struct thump_err err = THUMP_ERR_INIT;

	assert_int_equal(write_image(f, &sample_source, &writer, &err), 0);
	assert_int_equal(access(f->path, F_OK), -1);
	thump_image_writer_destroy(writer);
	assert_int_equal(nr_files(f), 0);
}

static void an_old_image_is_replaced_and_stays_usable_to_who_has_it_open(void **state)
{
	struct fixture *f = *state;
	struct thump_image_writer *writer = NULL;
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *old = NULL, *new = NULL;
	struct thump_image_stats stats;

	sample_write(&f->model, f->path, &stats);
	assert_int_equal(thump_image_open(f->path, &old, &err), 0);
	f->model.process.umask = 0111;
	assert_int_equal(write_image(f, &sample_source, &writer, &err), 0);
	assert_int_equal(thump_image_commit(writer, &err), 0);
	thump_image_writer_destroy(writer);
	assert_int_equal(nr_files(f), 1);
	assert_int_equal(thump_image_verify(old, NULL, NULL, &err), 0);
	assert_int_equal(thump_image_open(f->path, &new, &err), 0);
	assert_int_equal(thump_image_model(old)->process.umask, 027);
	assert_int_equal(thump_image_model(new)->process.umask, 0111);
	thump_image_destroy(old);
	thump_image_destroy(new);
}

/* A process of another pid namespace, with our pid, writes the same image into the same folder. */
static void the_hidden_file_of_another_writer_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct thump_image_writer *writer = NULL;
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image_stats stats;
	char theirs[sizeof(f->path) + 32];
	int fd;

	sample_write(&f->model, f->path, &stats);
	(void)snprintf(theirs, sizeof(theirs), "%s/.%s.%d.tmp", f->dir, strrchr(f->path, '/') + 1,
		       (int)getpid());
	fd = open(theirs, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write_image(f, &sample_source, &writer, &err), 0);
	assert_int_equal(thump_image_commit(writer, &err), 0);
	thump_image_writer_destroy(writer);
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(theirs), 0);
	assert_int_equal(nr_files(f), 1);
}

static int failing_read(void *ctx, uint64_t addr, void *buf, size_t size_bytes,
			struct thump_err *err)
{
	(void)ctx;
	if (addr < 0x1000000) {
		sample_memory(addr, buf, size_bytes);
		return 0;
	}
	return thump_fail(err, "the target is gone");
}

static void a_failing_source_leaves_nothing_and_the_old_image(void **state)
{
	static const struct thump_page_source failing = { .read_memory = failing_read };
	struct fixture *f = *state;
	struct thump_image_writer *writer = NULL;
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *old = NULL;
	struct thump_image_stats stats;

	sample_write(&f->model, f->path, &stats);
	assert_int_equal(write_image(f, &failing, &writer, &err), -1);
	assert_non_null(strstr(err.text, "the target is gone"));
	assert_non_null(strstr(err.text, "memory 1000000-1014000"));
	assert_int_equal(nr_files(f), 1);
	assert_int_equal(thump_image_open(f->path, &old, &err), 0);
	thump_image_destroy(old);
}

static void make_large(struct fixture *f, uint64_t nr_pages)
{
	struct thump_vma *vma = &f->model.vmas[3];

	*vma = (struct thump_vma){ .start = 0x200000000,
				   .end = 0x200000000 + nr_pages * THUMP_PAGE_SIZE,
				   .prot = PROT_READ | PROT_WRITE,
				   .kind = THUMP_VMA_ANON,
				   .backing_id = THUMP_NO_ID,
				   .nr_extents = 1 };
	vma->extents = thump_arena_alloc(&f->model.arena, 1, sizeof(*vma->extents));
	vma->extents[0].start = vma->start;
	vma->extents[0].end = vma->end;
}

/* In a child: the limit and SIGXFSZ are the process's. */
static void a_full_disk_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	pid_t pid;
	int status;

	make_large(f, 16384);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit limit = { .rlim_cur = 20 << 20, .rlim_max = 20 << 20 };
		struct thump_image_writer *writer = NULL;
		struct thump_err err = THUMP_ERR_INIT;

		(void)signal(SIGXFSZ, SIG_IGN);
		if (setrlimit(RLIMIT_FSIZE, &limit) < 0 ||
		    write_image(f, &sample_source, &writer, &err) == 0)
			_exit(1);
		_exit(err.sys_errno == EFBIG && err.code == THUMP_FAILED ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(nr_files(f), 0);
}

static void count_progress(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
	uint64_t *last = ctx;

	assert_true(done_bytes >= *last && done_bytes <= total_bytes);
	*last = done_bytes;
}

static int read_fast(void *ctx, uint64_t addr, void *buf, size_t size_bytes, struct thump_err *err)
{
	(void)ctx;
	(void)err;
	memset(buf, (int)(addr >> 20) | 1, size_bytes);
	return 0;
}

static int read_backing_fast(void *ctx, uint32_t id, uint64_t offset, void *buf, size_t size_bytes,
			     struct thump_err *err)
{
	(void)id;
	return read_fast(ctx, offset, buf, size_bytes, err);
}

static void memory_used_does_not_grow_with_the_image(void **state)
{
	static const struct thump_page_source fast = { .read_memory = read_fast,
						       .read_backing = read_backing_fast };
	struct fixture *f = *state;
	struct thump_image_writer *writer = NULL;
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image_stats stats;
	struct rusage before, after;
	uint64_t last = 0;
	const struct thump_image_options options = { .path = f->path,
						     .progress = count_progress,
						     .progress_ctx = &last };

	make_large(f, 32768); /* 128 MiB */
	assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
	assert_int_equal(thump_image_write(&options, &f->model, &fast, &writer, &stats, &err), 0);
	assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
	thump_image_writer_destroy(writer);
	assert_true(stats.memory_bytes > (uint64_t)128 << 20);
	assert_true(last >= (uint64_t)128 << 20);
	assert_true(after.ru_maxrss - before.ru_maxrss < 12 << 10); /* kB */
}

/* Every other page present, with longer gaps here and there: more ranges than an image may have. */
static void scatter(struct fixture *f, uint32_t nr_extents)
{
	struct thump_vma *vma = &f->model.vmas[3];
	uint64_t at;

	make_large(f, 1);
	vma->extents = thump_arena_alloc(&f->model.arena, nr_extents, sizeof(*vma->extents));
	vma->nr_extents = nr_extents;
	at = vma->start;
	for (uint32_t i = 0; i < nr_extents; i++) {
		vma->extents[i].start = at;
		vma->extents[i].end = at + THUMP_PAGE_SIZE;
		at += (6 + i % 10) * THUMP_PAGE_SIZE;
	}
	vma->end = at;
}

static void smallest_gaps_are_filled_first(void **state)
{
	static const struct thump_page_source fast = { .read_memory = read_fast,
						       .read_backing = read_backing_fast };
	struct fixture *f = *state;
	struct thump_image_writer *writer = NULL;
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image = NULL;
	const struct thump_vma *vma;
	uint64_t shortest = UINT64_MAX;

	scatter(f, 60000);
	assert_int_equal(write_image(f, &fast, &writer, &err), 0);
	assert_int_equal(thump_image_commit(writer, &err), 0);
	thump_image_writer_destroy(writer);
	if (thump_image_open(f->path, &image, &err) < 0)
		fail_msg("%s", err.text);
	vma = &thump_image_model(image)->vmas[3];
	assert_true(vma->nr_extents > 30000 && vma->nr_extents <= 40000);
	for (uint32_t i = 1; i < vma->nr_extents; i++)
		shortest = thump_min_u64(shortest, vma->extents[i].start - vma->extents[i - 1].end);
	assert_true(shortest > 7 * THUMP_PAGE_SIZE);
	assert_int_equal(thump_image_verify(image, NULL, NULL, &err), 0);
	thump_image_destroy(image);
}

static void too_scattered_file_mappings_are_refused(void **state)
{
	static const struct thump_page_source fast = { .read_memory = read_fast,
						       .read_backing = read_backing_fast };
	struct fixture *f = *state;
	struct thump_image_writer *writer = NULL;
	struct thump_err err = THUMP_ERR_INIT;

	scatter(f, 60001);
	f->model.vmas[3].kind = THUMP_VMA_FILE_PRIVATE; /* gaps cannot be filled with zeros */
	f->model.vmas[3].backing_id = 0;
	assert_int_equal(write_image(f, &fast, &writer, &err), -1);
	assert_int_equal(err.code, THUMP_REFUSED);
	assert_non_null(strstr(err.text, "scattered"));
	assert_int_equal(nr_files(f), 0);
}

static void what_could_not_be_read_again_is_not_written(void **state)
{
	struct fixture *f = *state;
	struct thump_image_writer *writer = NULL;
	struct thump_err err = THUMP_ERR_INIT;

	f->model.fds[0].ofd_id = 99;
	assert_int_equal(write_image(f, &sample_source, &writer, &err), -1);
	assert_int_equal(err.code, THUMP_FAILED);
	assert_non_null(strstr(err.text, "descriptor 0"));
	assert_int_equal(nr_files(f), 0);
}

static void only_a_regular_file_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct thump_image_writer *writer = NULL;
	struct thump_err err = THUMP_ERR_INIT;

	assert_int_equal(mkfifo(f->path, 0600), 0);
	assert_int_equal(write_image(f, &sample_source, &writer, &err), -1);
	assert_non_null(strstr(err.text, "not a regular file"));
	assert_int_equal(unlink(f->path), 0);
}

/* An O_PATH descriptor stands for a directory on a disk that fails: all works but fsync(2). */
static void a_name_that_may_not_last_is_an_error_and_the_image_whole(void **state)
{
	struct fixture *f = *state;
	struct image_tempfile file;
	struct thump_err err = THUMP_ERR_INIT;
	struct stat st;

	assert_int_equal(image_tempfile_create(f->path, &file, &err), 0);
	assert_int_equal(write(file.fd, "whole", 5), 5);
	assert_int_equal(close(file.dir_fd), 0);
	file.dir_fd = open(f->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(file.dir_fd >= 0);
	assert_int_equal(image_tempfile_commit(&file, true, &err), -1);
	assert_non_null(strstr(err.text, "is complete"));
	image_tempfile_deinit(&file);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_size, 5);
}

static void trying_a_place_leaves_nothing_there(void **state)
{
	struct fixture *f = *state;
	struct thump_err err = THUMP_ERR_INIT;
	struct stat before, after;

	assert_int_equal(thump_image_try(f->path, &err), 0);
	assert_int_equal(access(f->path, F_OK), -1);
	assert_int_equal(rmdir(f->dir), 0); /* so it is empty */
	assert_int_equal(thump_image_try(f->path, &err), -1);
	assert_int_equal(mkdir(f->dir, 0700), 0);
	/* What has the name stays as it is. */
	assert_int_equal(close(open(f->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0400)), 0);
	assert_int_equal(stat(f->path, &before), 0);
	assert_int_equal(thump_image_try(f->path, &err), 0);
	assert_int_equal(stat(f->path, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(after.st_size, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_has_the_name_before_commit),
		TEST(the_hidden_file_of_another_writer_is_left_alone),
		TEST(an_old_image_is_replaced_and_stays_usable_to_who_has_it_open),
		TEST(a_failing_source_leaves_nothing_and_the_old_image),
		TEST(a_full_disk_leaves_nothing),
		TEST(memory_used_does_not_grow_with_the_image),
		TEST(smallest_gaps_are_filled_first),
		TEST(too_scattered_file_mappings_are_refused),
		TEST(what_could_not_be_read_again_is_not_written),
		TEST(a_name_that_may_not_last_is_an_error_and_the_image_whole),
		TEST(trying_a_place_leaves_nothing_there),
		TEST(only_a_regular_file_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
