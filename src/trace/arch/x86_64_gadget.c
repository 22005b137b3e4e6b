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

/* mov %rax, (%rbx) or mov %rax, offset(%rbx), with an offset of one byte. */
static void look_at_store(const unsigned char *code, size_t size_bytes, uint64_t addr,
			  struct thump_gadgets *gadgets)
{
	const bool has_offset = size_bytes > 3 && code[2] == 0x43;
	const size_t length = has_offset ? 4 : 3;
	int pops;

	if (size_bytes < length || (code[2] != 0x03 && !has_offset))
		return;
	pops = pops_until_ret(code + length, size_bytes - length);
	if (pops < 0)
		return;
	gadgets->store_ret = addr;
	gadgets->store_offset = has_offset ? (signed char)code[3] : 0;
	gadgets->store_pops = (unsigned)pops;
}

static void find_store(const unsigned char *code, size_t size_bytes, uint64_t addr,
		       struct thump_gadgets *gadgets)
{
	static const unsigned char mov_rax[] = { 0x48, 0x89 };
	const unsigned char *found = code;

	while (!gadgets->store_ret && (found = memmem(found, size_bytes - (size_t)(found - code),
						      mov_rax, sizeof(mov_rax)))) {
		const size_t at = (size_t)(found - code);

		look_at_store(found, size_bytes - at, addr + at, gadgets);
		found++;
	}
}

/* A pop of one byte, and ret. */
static void find_pop(const unsigned char *code, size_t size_bytes, uint64_t addr, unsigned char pop,
		     uint64_t *found_ret)
{
	const unsigned char pop_ret[] = { pop, 0xc3 };
	const unsigned char *found;

	if (*found_ret)
		return;
	found = memmem(code, size_bytes, pop_ret, sizeof(pop_ret));
	if (found)
		*found_ret = addr + (uint64_t)(found - code);
}

void thump_arch_find_gadgets(const unsigned char *code, size_t size_bytes, uint64_t addr,
			     struct thump_gadgets *gadgets)
{
	static const unsigned char syscall_insn[] = { 0x0f, 0x05 };
	const unsigned char *found = code;

	while ((found = memmem(found, size_bytes - (size_t)(found - code), syscall_insn,
			       sizeof(syscall_insn)))) {
		look_at_syscall(code, (size_t)(found - code), size_bytes, addr, gadgets);
		found++;
	}
	find_pop(code, size_bytes, addr, 0x58, &gadgets->pop_nr_ret);
	find_pop(code, size_bytes, addr, 0x5f, &gadgets->pop_arg0_ret);
	find_pop(code, size_bytes, addr, 0x5e, &gadgets->pop_arg1_ret);
	find_pop(code, size_bytes, addr, 0x5b, &gadgets->pop_base_ret);
	find_store(code, size_bytes, addr, gadgets);
}

bool thump_arch_gadgets_complete(const struct thump_gadgets *gadgets)
{
	return gadgets->syscall_ret && (gadgets->sigreturn || gadgets->pop_nr_ret);
}

bool thump_arch_gadgets_run_trains(const struct thump_gadgets *gadgets)
{
	/* Pops could lose where the result goes. */
	return gadgets->syscall_ret && gadgets->syscall_pops == 0 && gadgets->pop_nr_ret &&
	       gadgets->pop_arg0_ret && gadgets->pop_arg1_ret && gadgets->pop_base_ret &&
	       gadgets->store_ret;
}
