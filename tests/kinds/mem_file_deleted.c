/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings of deleted files, private and shared, whose descriptors are closed. */
#include "workload.h"

#include <sys/mman.h>

#define PAGE ((size_t)4096)
#define SIZE (8 * PAGE)

int main(void)
{
	char *private, *shared, *alias;
	int fd;

	workload_init();
	fd = make_file("deleted-data", SIZE, 1, O_RDWR | O_CLOEXEC);
	private = must_mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	shared = must_mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	alias = must_mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 2 * PAGE);
	MUST(unlink("deleted-data"));
	MUST(close(fd));
	fill_pattern(private + PAGE, PAGE, 2);
	fill_pattern(shared + 2 * PAGE, PAGE, 3);

	workload_checkpoint();

	CHECK(has_pattern(private, PAGE, 1) && has_pattern(private + PAGE, PAGE, 2));
	CHECK(has_pattern(shared, PAGE, 1) && has_pattern(alias, PAGE, 3));
	fill_pattern(alias, PAGE, 4);
	CHECK(has_pattern(shared + 2 * PAGE, PAGE, 4));
	CHECK(has_pattern(private + 2 * PAGE, PAGE, 4)); /* not yet copied: still the file's page */
	workload_pass();
}
