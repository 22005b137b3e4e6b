/* SPDX-License-Identifier: Apache-2.0 */
/* A MAP_GROWSDOWN mapping of the program's own still grows. */
#include "workload.h"

#include <sys/mman.h>

#define PAGE ((size_t)4096)

int main(void)
{
	char *room, *stack;

	workload_init();
	/* Room below, unmapped again: the kernel keeps a guard gap of 1 MiB to the next mapping. */
	room = must_mmap(NULL, 1024 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(munmap(room, 1024 * PAGE));
	stack = must_mmap(room + 1000 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
	fill_pattern(stack, 8 * PAGE, 1);

	workload_checkpoint();

	CHECK(has_pattern(stack, 8 * PAGE, 1));
	for (size_t i = 1; i <= 100; i++)
		*(volatile char *)(stack - i * PAGE) = (char)i;
	workload_pass();
}
