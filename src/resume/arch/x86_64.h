/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the blob needs of the architecture: raw system calls (they return -errno), the creation of
 * a thread on a stack of its own, a trap, a clock for marks.
 *
 * RULE: nothing here may touch memory but the stack it is given and the data region; on a thread's
 * first instructions there is neither TLS nor a return address.
 */
#ifndef THUMP_RESUME_ARCH_X86_64_H
#define THUMP_RESUME_ARCH_X86_64_H

#include <stdint.h>

static inline long arch_syscall6(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
				 uint64_t e, uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static inline long arch_syscall4(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	register uint64_t r10 __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}

static inline long arch_syscall2(long nr, uint64_t a, uint64_t b)
{
	return arch_syscall4(nr, a, b, 0, 0);
}

/*
 * clone(2) or clone3(2), whose first two arguments are `a` and `b`. The child has no frame to
 * return to: it takes thread and data from its own stack (put there by arch_prepare_stack) and
 * calls `main`, which never returns. The kernel keeps all registers but rax, rcx, r11 and rsp.
 */
#define ARCH_START_THREAD(nr, a, b, main)                                                          \
	({                                                                                         \
		long arch_result_;                                                                 \
                                                                                                   \
		__asm__ volatile("xorl %%edx, %%edx\n\t"                                           \
				 "xorl %%r10d, %%r10d\n\t"                                         \
				 "xorl %%r8d, %%r8d\n\t"                                           \
				 "syscall\n\t"                                                     \
				 "testq %%rax, %%rax\n\t"                                          \
				 "jnz 1f\n\t"                                                      \
				 "xorl %%ebp, %%ebp\n\t"                                           \
				 "popq %%rdi\n\t"                                                  \
				 "popq %%rsi\n\t"                                                  \
				 "call " #main "\n\t"                                              \
				 "ud2\n"                                                           \
				 "1:"                                                              \
				 : "=a"(arch_result_)                                              \
				 : "0"((long)(nr)), "D"((uint64_t)(a)), "S"((uint64_t)(b))         \
				 : "rcx", "rdx", "r8", "r10", "r11", "memory");                    \
		arch_result_;                                                                      \
	})

/* Leaves the two arguments of a thread's main function on its stack; returns its first rsp, which
 * is 16-byte aligned again after the two pops, as a call needs it. */
static inline uint64_t arch_prepare_stack(uint64_t stack_top, uint64_t first, uint64_t second)
{
	uint64_t *sp = (uint64_t *)stack_top;

	*--sp = second;
	*--sp = first;
	return (uint64_t)sp;
}

/* A number rebuild understands and no C library defines here: bits of clone(2). */
static inline uint64_t arch_ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static inline void arch_trap(void)
{
	__asm__ volatile("int3" ::: "memory");
}

#endif
