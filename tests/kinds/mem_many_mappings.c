/* SPDX-License-Identifier: Apache-2.0 */
/* 2,000 mappings, or as many as are asked for: every other page read-only. */
#include "workload.h"

#include <sys/mman.h>

#define PAGE ((size_t)4096)

int main(int argc, char **argv)
{
	const uint32_t nr_pages = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 2000;
	char *memory;

	workload_init();
	memory = must_mmap(NULL, nr_pages * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (uint32_t i = 0; i < nr_pages; i++)
		memcpy(memory + i * PAGE, &i, sizeof(i));
	for (uint32_t i = 0; i < nr_pages; i += 2)
		MUST(mprotect(memory + i * PAGE, PAGE, PROT_READ));

	workload_checkpoint();

	for (uint32_t i = 0; i < nr_pages; i++)
		CHECK(memcmp(memory + i * PAGE, &i, sizeof(i)) == 0);
	for (uint32_t i = 1; i < nr_pages; i += 2)
		memory[i * PAGE] = 1;
	workload_pass();
}
