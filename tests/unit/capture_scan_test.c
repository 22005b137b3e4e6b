/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "capture/scan.h"

#define PAGE THUMP_PAGE_SIZE
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

struct found {
	char *base;
	char pages[64]; /* '.' nothing, 'x' found, 'g' guard */
};

static int take(void *ctx, uint64_t start, uint64_t end, bool guard, struct thump_err *err)
{
	struct found *found = ctx;

	(void)err;
	for (uint64_t at = start; at < end; at += PAGE) {
		uint64_t index = (at - (uintptr_t)found->base) / PAGE;

		assert_true(index < sizeof(found->pages));
		assert_int_equal(found->pages[index], '.'); /* never twice */
		found->pages[index] = guard ? 'g' : 'x';
	}
	return 0;
}

/* Scans nr_pages of our own memory and compares with what is expected. */
static void expect(char *base, const char *expected, enum thump_scan_what what, bool use_ioctl)
{
	struct found found = { .base = base };
	const struct thump_scan_sink sink = { .ctx = &found, .found = take };
	auto_close int proc_fd = open("/proc/self", O_PATH | O_CLOEXEC);
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_scan scan;
	size_t nr_pages = strlen(expected);

	memset(found.pages, '.', nr_pages);
	assert_int_equal(thump_scan_init(&scan, proc_fd, use_ioctl, &err), 0);
	assert_int_equal(thump_scan_range(&scan, (uintptr_t)base, (uintptr_t)base + nr_pages * PAGE,
					  what, &sink, &err),
			 0);
	thump_scan_deinit(&scan);
	assert_string_equal(found.pages, expected);
}

static char *map(size_t nr_pages, int flags, int fd)
{
	char *base = mmap(NULL, nr_pages * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);

	assert_true(base != MAP_FAILED);
	return base;
}

static void touched_pages_of_anonymous_memory(void **state)
{
	char *base = map(8, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	volatile char seen;

	(void)state;
	base[0] = base[3 * PAGE] = base[4 * PAGE] = 1;
	seen = base[6 * PAGE]; /* the zero page */
	(void)seen;
	assert_int_equal(mprotect(base + 4 * PAGE, PAGE, PROT_NONE), 0);
	expect(base, "x..xx...", THUMP_SCAN_ANON, true);
	munmap(base, 8 * PAGE);
}

/* An old kernel does not tell the zero page apart; its pages are stored, or found to be zeros. */
static void pagemap_finds_at_least_the_same(void **state)
{
	char *base = map(8, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	(void)state;
	base[0] = base[3 * PAGE] = base[7 * PAGE] = 1;
	expect(base, "x..x...x", THUMP_SCAN_ANON, false);
	munmap(base, 8 * PAGE);
}

static void written_pages_of_a_private_file_mapping(void **state)
{
	auto_close int fd = memfd_create("scan", MFD_CLOEXEC);
	volatile char seen;
	char *base;

	(void)state;
	assert_int_equal(ftruncate(fd, 4 * PAGE), 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	base = map(4, MAP_PRIVATE, fd);
	seen = base[0]; /* a page of the file */
	(void)seen;
	base[2 * PAGE] = 0; /* a copy, though it is all zeros */
	expect(base, "..x.", THUMP_SCAN_FILE, true);
	expect(base, "..x.", THUMP_SCAN_FILE, false);
	munmap(base, 4 * PAGE);
}

static void a_sparse_giant_costs_what_is_touched(void **state)
{
	size_t nr_pages = ((size_t)1 << 40) / PAGE;
	char *base = mmap(NULL, nr_pages * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct found found = { .base = base };
	const struct thump_scan_sink sink = { .ctx = &found, .found = take };
	auto_close int proc_fd = open("/proc/self", O_PATH | O_CLOEXEC);
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_scan scan;

	(void)state;
	assert_true(base != MAP_FAILED);
	memset(found.pages, '.', sizeof(found.pages) - 1);
	base[5 * PAGE] = 1;
	assert_int_equal(thump_scan_init(&scan, proc_fd, true, &err), 0);
	if (!scan.have_ioctl) /* the kernel is older than 6.7: 2 GiB of pagemap would be read */
		skip();
	assert_int_equal(thump_scan_range(&scan, (uintptr_t)base, (uintptr_t)base + nr_pages * PAGE,
					  THUMP_SCAN_ANON, &sink, &err),
			 0);
	thump_scan_deinit(&scan);
	assert_int_equal(found.pages[5], 'x');
	munmap(base, nr_pages * PAGE);
}

static void guard_regions_are_told_apart(void **state)
{
	char *base = map(4, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	auto_close int proc_fd = open("/proc/self", O_PATH | O_CLOEXEC);
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_scan scan;
	bool known;

	(void)state;
	assert_int_equal(thump_scan_init(&scan, proc_fd, true, &err), 0);
	known = scan.guard_mask != 0;
	thump_scan_deinit(&scan);
	base[0] = 1;
	if (!known || madvise(base + PAGE, PAGE, MADV_GUARD_INSTALL) != 0)
		skip();
	expect(base, "xg..", THUMP_SCAN_ANON, true);
	munmap(base, 4 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(touched_pages_of_anonymous_memory),
		cmocka_unit_test(pagemap_finds_at_least_the_same),
		cmocka_unit_test(written_pages_of_a_private_file_mapping),
		cmocka_unit_test(a_sparse_giant_costs_what_is_touched),
		cmocka_unit_test(guard_regions_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
