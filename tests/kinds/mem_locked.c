/* SPDX-License-Identifier: Apache-2.0 */
/* mlock'ed memory stays locked. */
#include "workload.h"

#include <sys/mman.h>

#define PAGE ((size_t)4096)

int main(void)
{
	char *locked;
	uint64_t before;

	workload_init();
	locked = must_mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			   0);
	fill_pattern(locked, 4 * PAGE, 1);
	if (mlock(locked, 4 * PAGE) != 0)
		workload_skip("mlock of 16 KiB: %s", strerror(errno));
	before = proc_number("/proc/self/status", "VmLck", 10);
	CHECK(before >= 16);

	workload_checkpoint();

	CHECK_EQ(proc_number("/proc/self/status", "VmLck", 10), before);
	CHECK(has_pattern(locked, 4 * PAGE, 1));
	MUST(munlock(locked, 4 * PAGE));
	CHECK_EQ(proc_number("/proc/self/status", "VmLck", 10), before - 16);
	workload_pass();
}
