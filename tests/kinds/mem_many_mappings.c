/* SPDX-License-Identifier: Apache-2.0 */
/* 2,000 mappings: every other page read-only. */
#include "workload.h"

#include <sys/mman.h>

#define PAGE	 ((size_t)4096)
#define NR_PAGES 2000

int main(void)
{
	char *memory;

	workload_init();
	memory = must_mmap(NULL, NR_PAGES * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (uint32_t i = 0; i < NR_PAGES; i++)
		memcpy(memory + i * PAGE, &i, sizeof(i));
	for (uint32_t i = 0; i < NR_PAGES; i += 2)
		MUST(mprotect(memory + i * PAGE, PAGE, PROT_READ));

	workload_checkpoint();

	for (uint32_t i = 0; i < NR_PAGES; i++)
		CHECK(memcmp(memory + i * PAGE, &i, sizeof(i)) == 0);
	for (uint32_t i = 1; i < NR_PAGES; i += 2)
		memory[i * PAGE] = 1;
	workload_pass();
}
