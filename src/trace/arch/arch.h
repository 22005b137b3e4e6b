/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that src/trace knows about a CPU and its system call ABI. One set of files implements it per
 * architecture (x86_64_*.c).
 */
#ifndef THUMP_TRACE_ARCH_H
#define THUMP_TRACE_ARCH_H

#include <sys/user.h>

#include "base/err.h"

#define THUMP_NO_SYSCALL UINT32_MAX

/* ---- registers (x86_64_regs.c) --------------------------------------------------------- */

bool thump_arch_is_native(const struct user_regs_struct *regs); /* no 32-bit code */
uint64_t thump_arch_pc(const struct user_regs_struct *regs);
void thump_arch_set_pc(struct user_regs_struct *regs, uint64_t pc);
uint64_t thump_arch_sp(const struct user_regs_struct *regs);

/* A system call through the instruction at pc; nothing for the kernel to restart. */
void thump_arch_set_syscall(struct user_regs_struct *regs, uint64_t pc, uint64_t sp, long nr,
			    const uint64_t args[6]);
long thump_arch_result(const struct user_regs_struct *regs);

/* A function entered at pc with one argument. */
void thump_arch_set_entry(struct user_regs_struct *regs, uint64_t pc, uint64_t sp, uint64_t arg);

/* The kernel's error codes for "this call is to be restarted" never reach the program. */
bool thump_arch_is_restart_code(long result);

/* ---- interrupted system calls (x86_64_restart.c) --------------------------------------- */

/* What a stop did to a thread, as its registers in the stop show it. */
enum thump_interruption {
	THUMP_NOT_INTERRUPTED = 0,    /* it was not blocked in a system call */
	THUMP_WILL_RESTART,	      /* the kernel restarts the call, whatever comes */
	THUMP_RESTART_UNLESS_HANDLER, /* the kernel restarts it unless a handler is to run first */
	THUMP_RESTART_BLOCK,	      /* the same, and the deadline lives in the kernel only */
};

/*
 * Some calls end with EINTR after a stop, although there is no signal; signal(7), "Interruption of
 * system calls and library functions by stop signals". Turns that result into the kernel's own code
 * for "restart unless a handler runs": a signal that is due now or comes until the thread goes on
 * still makes it EINTR, as it would have without us. True when regs were changed.
 */
bool thump_arch_undo_eintr(struct user_regs_struct *regs);

enum thump_interruption thump_arch_interruption(const struct user_regs_struct *regs);

/* The call a thread is blocked in, or THUMP_NO_SYSCALL. */
uint32_t thump_arch_blocked_syscall(const struct user_regs_struct *regs);

/*
 * A call with a restart block that was interrupted before goes on as restart_syscall(2): registers
 * then say nothing about which call it was. Tells from the code in front of the program counter,
 * else from the kernel function that the thread slept in (wchan, "" if unknown); THUMP_NO_SYSCALL
 * when both fail. Only poll(2), futex(2) and the two sleeps have restart blocks.
 */
#define THUMP_CODE_BEFORE 16
bool thump_arch_is_restart_syscall(uint32_t nr);
uint32_t thump_arch_restarted_syscall(const struct user_regs_struct *regs,
				      const unsigned char code_before[THUMP_CODE_BEFORE],
				      const char *wchan);

/* Has the call a relative timeout in a register that time slept can be taken off? */
bool thump_arch_timeout_in_register(uint32_t nr);
/* Takes slept_ns off, if the call is one of those; never below 0. */
void thump_arch_shorten_timeout(struct user_regs_struct *regs, uint32_t nr, uint64_t slept_ns);

/*
 * Registers that go on without the kernel's restart logic: they re-enter call nr, or return EINTR
 * from it when handler_due says that a handler will run first, or when nr is restart_syscall(2),
 * which nothing but the kernel can call. A relative
 * nanosleep(2) with a pointer for the remainder goes on with the remainder that the kernel has just
 * stored there.
 */
struct user_regs_struct thump_arch_image_regs(const struct user_regs_struct *regs, uint32_t nr,
					      bool handler_due);

/* ---- gadgets (x86_64_gadget.c) --------------------------------------------------------- */

/* Instructions found in the target's executable memory; 0 = not found. */
struct thump_gadgets {
	uint64_t syscall;      /* any `syscall` */
	uint64_t syscall_ret;  /* syscall; n pops; ret */
	unsigned syscall_pops; /* n */
	uint64_t sigreturn;    /* mov $15, %eax; syscall */
	uint64_t pop_nr_ret;   /* pop %rax; ret */
	/* Calls can do without the rest, but trains cannot. */
	uint64_t pop_arg0_ret, pop_arg1_ret; /* pop %rdi; ret. pop %rsi; ret */
	uint64_t pop_base_ret;		     /* pop %rbx; ret */
	uint64_t store_ret;		     /* mov %rax, store_offset(%rbx); n pops; ret */
	int store_offset;
	unsigned store_pops; /* n */
};

/* Looks at `size_bytes` of code that lies at `addr` and fills what is still missing. */
void thump_arch_find_gadgets(const unsigned char *code, size_t size_bytes, uint64_t addr,
			     struct thump_gadgets *gadgets);
/* Enough of them for a chain. */
bool thump_arch_gadgets_complete(const struct thump_gadgets *gadgets);

/* ---- signal frame (x86_64_frame.c) ----------------------------------------------------- */

/*
 * A chain: [what `ret` of the call gadget needs][signal frame][extended state]. It is written as
 * one piece `bytes` at `start`, and one word of four bytes at tail_addr (0: none).
 */
struct thump_chain {
	uint64_t start;
	unsigned char *bytes; /* heap, the caller frees */
	size_t size_bytes;
	uint64_t tail_addr;
	uint32_t tail_word;
	uint64_t call_sp;   /* rsp for a call through syscall_ret */
	uint64_t return_pc; /* with return_sp: straight back to the original state */
	uint64_t return_sp;
};

/* How much of NT_X86_XSTATE says anything: without the tile registers at its end, 8 KB, where they
 * are not in use. Everything before them stays, which is the size that debuggers expect. */
size_t thump_arch_xstate_used(const unsigned char *xstate, size_t xstate_size);

/* Room a chain may need below the address it is built under. */
size_t thump_arch_chain_room(size_t xstate_size);

/* Bytes below the stack pointer that belong to the function that runs. */
#define THUMP_RED_ZONE ((uint64_t)128)

/* Builds the chain that restores regs, xstate and sigmask by rt_sigreturn(2), ending below top. */
THUMP_MUST_CHECK int thump_arch_build_chain(const struct thump_gadgets *gadgets, uint64_t top,
					    const struct user_regs_struct *regs,
					    const unsigned char *xstate, size_t xstate_size,
					    uint64_t sigmask, struct thump_chain *chain_ret,
					    struct thump_err *err);

/*
 * A train of calls, right below a chain: a thread makes them without a stop in between, and comes
 * through the last one to where the chain leads. What all but the last return is stored at the low
 * end of the train, a word for each. They have two arguments at most, the others are 0. No frame
 * lies between them: rt_sigreturn(2) forgets what an interrupted call needs to be restarted.
 */
struct thump_arch_call {
	long nr;
	uint64_t args[2];
};

bool thump_arch_gadgets_run_trains(const struct thump_gadgets *gadgets);
/* Of two calls or more. */
size_t thump_arch_train_size(const struct thump_gadgets *gadgets, size_t count);
/* Fills words of that size, and sets regs to make the first call. */
void thump_arch_fill_train(const struct thump_gadgets *gadgets, const struct thump_arch_call *calls,
			   size_t count, const struct thump_chain *chain, uint64_t *words,
			   struct user_regs_struct *regs);

/* Enough for a chain that ends its process. */
#define THUMP_EXIT_CHAIN_ROOM ((size_t)1280)

/* A chain for a process that is never to run: it makes exit_group(2) and nothing else. Of regs only
 * the segments count. */
THUMP_MUST_CHECK int thump_arch_build_exit_chain(const struct thump_gadgets *gadgets, uint64_t top,
						 const struct user_regs_struct *regs,
						 struct thump_chain *chain_ret,
						 struct thump_err *err);

#endif
