/* SPDX-License-Identifier: Apache-2.0 */
/* A sealed mapping (mseal(2)) is there with its content, and still sealed. */
#include "workload.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#define PAGE ((size_t)4096)

int main(void)
{
	char *sealed;

	workload_init();
	sealed = must_mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			   0);
	fill_pattern(sealed, 4 * PAGE, 1);
	MUST(mprotect(sealed, 4 * PAGE, PROT_READ));
	if (syscall(SYS_mseal, sealed, 4 * PAGE, 0) != 0)
		workload_skip("mseal: %s", strerror(errno));

	workload_checkpoint();

	CHECK(has_pattern(sealed, 4 * PAGE, 1));
	CHECK_EQ(munmap(sealed, PAGE), -1);
	CHECK_EQ(errno, EPERM);
	CHECK_EQ(mprotect(sealed, PAGE, PROT_READ | PROT_WRITE), -1);
	workload_pass();
}
