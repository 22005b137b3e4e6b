/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/workers_arch.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "victim.h"

/* ---- registers ----------------------------------------------------------------------------- */

#define SPINS	   20000
#define RED_WORDS  16
#define NR_VECTORS 32

struct held {
	uint64_t gp[14];		 /* 0: rax rbx rcx rdx rsi rdi rbp r8-r13 r14; r15 spins */
	uint64_t red_zone[RED_WORDS];	 /* 112 */
	uint8_t vectors[NR_VECTORS][64]; /* 240 */
	uint32_t mxcsr, pad;		 /* 2288 */
};

void victim_spin_holding(const struct held *in, struct held *out, long spins, long wide);

/* wide: 1 = zmm0-31 (AVX-512), 0 = ymm0-15 (AVX). */
__asm__(".text\n"
	".globl victim_spin_holding\n"
	".type victim_spin_holding, @function\n"
	"victim_spin_holding:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	"
	"push %r15\n"
	"	push %rcx\n	push %rsi\n"
	"	mov %rdx, %r15\n"
	"	.set i, 0\n"
	"	.rept 16\n"
	"	mov 112 + 8 * i(%rdi), %rax\n"
	"	mov %rax, -128 + 8 * i(%rsp)\n"
	"	.set i, i + 1\n"
	"	.endr\n"
	"	ldmxcsr 2288(%rdi)\n"
	"	test %rcx, %rcx\n"
	"	jnz 1f\n"
	"	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"	vmovdqu 240 + 64 * \\n(%rdi), %ymm\\n\n"
	"	.endr\n"
	"	jmp 2f\n"
	"1:	.irp n, "
	"0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
	"	vmovdqu64 240 + 64 * \\n(%rdi), %zmm\\n\n"
	"	.endr\n"
	"2:	mov 0(%rdi), %rax\n	mov 8(%rdi), %rbx\n	mov 16(%rdi), %rcx\n"
	"	mov 24(%rdi), %rdx\n	mov 32(%rdi), %rsi\n	mov 48(%rdi), %rbp\n"
	"	mov 56(%rdi), %r8\n	mov 64(%rdi), %r9\n	mov 72(%rdi), %r10\n"
	"	mov 80(%rdi), %r11\n	mov 88(%rdi), %r12\n	mov 96(%rdi), %r13\n"
	"	mov 104(%rdi), %r14\n	mov 40(%rdi), %rdi\n"
	"3:	dec %r15\n"
	"	jnz 3b\n"
	"	mov %rdi, %r15\n" /* spins are over: r15 is free */
	"	mov (%rsp), %rdi\n"
	"	mov %rax, 0(%rdi)\n	mov %rbx, 8(%rdi)\n	mov %rcx, 16(%rdi)\n"
	"	mov %rdx, 24(%rdi)\n	mov %rsi, 32(%rdi)\n	mov %r15, 40(%rdi)\n"
	"	mov %rbp, 48(%rdi)\n	mov %r8, 56(%rdi)\n	mov %r9, 64(%rdi)\n"
	"	mov %r10, 72(%rdi)\n	mov %r11, 80(%rdi)\n	mov %r12, 88(%rdi)\n"
	"	mov %r13, 96(%rdi)\n	mov %r14, 104(%rdi)\n"
	"	.set i, 0\n"
	"	.rept 16\n"
	"	mov -128 + 8 * i(%rsp), %rax\n"
	"	mov %rax, 112 + 8 * i(%rdi)\n"
	"	.set i, i + 1\n"
	"	.endr\n"
	"	stmxcsr 2288(%rdi)\n"
	"	mov 8(%rsp), %rcx\n"
	"	test %rcx, %rcx\n"
	"	jnz 4f\n"
	"	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"	vmovdqu %ymm\\n, 240 + 64 * \\n(%rdi)\n"
	"	.endr\n"
	"	jmp 5f\n"
	"4:	.irp n, "
	"0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
	"	vmovdqu64 %zmm\\n, 240 + 64 * \\n(%rdi)\n"
	"	.endr\n"
	"5:	vzeroupper\n"
	"	movl $0x1f80, -8(%rsp)\n"
	"	ldmxcsr -8(%rsp)\n"
	"	pop %rsi\n	pop %rcx\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	"
	"pop %rbx\n"
	"	ret\n"
	".size victim_spin_holding, . - victim_spin_holding\n");

static bool has_wide_vectors(void)
{
	return __builtin_cpu_supports("avx512f") != 0;
}

static void compare_held(const struct held *in, const struct held *out)
{
	for (size_t i = 0; i < 14; i++) {
		if (in->gp[i] != out->gp[i])
			victim_error("registers", "general register %zu is %lx, not %lx", i,
				     out->gp[i], in->gp[i]);
	}
	if (memcmp(in->red_zone, out->red_zone, sizeof(in->red_zone)) != 0)
		victim_error("registers", "the red zone changed");
	if (memcmp(in->vectors, out->vectors, sizeof(in->vectors)) != 0)
		victim_error("registers", "a vector register changed");
	if (in->mxcsr != out->mxcsr)
		victim_error("registers", "mxcsr is %x, not %x", out->mxcsr, in->mxcsr);
}

void victim_hold_registers(void)
{
	static _Thread_local uint64_t round;
	const bool wide = has_wide_vectors();
	struct held in = { .mxcsr = 0x7f80 }; /* round towards zero, all masked */
	struct held out = { .mxcsr = 0 };

	round++;
	for (size_t i = 0; i < 14; i++)
		in.gp[i] = round * 0x9e3779b97f4a7c15 + i;
	for (size_t i = 0; i < RED_WORDS; i++)
		in.red_zone[i] = ~round - i;
	for (size_t i = 0; i < (wide ? 32 : 16); i++)
		memset(in.vectors[i], (int)(round * 31 + i), wide ? 64 : 32);
	victim_spin_holding(&in, &out, SPINS, wide);
	compare_held(&in, &out);
}

__attribute__((target("avx"))) void victim_scribble_registers(void)
{
	__asm__ volatile("vpxor %%xmm0, %%xmm0, %%xmm0\n vpxor %%xmm7, %%xmm7, %%xmm7\n"
			 "vzeroall\n fninit\n" ::
				 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
				   "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
				   "xmm15", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10",
				   "r11");
}

/* ---- tiles --------------------------------------------------------------------------------- */

#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_XTILEDATA  18
#define TILE_ROWS	    16
#define TILE_ROW_BYTES	    64

static _Thread_local bool have_tiles;

void victim_set_up_tiles(void)
{
	have_tiles = syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

static void hold_tile(int round)
{
	static _Thread_local uint8_t in[TILE_ROWS][TILE_ROW_BYTES], out[TILE_ROWS][TILE_ROW_BYTES];
	struct {
		uint8_t palette, start_row, reserved[14];
		uint16_t colsb[16];
		uint8_t rows[16];
	} __attribute__((aligned(64))) config = { .palette = 1 };

	config.colsb[0] = TILE_ROW_BYTES;
	config.rows[0] = TILE_ROWS;
	memset(in, round, sizeof(in));
	/* ldtilecfg (rax); tileloadd (rdx,rcx), tmm0; spin; tilestored tmm0, (rdi,rcx); release */
	__asm__ volatile(".byte 0xc4, 0xe2, 0x78, 0x49, 0x00\n"
			 ".byte 0xc4, 0xe2, 0x7b, 0x4b, 0x04, 0x0a\n"
			 "1: dec %%rsi\n jnz 1b\n"
			 ".byte 0xc4, 0xe2, 0x7a, 0x4b, 0x04, 0x0f\n"
			 ".byte 0xc4, 0xe2, 0x78, 0x49, 0xc0\n"
			 : "+S"((long){ SPINS })
			 : "a"(&config), "d"(in), "D"(out), "c"((long)TILE_ROW_BYTES)
			 : "memory");
	if (memcmp(in, out, sizeof(in)) != 0)
		victim_error("tiles", "a tile register changed");
}

void victim_hold_tiles(void)
{
	/* Between rounds the state is allocated but empty: both layouts of the frame are used. */
	for (int round = 0; have_tiles && round < 20; round++)
		hold_tile(round);
}

/* ---- restartable sequences ----------------------------------------------------------------- */

#define MAX_CPUS 1024

static struct {
	volatile unsigned long count;
	char pad[56];
} per_cpu[MAX_CPUS];

static struct rseq *own_rseq(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

unsigned long victim_rseq_add(void)
{
	struct rseq *rseq = own_rseq();
	const uint32_t cpu = *(volatile uint32_t *)&rseq->cpu_id_start;

	if (cpu >= MAX_CPUS)
		return 0;
	/* Load, spin, store: a sequence that went on after another thread's would lose counts. */
	__asm__ goto(".pushsection __rseq_cs, \"aw\"\n"
		     "	.balign 32\n"
		     "3:	.long 0, 0\n"
		     "	.quad 1f, 2f - 1f, 4f\n"
		     "	.popsection\n"
		     "	lea 3b(%%rip), %%rax\n"
		     "	mov %%rax, 8(%[rseq])\n"
		     "1:	cmp %[cpu], 4(%[rseq])\n"
		     "	jne 4f\n"
		     "	mov (%[count]), %%rax\n"
		     "	mov $2000, %%ecx\n"
		     "5:	dec %%ecx\n"
		     "	jnz 5b\n"
		     "	inc %%rax\n"
		     "	mov %%rax, (%[count])\n"
		     "2:\n"
		     "	.pushsection .text.unlikely, \"ax\"\n"
		     "	.byte 0x0f, 0xb9, 0x3d\n"
		     "	.long 0x53053053\n"
		     "4:	jmp %l[aborted]\n"
		     "	.popsection\n" ::[rseq] "r"(rseq),
		     [cpu] "r"(cpu), [count] "r"(&per_cpu[cpu].count)
		     : "rax", "rcx", "memory", "cc"
		     : aborted);
	return 1;
aborted:
	return 0;
}

unsigned long victim_rseq_sum(void)
{
	unsigned long sum = 0;

	for (int i = 0; i < MAX_CPUS; i++)
		sum += per_cpu[i].count;
	return sum;
}
