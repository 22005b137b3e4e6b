/* SPDX-License-Identifier: Apache-2.0 */
/* Restored anonymous memory is anonymous: MADV_DONTNEED gives zeros, not the image's content;
 * mremap grows and moves it, MADV_FREE, fork and splitting work. */
#include "workload.h"

#include <sys/mman.h>
#include <sys/wait.h>

#define PAGE ((size_t)4096)
#define SIZE (64 * PAGE)

int main(void)
{
	char *memory;
	pid_t child;
	int status;

	workload_init();
	memory = must_mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill_pattern(memory, SIZE, 9);

	workload_checkpoint();

	CHECK(has_pattern(memory, SIZE, 9));
	MUST(madvise(memory, PAGE, MADV_DONTNEED));
	CHECK(is_zero(memory, PAGE));
	MUST(madvise(memory + PAGE, PAGE, MADV_FREE));
	child = (pid_t)MUST(fork());
	if (child == 0)
		_exit(is_zero(memory, PAGE) ? 0 : 1);
	MUST(waitpid(child, &status, 0));
	CHECK_EQ(status, 0);
	memory = mremap(memory, SIZE, 4 * SIZE, MREMAP_MAYMOVE);
	CHECK(memory != MAP_FAILED);
	CHECK(is_zero(memory, PAGE));
	CHECK(is_zero(memory + SIZE, 3 * SIZE));
	MUST(munmap(memory + SIZE, SIZE));
	workload_pass();
}
