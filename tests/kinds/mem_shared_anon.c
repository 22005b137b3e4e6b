/* SPDX-License-Identifier: Apache-2.0 */
/* Anonymous shared memory: two views of one object stay two views of one object, a hole reads as
 * zeros, and a child shares it. */
#include "workload.h"

#include <sys/mman.h>
#include <sys/wait.h>

#define PAGE ((size_t)4096)
#define SIZE (512 * PAGE)

int main(void)
{
	char *view, *second, *other;
	pid_t child;
	int status;

	workload_init();
	view = must_mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	other = must_mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fill_pattern(view, 3 * PAGE, 1);
	fill_pattern(view + SIZE - PAGE, PAGE, 2);
	fill_pattern(other, PAGE, 3);
	/* An old size of zero makes a second view of a shared mapping. */
	second = mremap(view, 0, SIZE, MREMAP_MAYMOVE);
	CHECK(second != MAP_FAILED);

	workload_checkpoint();

	CHECK(has_pattern(second, 3 * PAGE, 1) && has_pattern(second + SIZE - PAGE, PAGE, 2));
	CHECK(is_zero(view + 3 * PAGE, SIZE - 4 * PAGE));
	CHECK(has_pattern(other, PAGE, 3));
	fill_pattern(view + 5 * PAGE, PAGE, 4);
	CHECK(has_pattern(second + 5 * PAGE, PAGE, 4));
	child = (pid_t)MUST(fork());
	if (child == 0) {
		fill_pattern(view + 6 * PAGE, PAGE, 5);
		_exit(0);
	}
	MUST(waitpid(child, &status, 0));
	CHECK_EQ(status, 0);
	CHECK(has_pattern(second + 6 * PAGE, PAGE, 5));
	workload_pass();
}
