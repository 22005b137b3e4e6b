/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions that remote calls go through. They are found, never written: code of the target
 * stays as it is. Any byte position will do, in the middle of another instruction, too.
 */
#include <string.h>

#include "trace/arch/arch.h"

#define MAX_POPS 8

/* Length of the `pop` of one register at code, or 0; popping into rsp would lose the chain. */
static size_t pop_length(const unsigned char *code, size_t size_bytes)
{
	if (size_bytes >= 1 && code[0] >= 0x58 && code[0] <= 0x5f && code[0] != 0x5c)
		return 1;
	if (size_bytes >= 2 && code[0] == 0x41 && code[1] >= 0x58 && code[1] <= 0x5f)
		return 2;
	return 0;
}

/* Number of pops between here and a `ret`, or -1 when something else follows. */
static int pops_until_ret(const unsigned char *code, size_t size_bytes)
{
	for (int pops = 0; pops <= MAX_POPS && size_bytes > 0; pops++) {
		const size_t length = pop_length(code, size_bytes);

		if (code[0] == 0xc3)
			return pops;
		if (length == 0)
			return -1;
		code += length;
		size_bytes -= length;
	}
	return -1;
}

static void look_at_syscall(const unsigned char *code, size_t at, size_t size_bytes, uint64_t addr,
			    struct thump_gadgets *gadgets)
{
	/* mov $15, %rax and mov $15, %eax: what every C library returns from handlers with. */
	static const unsigned char mov_rax[] = { 0x48, 0xc7, 0xc0, 15, 0, 0, 0 };
	static const unsigned char mov_eax[] = { 0xb8, 15, 0, 0, 0 };
	const int pops = pops_until_ret(code + at + 2, size_bytes - at - 2);

	if (!gadgets->syscall)
		gadgets->syscall = addr + at;
	if (pops >= 0 && (!gadgets->syscall_ret || (unsigned)pops < gadgets->syscall_pops)) {
		gadgets->syscall_ret = addr + at;
		gadgets->syscall_pops = (unsigned)pops;
	}
	if (gadgets->sigreturn)
		return;
	if (at >= sizeof(mov_rax) &&
	    memcmp(code + at - sizeof(mov_rax), mov_rax, sizeof(mov_rax)) == 0)
		gadgets->sigreturn = addr + at - sizeof(mov_rax);
	else if (at >= sizeof(mov_eax) &&
		 memcmp(code + at - sizeof(mov_eax), mov_eax, sizeof(mov_eax)) == 0)
		gadgets->sigreturn = addr + at - sizeof(mov_eax);
}

void thump_arch_find_gadgets(const unsigned char *code, size_t size_bytes, uint64_t addr,
			     struct thump_gadgets *gadgets)
{
	static const unsigned char syscall_insn[] = { 0x0f, 0x05 };
	static const unsigned char pop_rax_ret[] = { 0x58, 0xc3 };
	const unsigned char *found = code;

	while ((found = memmem(found, size_bytes - (size_t)(found - code), syscall_insn,
			       sizeof(syscall_insn)))) {
		look_at_syscall(code, (size_t)(found - code), size_bytes, addr, gadgets);
		found++;
	}
	if (gadgets->pop_nr_ret)
		return;
	found = memmem(code, size_bytes, pop_rax_ret, sizeof(pop_rax_ret));
	if (found)
		gadgets->pop_nr_ret = addr + (uint64_t)(found - code);
}

bool thump_arch_gadgets_complete(const struct thump_gadgets *gadgets)
{
	return gadgets->syscall_ret && (gadgets->sigreturn || gadgets->pop_nr_ret);
}
