/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signal frame of x86-64 as rt_sigreturn(2) reads it: struct rt_sigframe of
 * arch/x86/include/asm/sigframe.h and restore_sigcontext() in arch/x86/kernel/signal_64.c.
 */
#include <asm/sigcontext.h>
#include <cpuid.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "trace/arch/arch.h"

#define UC_FP_XSTATE	     1
#define UC_SIGCONTEXT_SS     2
#define UC_STRICT_RESTORE_SS 4

#define FP_ALIGN	   64
#define LEGACY_SIZE	   512 /* FXSAVE area; XSAVE's header follows */
#define HEADER_SIZE	   64
#define XFEATURE_XTILECFG  17
#define XFEATURE_XTILEDATA 18 /* the one feature whose state the kernel allocates on use */

struct rt_sigframe {
	uint64_t pretcode;
	uint64_t uc_flags, uc_link;
	uint64_t stack_sp;
	uint32_t stack_flags, stack_pad;
	uint64_t stack_size;
	struct sigcontext_64 context;
	uint64_t sigmask;
	unsigned char siginfo[128];
};

/* Words between the call gadget's stack pointer and the frame, at most: pops, [pop rax][15]. */
#define MAX_CHAIN_WORDS 16

/* Where the kernel's own frames for this machine end, as CPUID leaf 0xd tells sizes. */
struct xstate_sizes {
	size_t normal; /* without the state that is allocated on first use */
	size_t full;
};

/* Where the last of this machine's features ends, as far as it is no feature of `without`. */
static size_t size_without(uint64_t without, size_t xstate_size)
{
	size_t size = LEGACY_SIZE + HEADER_SIZE;
	unsigned eax, ebx, ecx, edx;
	uint64_t features;

	if (!__get_cpuid_count(0xd, 0, &eax, &ebx, &ecx, &edx))
		return xstate_size;
	features = (eax | (uint64_t)edx << 32) & ~without;
	for (unsigned i = 2; i < 63; i++) {
		if (!(features >> i & 1))
			continue;
		if (!__get_cpuid_count(0xd, i, &eax, &ebx, &ecx, &edx) || (ecx & 1) || eax == 0)
			continue; /* ecx bit 0: supervisor state, never in user frames */
		if ((size_t)ebx + eax > size && (size_t)ebx + eax <= xstate_size)
			size = (size_t)ebx + eax;
	}
	return size;
}

static uint64_t features_in_use(const unsigned char *xstate)
{
	uint64_t in_use;

	memcpy(&in_use, xstate + LEGACY_SIZE, sizeof(in_use));
	return in_use;
}

static struct xstate_sizes xstate_sizes(size_t xstate_size)
{
	return (struct xstate_sizes){
		.normal = size_without(UINT64_C(1) << XFEATURE_XTILEDATA, xstate_size),
		.full = xstate_size,
	};
}

size_t thump_arch_xstate_used(const unsigned char *xstate, size_t xstate_size)
{
	const uint64_t tiles = UINT64_C(1) << XFEATURE_XTILECFG | UINT64_C(1) << XFEATURE_XTILEDATA;

	return features_in_use(xstate) & tiles ? xstate_size : size_without(tiles, xstate_size);
}

size_t thump_arch_chain_room(size_t xstate_size)
{
	return MAX_CHAIN_WORDS * sizeof(uint64_t) + sizeof(struct rt_sigframe) + 2 * FP_ALIGN +
	       xstate_size + FP_XSTATE_MAGIC2_SIZE;
}

static void fill_context(struct rt_sigframe *frame, const struct user_regs_struct *regs,
			 uint64_t fpstate)
{
	struct sigcontext_64 *sc = &frame->context;

	sc->r8 = regs->r8;
	sc->r9 = regs->r9;
	sc->r10 = regs->r10;
	sc->r11 = regs->r11;
	sc->r12 = regs->r12;
	sc->r13 = regs->r13;
	sc->r14 = regs->r14;
	sc->r15 = regs->r15;
	sc->di = regs->rdi;
	sc->si = regs->rsi;
	sc->bp = regs->rbp;
	sc->bx = regs->rbx;
	sc->dx = regs->rdx;
	sc->ax = regs->rax;
	sc->cx = regs->rcx;
	sc->sp = regs->rsp;
	sc->ip = regs->rip;
	sc->flags = regs->eflags;
	sc->cs = (uint16_t)regs->cs;
	sc->ss = (uint16_t)regs->ss;
	sc->fpstate = fpstate;
	frame->uc_flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	/* An unknown mode: restore_altstack() leaves the alternate stack alone ("squash all but
	 * EFAULT" in kernel/signal.c). */
	frame->stack_flags = 0x7fffffff;
}

/*
 * The kernel looks for FP_XSTATE_MAGIC2 behind the state at the size that *this thread's* state has
 * (check_xstate_in_sigframe() in arch/x86/kernel/fpu/signal.c). That is the full size only if the
 * thread has ever used tile registers, which cannot be seen from outside while they are empty. So
 * the magic goes to both places; where tiles hold data, only to the second.
 */
static size_t fill_xstate(unsigned char *to, const unsigned char *xstate,
			  const struct xstate_sizes *sizes)
{
	const uint32_t magic2 = FP_XSTATE_MAGIC2;
	struct _fpx_sw_bytes sw = { .magic1 = FP_XSTATE_MAGIC1 };
	size_t used =
		features_in_use(xstate) >> XFEATURE_XTILEDATA & 1 ? sizes->full : sizes->normal;
	memcpy(to, xstate, used);
	/* XCR0, which ptrace leaves here; the kernel cuts it down to what the thread may use. */
	memcpy(&sw.xfeatures, xstate + offsetof(struct _fpstate_64, sw_reserved),
	       sizeof(sw.xfeatures));
	sw.xstate_size = (uint32_t)used;
	sw.extended_size = (uint32_t)(used + FP_XSTATE_MAGIC2_SIZE);
	memcpy(to + offsetof(struct _fpstate_64, sw_reserved), &sw, sizeof(sw));
	memcpy(to + used, &magic2, sizeof(magic2));
	return used + sizeof(magic2);
}

/* What the call gadget pops and returns to; the last word may be the frame's own first one. */
static size_t fill_words(uint64_t *words, const struct thump_gadgets *gadgets, uint64_t *pretcode)
{
	size_t n = gadgets->syscall_pops;

	memset(words, 0, n * sizeof(*words));
	if (gadgets->sigreturn) {
		*pretcode = gadgets->sigreturn;
		return n;
	}
	words[n++] = gadgets->pop_nr_ret;
	words[n++] = SYS_rt_sigreturn;
	*pretcode = gadgets->syscall_ret;
	return n;
}

int thump_arch_build_chain(const struct thump_gadgets *gadgets, uint64_t top,
			   const struct user_regs_struct *regs, const unsigned char *xstate,
			   size_t xstate_size, uint64_t sigmask, struct thump_chain *chain_ret,
			   struct thump_err *err)
{
	const struct xstate_sizes sizes = xstate_sizes(xstate_size);
	uint64_t words[MAX_CHAIN_WORDS];
	struct rt_sigframe frame = { .sigmask = sigmask };
	const size_t nr_words = fill_words(words, gadgets, &frame.pretcode);
	const size_t words_size = nr_words * sizeof(words[0]);
	const uint64_t fpstate =
		(top - sizes.full - FP_XSTATE_MAGIC2_SIZE) & ~(uint64_t)(FP_ALIGN - 1);
	const uint64_t frame_addr = fpstate - sizeof(frame);
	const uint64_t start = frame_addr - words_size;
	unsigned char *bytes = calloc(1, thump_arch_chain_room(xstate_size));
	size_t used;

	if (!bytes)
		return thump_fail_errno(err, "build a signal frame");
	fill_context(&frame, regs, fpstate);
	memcpy(bytes, words, words_size);
	memcpy(bytes + words_size, &frame, sizeof(frame));
	used = fill_xstate(bytes + words_size + sizeof(frame), xstate, &sizes);
	*chain_ret = (struct thump_chain){
		.start = start,
		.bytes = bytes,
		.size_bytes = words_size + sizeof(frame) + used,
		.tail_addr = used < sizes.full ? fpstate + sizes.full : 0,
		.tail_word = FP_XSTATE_MAGIC2,
		.call_sp = start,
		/* As after the `ret` of a handler: rt_sigreturn finds its frame at rsp - 8. */
		.return_pc = gadgets->sigreturn ? gadgets->sigreturn : gadgets->pop_nr_ret,
		.return_sp = gadgets->sigreturn ? frame_addr + 8 : frame_addr - 8,
	};
	return 0;
}

/* ---- trains ------------------------------------------------------------------------------ */

/* All that lies between two calls. */
static size_t words_between(const struct thump_gadgets *gadgets)
{
	return 1 + gadgets->store_pops + 9;
}

size_t thump_arch_train_size(const struct thump_gadgets *gadgets, size_t count)
{
	return (count - 1) * (1 + words_between(gadgets)) * sizeof(uint64_t);
}

static uint64_t base_for(const struct thump_gadgets *gadgets, uint64_t result_addr)
{
	return result_addr - (uint64_t)(int64_t)gadgets->store_offset;
}

void thump_arch_fill_train(const struct thump_gadgets *gadgets, const struct thump_arch_call *calls,
			   size_t count, const struct thump_chain *chain, uint64_t *words,
			   struct user_regs_struct *regs)
{
	const uint64_t results = chain->call_sp - thump_arch_train_size(gadgets, count);
	const uint64_t args[6] = { calls[0].args[0], calls[0].args[1] };
	size_t n = count - 1; /* results come first */

	memset(words, 0, thump_arch_train_size(gadgets, count));
	for (size_t i = 1; i < count; i++) {
		words[n] = gadgets->store_ret;
		n += 1 + gadgets->store_pops;
		words[n++] = gadgets->pop_base_ret;
		words[n++] = base_for(gadgets, results + i * sizeof(uint64_t));
		words[n++] = gadgets->pop_arg0_ret;
		words[n++] = calls[i].args[0];
		words[n++] = gadgets->pop_arg1_ret;
		words[n++] = calls[i].args[1];
		words[n++] = gadgets->pop_nr_ret;
		words[n++] = (uint64_t)calls[i].nr;
		words[n++] = gadgets->syscall_ret;
	}
	/* No call changes the other arguments. */
	thump_arch_set_syscall(regs, gadgets->syscall_ret, results + (count - 1) * sizeof(uint64_t),
			       calls[0].nr, args);
	regs->rbx = base_for(gadgets, results);
}

/* ---- the end of a copy --------------------------------------------------------------------- */

int thump_arch_build_exit_chain(const struct thump_gadgets *gadgets, uint64_t top,
				const struct user_regs_struct *regs, struct thump_chain *chain_ret,
				struct thump_err *err)
{
	/* An XSAVE area in which no feature is in use: none needs more than its header. */
	static const unsigned char xstate[LEGACY_SIZE + HEADER_SIZE];
	const struct user_regs_struct exit_regs = {
		.rip = gadgets->syscall,
		.rax = SYS_exit_group,
		.rsp = top,
		.cs = regs->cs,
		.ss = regs->ss,
	};

	_Static_assert(MAX_CHAIN_WORDS * sizeof(uint64_t) + sizeof(struct rt_sigframe) +
				       2 * FP_ALIGN + sizeof(xstate) + FP_XSTATE_MAGIC2_SIZE <=
			       THUMP_EXIT_CHAIN_ROOM,
		       "see thump_arch_chain_room()");
	return thump_arch_build_chain(gadgets, top, &exit_regs, xstate, sizeof(xstate), UINT64_MAX,
				      chain_ret, err);
}
