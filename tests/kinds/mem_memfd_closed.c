/* SPDX-License-Identifier: Apache-2.0 */
/* A memfd that only its mappings keep alive. */
#include "workload.h"

#include <sys/mman.h>

#define PAGE ((size_t)4096)
#define SIZE (300 * PAGE)

int main(void)
{
	char *first, *second;
	int fd;

	workload_init();
	fd = (int)MUST(memfd_create("closed", MFD_CLOEXEC));
	MUST(ftruncate(fd, SIZE));
	first = must_mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	second = must_mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fill_pattern(first + 7 * PAGE, PAGE, 4);
	MUST(close(fd));

	workload_checkpoint();

	CHECK(has_pattern(second + 7 * PAGE, PAGE, 4));
	memset(first, 9, PAGE);
	CHECK_EQ(second[PAGE - 1], 9);
	workload_pass();
}
