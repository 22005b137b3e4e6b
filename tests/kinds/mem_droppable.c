/* SPDX-License-Identifier: Apache-2.0 */
/* MAP_DROPPABLE ranges (vgetrandom's state) are zero in a restored process. */
#include "workload.h"

#include <sys/mman.h>

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#define PAGE ((size_t)4096)

int main(void)
{
	enum workload_life life;
	char *droppable;

	workload_init();
	droppable =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
	if (droppable == MAP_FAILED)
		workload_skip("this kernel has no MAP_DROPPABLE (Linux 6.11)");
	fill_pattern(droppable, 2 * PAGE, 1);

	life = workload_checkpoint();

	/* The kernel may drop pages of the original, too, but none that were never put under
	 * pressure. */
	if (life == WORKLOAD_RESTORED)
		CHECK(is_zero(droppable, 2 * PAGE));
	else
		CHECK(has_pattern(droppable, 2 * PAGE, 1));
	workload_pass();
}
