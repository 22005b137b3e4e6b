/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings of /dev/zero: private, shared with a second view by mremap(2), and never touched. */
#include "workload.h"

#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 8 };

static char *map_zero(int flags)
{
	int fd = (int)MUST(open("/dev/zero", O_RDWR | O_CLOEXEC));
	char *at = must_mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);

	MUST(close(fd));
	return at;
}

int main(void)
{
	char *private, *shared, *view, *untouched;

	workload_init();
	private = map_zero(MAP_PRIVATE);
	shared = map_zero(MAP_SHARED);
	untouched = map_zero(MAP_PRIVATE);
	fill_pattern(private + 3 * PAGE, PAGE, 1);
	fill_pattern(shared, (size_t)2 * PAGE, 2);
	/* mremap(2): a size of 0 makes another mapping of the same pages. */
	view = mremap(shared, 0, (size_t)PAGES * PAGE, MREMAP_MAYMOVE);
	CHECK(view != MAP_FAILED);

	workload_checkpoint();

	CHECK(is_zero(private, (size_t)3 * PAGE));
	CHECK(has_pattern(private + 3 * PAGE, PAGE, 1));
	CHECK(is_zero(private + 4 * PAGE, (size_t)4 * PAGE));
	CHECK(has_pattern(view, (size_t)2 * PAGE, 2));
	fill_pattern(view, (size_t)3 * PAGE, 3);
	CHECK(has_pattern(shared, (size_t)3 * PAGE, 3));
	CHECK(is_zero(untouched, (size_t)PAGES * PAGE));
	workload_pass();
}
