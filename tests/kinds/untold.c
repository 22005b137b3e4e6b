/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel tells nobody of is gone: the NUMA policy of a mapping; what semop(2) is to undo,
 * which it does when the process that was checkpointed ends. */
#include "workload.h"

#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/syscall.h>

static int policy_of(void *page)
{
	int policy = -1;

	MUST(syscall(SYS_get_mempolicy, &policy, NULL, 0, page, MPOL_F_ADDR));
	return policy;
}

int main(void)
{
	struct sembuf once = { .sem_op = 1, .sem_flg = SEM_UNDO };
	unsigned long nodes = 1;
	enum workload_life life;
	int semaphores;
	void *page;

	workload_init();
	page = must_mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (syscall(SYS_mbind, page, 4096, MPOL_BIND, &nodes, 8 * sizeof(nodes), 0) < 0)
		workload_skip("mbind: %s", strerror(errno));
	semaphores = (int)MUST(semget(IPC_PRIVATE, 1, 0600));
	MUST(semop(semaphores, &once, 1));
	CHECK_EQ(semctl(semaphores, 0, GETVAL), 1);

	life = workload_checkpoint();

	CHECK_EQ(policy_of(page), life == WORKLOAD_ORIGINAL ? MPOL_BIND : MPOL_DEFAULT);
	CHECK_EQ(semctl(semaphores, 0, GETVAL), life == WORKLOAD_ORIGINAL ? 1 : 0);
	if (life == WORKLOAD_RESTORED)
		MUST(semctl(semaphores, 0, IPC_RMID));
	workload_pass();
}
