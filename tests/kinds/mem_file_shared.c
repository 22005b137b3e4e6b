/* SPDX-License-Identifier: Apache-2.0 */
/* Shared file mappings are the file: writes through them reach it and the other way round. */
#include "workload.h"

#include <sys/mman.h>

#define PAGE ((size_t)4096)
#define SIZE (8 * PAGE)

int main(void)
{
	char *writable, *readable, page[PAGE], saved[2 * PAGE];
	enum workload_life life;
	int fd;

	workload_init();
	fd = make_file("shared-data", SIZE, 1, O_RDWR | O_CLOEXEC);
	writable = must_mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	readable = must_mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	fill_pattern(writable + PAGE, PAGE, 2);

	life = workload_checkpoint();

	CHECK(has_pattern(readable + PAGE, PAGE, 2));
	CHECK(has_pattern(writable, PAGE, 1));
	memcpy(saved, writable + 3 * PAGE, 2 * PAGE);
	fill_pattern(writable + 3 * PAGE, PAGE, 30 + (uint32_t)life);
	CHECK(has_pattern(readable + 3 * PAGE, PAGE, 30 + (uint32_t)life));
	CHECK_EQ(pread(fd, page, PAGE, 3 * PAGE), PAGE);
	CHECK(has_pattern(page, PAGE, 30 + (uint32_t)life));
	fill_pattern(page, PAGE, 40 + (uint32_t)life);
	CHECK_EQ(pwrite(fd, page, PAGE, 4 * PAGE), PAGE);
	CHECK(has_pattern(writable + 4 * PAGE, PAGE, 40 + (uint32_t)life));
	/* As it was: another image of this process wants to find the same file. */
	memcpy(writable + 3 * PAGE, saved, 2 * PAGE);
	workload_pass();
}
