/* SPDX-License-Identifier: Apache-2.0 */
/* Private file mappings: unmodified pages come from the file, modified ones from the image, pages
 * overwritten with zeros stay zeros; the tail of the last page too. */
#include "workload.h"

#include <sys/mman.h>

#define PAGE ((size_t)4096)
#define SIZE (16 * PAGE)

int main(void)
{
	char want[SIZE], *written, *only_read, *no_access;
	int fd;

	workload_init();
	fd = make_file("private-data", SIZE - 100, 1, O_RDONLY | O_CLOEXEC);
	memset(want, 0, sizeof(want));
	fill_pattern(want, SIZE - 100, 1);
	written = must_mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	only_read = must_mmap(NULL, SIZE - 4 * PAGE, PROT_READ, MAP_PRIVATE, fd, 4 * PAGE);
	no_access = must_mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	MUST(close(fd));
	fill_pattern(written + 2 * PAGE, PAGE, 2);
	memset(written + 5 * PAGE, 0, PAGE);
	memcpy(written + SIZE - 50, "beyond the end", 15);
	memset(no_access + PAGE, 7, PAGE);
	MUST(mprotect(no_access, SIZE, PROT_NONE));

	workload_checkpoint();

	CHECK(memcmp(only_read, want + 4 * PAGE, SIZE - 4 * PAGE) == 0);
	fill_pattern(want + 2 * PAGE, PAGE, 2);
	memset(want + 5 * PAGE, 0, PAGE);
	memcpy(want + SIZE - 50, "beyond the end", 15);
	CHECK(memcmp(written, want, SIZE) == 0);
	MUST(mprotect(no_access, SIZE, PROT_READ));
	CHECK(no_access[PAGE] == 7 && no_access[2 * PAGE - 1] == 7);
	CHECK(memcmp(no_access, want, PAGE) == 0);
	workload_pass();
}
