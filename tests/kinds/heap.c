/* SPDX-License-Identifier: Apache-2.0 */
/* The brk heap: content, the break itself, and growing it afterwards. */
#include "workload.h"

#define PAGE ((size_t)4096)

int main(void)
{
	char *base, *end;
	void *blocks[1000];

	workload_init();
	for (size_t i = 0; i < NR_OF(blocks); i++) {
		blocks[i] = malloc(i % 97 * 8 + 8);
		CHECK(blocks[i] != NULL);
		fill_pattern(blocks[i], i % 97 * 8 + 8, (uint32_t)i);
	}
	base = sbrk(0);
	CHECK(sbrk(100 * PAGE + 123) == base);
	fill_pattern(base, 100 * PAGE + 123, 7);
	end = base + 100 * PAGE + 123;

	workload_checkpoint();

	CHECK(sbrk(0) == end);
	CHECK(has_pattern(base, 100 * PAGE + 123, 7));
	CHECK(sbrk(1 << 20) == end);
	CHECK(is_zero(end, 1 << 20));
	memset(end, 1, 1 << 20);
	CHECK(sbrk(-(1 << 20)) == end + (1 << 20));
	for (size_t i = 0; i < NR_OF(blocks); i++)
		CHECK(has_pattern(blocks[i], i % 97 * 8 + 8, (uint32_t)i));
	/* sbrk in the middle of malloc's arena is malloc's to cope with. */
	for (size_t i = 0; i < NR_OF(blocks); i++)
		free(blocks[i]);
	free(malloc(3000000));
	workload_pass();
}
