/* SPDX-License-Identifier: Apache-2.0 */
/* Guard regions inside of a mapping, as C libraries put them below the stacks of threads. */
#include "workload.h"

#include <sys/mman.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif
#define PAGE ((size_t)4096)

/* The kernel reads from it for us, and so says EFAULT instead of sending a signal. */
static bool is_guarded(int pipe_end, const char *at)
{
	if (write(pipe_end, at, 1) == 1)
		return false;
	CHECK_EQ(errno, EFAULT);
	return true;
}

int main(void)
{
	int ends[2];
	char *at;

	workload_init();
	MUST(pipe2(ends, O_CLOEXEC));
	at = must_mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill_pattern(at, 2 * PAGE, 1);
	fill_pattern(at + 4 * PAGE, PAGE, 2);
	if (madvise(at + 2 * PAGE, 2 * PAGE, MADV_GUARD_INSTALL) < 0)
		workload_skip("this kernel has no guard regions (Linux 6.13)");
	MUST(madvise(at + 7 * PAGE, PAGE, MADV_GUARD_INSTALL));

	workload_checkpoint();

	for (int page = 0; page < 8; page++)
		CHECK_EQ(is_guarded(ends[1], at + (size_t)page * PAGE),
			 page == 2 || page == 3 || page == 7);
	CHECK(has_pattern(at, 2 * PAGE, 1));
	CHECK(has_pattern(at + 4 * PAGE, PAGE, 2));
	MUST(madvise(at + 2 * PAGE, PAGE, MADV_GUARD_REMOVE));
	CHECK(is_zero(at + 2 * PAGE, PAGE));
	workload_pass();
}
