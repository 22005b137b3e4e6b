/* SPDX-License-Identifier: Apache-2.0 */
/* What rebuild needs to know of x86-64. */
#include <cpuid.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "proc/arch/cpu.h"
#include "rebuild/arch/arch.h"

#define CPUID_D_1_EAX_XSAVEC (1u << 1)

#define XSTATE_MIN_SIZE 576
#define FIRST_EXTENDED	2 /* x87 and SSE are in the legacy area */
/* x87, SSE, AVX: at the same place in every processor. */
#define XSTATE_FIXED_BITS UINT64_C(7)

/*
 * CPUID leaf 0xd gives every processor the right to a layout of its own. Intel's all have this one;
 * AMD's pack what they have. The image tells features and size of its machine, and by both together
 * the layouts can be told apart.
 */
static const struct {
	uint32_t offset, size_bytes;
} common_layout[] = {
	[2] = { 576, 256 },						  /* AVX */
	[3] = { 960, 64 },   [4] = { 1024, 64 },			  /* MPX */
	[5] = { 1088, 64 },  [6] = { 1152, 512 },   [7] = { 1664, 1024 }, /* AVX-512 */
	[9] = { 2688, 8 },						  /* PKRU */
	[17] = { 2752, 64 }, [18] = { 2816, 8192 },			  /* AMX */
	[19] = { 960, 128 },						  /* APX */
};

uint64_t thump_ticks(void)
{
	return __builtin_ia32_rdtsc();
}

/* Registers only; the result, EINTR and EAGAIN among them, makes no difference. */
void thump_arch_park(const uint32_t *word)
{
	while (!__atomic_load_n(word, __ATOMIC_ACQUIRE)) {
		register long timeout __asm__("r10") = 0;
		long result = SYS_futex;

		__asm__ volatile("syscall"
				 : "+a"(result)
				 : "D"(word), "S"(FUTEX_WAIT_PRIVATE), "d"(0), "r"(timeout)
				 : "rcx", "r11", "memory");
	}
}

static bool is_like(const struct thump_machine *machine, const struct thump_xstate_layout *here)
{
	return machine->xcr0 == here->xcr0 && machine->xsave_size_bytes == here->size_bytes;
}

void thump_xstate_layout_here(const struct thump_machine *machine,
			      struct thump_xstate_layout *layout_ret)
{
	struct thump_xstate_layout layout = { .xcr0 = thump_cpu_xcr0() };
	unsigned eax, ebx, ecx, edx;

	/* The plain instruction: asking first how far the leaves go doubles what it takes. Without
	 * the leaf there is nothing in xcr0. */
	if (layout.xcr0) {
		__cpuid_count(0xd, 0, eax, ebx, ecx, edx);
		layout.size_bytes = ebx;
	}
	for (unsigned i = FIRST_EXTENDED; i < THUMP_NR_XFEATURES; i++) {
		if (!(layout.xcr0 >> i & 1) || is_like(machine, &layout))
			continue;
		__cpuid_count(0xd, i, eax, ebx, ecx, edx);
		layout.offsets[i] = ebx;
	}
	*layout_ret = layout;
}

/* Size of an area with these features in the common layout; 0 when one is not known. */
static uint32_t common_size(uint64_t features)
{
	uint32_t size_bytes = XSTATE_MIN_SIZE;

	for (unsigned i = FIRST_EXTENDED; i < THUMP_NR_XFEATURES; i++) {
		uint32_t end;

		if (!(features >> i & 1))
			continue;
		if (i >= THUMP_ARRAY_SIZE(common_layout) || common_layout[i].offset == 0)
			return 0;
		end = common_layout[i].offset + common_layout[i].size_bytes;
		size_bytes = end > size_bytes ? end : size_bytes;
	}
	return size_bytes;
}

/* All that are in use, at a place that is inside the image's area. */
static bool at_common_places(const struct thump_task *task, uint64_t in_use,
			     const struct thump_xstate_layout *here)
{
	for (unsigned i = FIRST_EXTENDED; i < THUMP_NR_XFEATURES; i++) {
		if (!(in_use >> i & 1))
			continue;
		if (i >= THUMP_ARRAY_SIZE(common_layout) || common_layout[i].offset == 0 ||
		    here->offsets[i] != common_layout[i].offset ||
		    common_layout[i].offset + common_layout[i].size_bytes > task->xstate_size)
			return false;
	}
	return true;
}

bool thump_xstate_fits(const struct thump_task *task, const struct thump_machine *machine,
		       const struct thump_xstate_layout *here)
{
	const uint64_t in_use = thump_xstate_in_use(task->xstate, task->xstate_size);

	if (!task->xstate_size || (in_use & ~XSTATE_FIXED_BITS) == 0)
		return (in_use & ~here->xcr0) == 0;
	if (in_use & ~here->xcr0)
		return false;
	if (is_like(machine, here))
		return true;
	return machine->xsave_size_bytes == common_size(machine->xcr0) &&
	       at_common_places(task, in_use, here);
}

static bool is_level(const struct thump_machine *machine)
{
	uint32_t words[THUMP_NR_CPU_WORDS];

	for (int level = 1; level <= THUMP_CPU_LEVELS; level++) {
		thump_cpu_level_words(level, words);
		if (machine->nr_cpuid_words == THUMP_NR_CPU_WORDS &&
		    memcmp(machine->cpuid_words, words, sizeof(words)) == 0)
			return true;
	}
	return false;
}

bool thump_xsave_outgrows(const struct thump_machine *machine,
			  const struct thump_xstate_layout *here)
{
	const bool has_xsavec = machine->nr_cpuid_words > THUMP_CPU_D_1_EAX &&
				machine->cpuid_words[THUMP_CPU_D_1_EAX] & CPUID_D_1_EAX_XSAVEC;

	return machine->xcr0 && here->xcr0 & ~machine->xcr0 && !has_xsavec && !is_level(machine);
}

uint64_t thump_stack_pointer(const struct thump_task *task)
{
	return task->regs.rsp;
}

uint64_t thump_instruction_pointer(const struct thump_task *task)
{
	return task->regs.rip;
}

void thump_write_jump(unsigned char code[THUMP_JUMP_SIZE], uint64_t to)
{
	static const unsigned char jmp[6] = { 0xff, 0x25 }; /* jmp *0(%rip) */

	memcpy(code, jmp, sizeof(jmp));
	memcpy(code + sizeof(jmp), &to, sizeof(to));
}

void thump_write_syscall(unsigned char code[THUMP_JUMP_SIZE], long nr)
{
	static const unsigned char insns[8] = {
		0xb8, 0,    0, 0, 0, /* mov $nr, %eax */
		0x0f, 0x05,	     /* syscall */
		0xc3,		     /* ret */
	};
	uint32_t number = (uint32_t)nr;

	memcpy(code, insns, sizeof(insns));
	memcpy(code + 1, &number, sizeof(number));
}

/* vdso(7); each has a name without the prefix, too. The first three arguments of getrandom are
 * those of getrandom(2). */
long thump_vdso_syscall(const char *name)
{
	static const struct {
		const char *name;
		long nr;
	} calls[] = {
		{ "gettimeofday", SYS_gettimeofday },
		{ "clock_gettime", SYS_clock_gettime },
		{ "clock_getres", SYS_clock_getres },
		{ "time", SYS_time },
		{ "getcpu", SYS_getcpu },
		{ "getrandom", SYS_getrandom },
	};
	const char *prefix = "__vdso_";

	if (strncmp(name, prefix, strlen(prefix)) == 0)
		name += strlen(prefix);
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(calls); i++)
		if (strcmp(name, calls[i].name) == 0)
			return calls[i].nr;
	return -1;
}

/* It enters an enclave, which are memory of a device: no image has one. */
bool thump_vdso_function_stays(const char *name)
{
	return strcmp(name, "__vdso_sgx_enter_enclave") == 0;
}

bool thump_is_syscall_insn(const unsigned char bytes[2])
{
	return bytes[0] == 0x0f && bytes[1] == 0x05;
}

static bool is_timed_futex(uint64_t op)
{
	/* FUTEX_LOCK_PI and all with FUTEX_CLOCK_REALTIME: the wall clock. FUTEX_WAIT: relative. */
	switch (op & ~(uint64_t)FUTEX_PRIVATE_FLAG) {
	case FUTEX_WAIT_BITSET:
	case FUTEX_WAIT_REQUEUE_PI:
	case FUTEX_LOCK_PI2:
		return true;
	default:
		return false;
	}
}

bool thump_deadline_of(const struct thump_task *task, struct thump_deadline *deadline_ret)
{
	const struct user_regs_struct *regs = &task->regs;
	uint64_t clock_id = CLOCK_MONOTONIC, addr = 0;

	if (task->blocked_syscall != regs->rax)
		return false;
	switch (regs->rax) {
	case SYS_futex:
		addr = is_timed_futex(regs->rsi) ? regs->r10 : 0;
		break;
	case SYS_clock_nanosleep:
		clock_id = regs->rdi;
		addr = regs->rsi & TIMER_ABSTIME ? regs->rdx : 0;
		break;
	case SYS_futex_waitv:
		clock_id = regs->r8;
		addr = regs->r10;
		break;
	default:
		break;
	}
	*deadline_ret = (struct thump_deadline){ addr, clock_id == CLOCK_BOOTTIME };
	return addr != 0 && (clock_id == CLOCK_MONOTONIC || clock_id == CLOCK_BOOTTIME);
}
