/* SPDX-License-Identifier: Apache-2.0 */
/* MADV_WIPEONFORK ranges belong to generators that reseed after a fork: the original keeps them,
 * a restored process finds zeros, and the advice itself is still there. */
#include "workload.h"

#include <sys/mman.h>
#include <sys/wait.h>

#define PAGE ((size_t)4096)

int main(void)
{
	char *wiped;
	enum workload_life life;
	pid_t child;
	int status;

	workload_init();
	wiped = must_mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);
	MUST(madvise(wiped, 2 * PAGE, MADV_WIPEONFORK));
	fill_pattern(wiped, 2 * PAGE, 1);

	life = workload_checkpoint();

	if (life == WORKLOAD_RESTORED)
		CHECK(is_zero(wiped, 2 * PAGE));
	else
		CHECK(has_pattern(wiped, 2 * PAGE, 1));
	fill_pattern(wiped, 2 * PAGE, 2);
	child = (pid_t)MUST(fork());
	if (child == 0)
		_exit(is_zero(wiped, 2 * PAGE) ? 0 : 1);
	MUST(waitpid(child, &status, 0));
	CHECK_EQ(status, 0);
	workload_pass();
}
