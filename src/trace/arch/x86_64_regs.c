/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/arch/arch.h"

#define USER_CS_64 0x33

bool thump_arch_is_native(const struct user_regs_struct *regs)
{
	return regs->cs == USER_CS_64;
}

uint64_t thump_arch_pc(const struct user_regs_struct *regs)
{
	return regs->rip;
}

void thump_arch_set_pc(struct user_regs_struct *regs, uint64_t pc)
{
	regs->rip = pc;
}

uint64_t thump_arch_sp(const struct user_regs_struct *regs)
{
	return regs->rsp;
}

void thump_arch_set_syscall(struct user_regs_struct *regs, uint64_t pc, uint64_t sp, long nr,
			    const uint64_t args[6])
{
	regs->rip = pc;
	regs->rsp = sp;
	regs->rax = (unsigned long long)nr;
	regs->rdi = args[0];
	regs->rsi = args[1];
	regs->rdx = args[2];
	regs->r10 = args[3];
	regs->r8 = args[4];
	regs->r9 = args[5];
	/* Not inside a system call: else a restart code in rax would move rip. */
	regs->orig_rax = (unsigned long long)-1;
}

long thump_arch_result(const struct user_regs_struct *regs)
{
	return (long)regs->rax;
}

void thump_arch_set_entry(struct user_regs_struct *regs, uint64_t pc, uint64_t sp, uint64_t arg)
{
	regs->rip = pc;
	regs->rsp = sp;
	regs->rdi = arg;
	regs->rbp = 0;
	regs->orig_rax = (unsigned long long)-1;
}
