/* SPDX-License-Identifier: Apache-2.0 */
/* A registration for expedited membarriers is still in force. */
#include "workload.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>

int main(void)
{
	workload_init();
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0)
		workload_skip("membarrier: %s", strerror(errno));

	workload_checkpoint();

	MUST(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	workload_pass();
}
