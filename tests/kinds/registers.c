/* SPDX-License-Identifier: Apache-2.0 */
/*
 * General, x87, SSE, AVX and (where the CPU has them) AVX-512 registers, MXCSR, the x87 control
 * word and the rights of protection keys (PKRU) of threads that never leave user space: each loads
 * patterns, spins on a word in memory, and stores what it then finds.
 */
#include "workload.h"

#include <cpuid.h>
#include <pthread.h>

struct image {
	uint64_t gp[14];
	unsigned char vectors[32 * 64];
	uint64_t masks[8];
	long double x87[4];
	uint32_t mxcsr, key_rights;
	uint16_t x87_control;
} __attribute__((aligned(64)));

struct spinner {
	struct image in, out;
	volatile uint32_t running, go_on;
	bool wide; /* AVX-512 */
	pthread_t thread;
};

/* Every register but rsp and rdi (the spinner) is part of the test. */
#define SPIN_HEAD                                                                                  \
	"push %%rbp\n push %%rbx\n"                                                                \
	"fninit\n fldcw %c[in_cw](%%rdi)\n"                                                        \
	"fldt %c[in_x87]+0(%%rdi)\n"                                                               \
	"fldt %c[in_x87]+16(%%rdi)\n"                                                              \
	"fldt %c[in_x87]+32(%%rdi)\n"                                                              \
	"fldt %c[in_x87]+48(%%rdi)\n"                                                              \
	"ldmxcsr %c[in_mxcsr](%%rdi)\n"
#define LOAD_GP(n, reg)	 "mov %c[in_gp]+8*" #n "(%%rdi), %%" #reg "\n"
#define STORE_GP(n, reg) "mov %%" #reg ", %c[out_gp]+8*" #n "(%%rdi)\n"
#define ALL_GP(do)                                                                                 \
	do                                                                                         \
	(0, rax) do(1, rbx) do(2, rcx) do(3, rdx) do(4, rsi) do(5, rbp) do(6, r8) do(7, r9) do(    \
		8, r10) do(9, r11) do(10, r12) do(11, r13) do(12, r14) do(13, r15)
#define LOAD_Y(n)  "vmovdqu %c[in_v]+64*" #n "(%%rdi), %%ymm" #n "\n"
#define STORE_Y(n) "vmovdqu %%ymm" #n ", %c[out_v]+64*" #n "(%%rdi)\n"
#define LOAD_Z(n)  "vmovdqu64 %c[in_v]+64*" #n "(%%rdi), %%zmm" #n "\n"
#define STORE_Z(n) "vmovdqu64 %%zmm" #n ", %c[out_v]+64*" #n "(%%rdi)\n"
#define LOAD_X(n)  "movdqu %c[in_v]+64*" #n "(%%rdi), %%xmm" #n "\n"
#define STORE_X(n) "movdqu %%xmm" #n ", %c[out_v]+64*" #n "(%%rdi)\n"
#define LOAD_K(n)  "kmovq %c[in_k]+8*" #n "(%%rdi), %%k" #n "\n"
#define STORE_K(n) "kmovq %%k" #n ", %c[out_k]+8*" #n "(%%rdi)\n"
#define FIRST_16(do)                                                                               \
	do                                                                                         \
	(0) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9) do(10) do(11) do(12) do(13) do(  \
		14) do(15)
#define LAST_16(do)                                                                                \
	do                                                                                         \
	(16) do(17) do(18) do(19) do(20) do(21) do(22) do(23) do(24) do(25) do(26) do(27) do(      \
		28) do(29) do(30) do(31)
#define MASKS(do)                                                                                  \
	do                                                                                         \
	(1) do(2) do(3) do(4) do(5) do(6) do(7)
#define SPIN                                                                                       \
	"movl $1, %c[running](%%rdi)\n"                                                            \
	"1: pause\n cmpl $0, %c[go_on](%%rdi)\n je 1b\n"
#define SPIN_TAIL                                                                                  \
	"stmxcsr %c[out_mxcsr](%%rdi)\n"                                                           \
	"fnstcw %c[out_cw](%%rdi)\n"                                                               \
	"fstpt %c[out_x87]+48(%%rdi)\n"                                                            \
	"fstpt %c[out_x87]+32(%%rdi)\n"                                                            \
	"fstpt %c[out_x87]+16(%%rdi)\n"                                                            \
	"fstpt %c[out_x87]+0(%%rdi)\n"                                                             \
	"pop %%rbx\n pop %%rbp\n"

#define OFFSETS                                                                                    \
	[in_gp] "i"(offsetof(struct spinner, in.gp)),                                              \
		[out_gp] "i"(offsetof(struct spinner, out.gp)),                                    \
		[in_v] "i"(offsetof(struct spinner, in.vectors)),                                  \
		[out_v] "i"(offsetof(struct spinner, out.vectors)),                                \
		[in_k] "i"(offsetof(struct spinner, in.masks)),                                    \
		[out_k] "i"(offsetof(struct spinner, out.masks)),                                  \
		[in_x87] "i"(offsetof(struct spinner, in.x87)),                                    \
		[out_x87] "i"(offsetof(struct spinner, out.x87)),                                  \
		[in_mxcsr] "i"(offsetof(struct spinner, in.mxcsr)),                                \
		[out_mxcsr] "i"(offsetof(struct spinner, out.mxcsr)),                              \
		[in_cw] "i"(offsetof(struct spinner, in.x87_control)),                             \
		[out_cw] "i"(offsetof(struct spinner, out.x87_control)),                           \
		[running] "i"(offsetof(struct spinner, running)),                                  \
		[go_on] "i"(offsetof(struct spinner, go_on))

/* rbx and rbp are saved by hand; the rest is clobbered. The red zone is not used: the pushes lie
 * below rsp - 128. */
#define CLOBBERED                                                                                  \
	"rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",          \
		"memory", "cc"
#define RUN(vector_load, vector_store, spinner)                                                    \
	__asm__ volatile("sub $128, %%rsp\n" SPIN_HEAD vector_load ALL_GP(LOAD_GP)                 \
				 SPIN ALL_GP(STORE_GP) vector_store SPIN_TAIL "add $128, %%rsp\n"  \
			 :                                                                         \
			 : "D"(spinner), OFFSETS                                                   \
			 : CLOBBERED)

enum vectors { SSE, AVX, AVX512 };

static enum vectors best_vectors(void)
{
	uint32_t a, b, c, d, xcr0;

	if (!__builtin_cpu_supports("avx"))
		return SSE;
	if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw"))
		return AVX;
	if (!__get_cpuid(1, &a, &b, &c, &d))
		return AVX;
	__asm__ volatile("xgetbv" : "=a"(xcr0) : "c"(0) : "edx");
	return (xcr0 & 0xe6) == 0xe6 ? AVX512 : AVX;
}

/* OSPKE: the processor has protection keys, and the kernel uses them. */
static bool has_keys(void)
{
	uint32_t a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & 1U << 4);
}

static void write_key_rights(uint32_t rights)
{
	__asm__ volatile("wrpkru" : : "a"(rights), "c"(0), "d"(0));
}

static uint32_t read_key_rights(void)
{
	uint32_t rights, d;

	__asm__ volatile("rdpkru" : "=a"(rights), "=d"(d) : "c"(0));
	return rights;
}

static void *spin(void *arg)
{
	struct spinner *spinner = arg;

	if (has_keys())
		write_key_rights(spinner->in.key_rights);
	switch (best_vectors()) {
	case SSE:
		RUN(FIRST_16(LOAD_X), FIRST_16(STORE_X), spinner);
		break;
	case AVX:
		RUN(FIRST_16(LOAD_Y), FIRST_16(STORE_Y), spinner);
		break;
	case AVX512:
		RUN(FIRST_16(LOAD_Z) LAST_16(LOAD_Z) MASKS(LOAD_K),
		    FIRST_16(STORE_Z) LAST_16(STORE_Z) MASKS(STORE_K), spinner);
		break;
	}
	if (has_keys())
		spinner->out.key_rights = read_key_rights();
	return NULL;
}

static void fill(struct image *image, uint32_t seed)
{
	fill_pattern(image->gp, sizeof(image->gp), seed);
	fill_pattern(image->vectors, sizeof(image->vectors), seed + 1);
	fill_pattern(image->masks, sizeof(image->masks), seed + 2);
	for (size_t i = 0; i < NR_OF(image->x87); i++)
		image->x87[i] = (long double)(seed * 10 + i) / 3;
	image->mxcsr = 0x1f80 | 0x6000 * (seed & 1) | 0x8000; /* rounding, flush to zero */
	image->key_rights = 0x9e3779b8U * seed & ~3U;	      /* key 0 is that of all memory */
	image->x87_control = (uint16_t)(0x037f | (seed & 3) << 10);
}

static void check(const struct spinner *spinner)
{
	static const size_t widths[] = { [SSE] = 16, [AVX] = 32, [AVX512] = 64 };
	enum vectors vectors = best_vectors();

	for (size_t i = 0; i < NR_OF(spinner->in.gp); i++)
		CHECK_EQ(spinner->out.gp[i], spinner->in.gp[i]);
	for (size_t i = 0; i < (vectors == AVX512 ? 32u : 16u); i++)
		if (memcmp(spinner->out.vectors + 64 * i, spinner->in.vectors + 64 * i,
			   widths[vectors]) != 0)
			FAIL("vector register %zu differs", i);
	for (size_t i = 1; vectors == AVX512 && i < NR_OF(spinner->in.masks); i++)
		CHECK_EQ(spinner->out.masks[i], spinner->in.masks[i]);
	for (size_t i = 0; i < NR_OF(spinner->in.x87); i++)
		if (memcmp(&spinner->out.x87[i], &spinner->in.x87[i], 10) != 0)
			FAIL("x87 register %zu differs", i);
	if (has_keys())
		CHECK_EQ(spinner->out.key_rights, spinner->in.key_rights);
	CHECK_EQ(spinner->out.mxcsr, spinner->in.mxcsr);
	CHECK_EQ(spinner->out.x87_control, spinner->in.x87_control);
}

int main(void)
{
	static struct spinner spinners[2];

	workload_init();
	for (uint32_t i = 0; i < NR_OF(spinners); i++) {
		fill(&spinners[i].in, 5 + i);
		MUST_PTHREAD(pthread_create(&spinners[i].thread, NULL, spin, &spinners[i]));
		while (spinners[i].running == 0)
			__builtin_ia32_pause();
	}

	workload_checkpoint();

	for (uint32_t i = 0; i < NR_OF(spinners); i++) {
		spinners[i].go_on = 1;
		MUST_PTHREAD(pthread_join(spinners[i].thread, NULL));
		check(&spinners[i]);
	}
	workload_pass();
}
