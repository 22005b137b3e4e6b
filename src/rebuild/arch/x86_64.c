/* SPDX-License-Identifier: Apache-2.0 */
/* What rebuild needs to know of x86-64. */
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>

#include "rebuild/arch/arch.h"

/* The header of an XSAVE area begins with the features in use, Intel SDM volume 1, 13.4.2. */
#define XSTATE_BV_OFFSET 512
#define XSTATE_AVX_END	 832
/* x87, SSE, AVX: at the same place in every processor. */
#define XSTATE_FIXED_BITS UINT64_C(7)

uint64_t thump_ticks(void)
{
	return __builtin_ia32_rdtsc();
}

uint32_t thump_xstate_size(void)
{
	unsigned eax, ebx, ecx, edx;

	return __get_cpuid_count(0xd, 0, &eax, &ebx, &ecx, &edx) ? ebx : 0;
}

static uint64_t xstate_features(const struct thump_task *task)
{
	uint64_t bits = 0;

	if (task->xstate_size >= XSTATE_BV_OFFSET + sizeof(bits))
		memcpy(&bits, task->xstate + XSTATE_BV_OFFSET, sizeof(bits));
	return bits;
}

bool thump_xstate_fits(const struct thump_task *task, uint64_t xcr0, uint32_t size_here)
{
	uint64_t features = xstate_features(task);

	if (!task->xstate_size)
		return true;
	if (features & ~xcr0)
		return false;
	return task->xstate_size == size_here || (features & ~XSTATE_FIXED_BITS) == 0;
}

uint64_t thump_stack_pointer(const struct thump_task *task)
{
	return task->regs.rsp;
}

bool thump_is_syscall_insn(const unsigned char bytes[2])
{
	return bytes[0] == 0x0f && bytes[1] == 0x05;
}
