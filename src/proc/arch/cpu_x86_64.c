/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/arch/cpu.h"

#include <cpuid.h>
#include <stdio.h>
#include <string.h>
#if __has_include(<sys/platform/x86.h>) /* glibc 2.33 */
#include <sys/platform/x86.h>
#define HAVE_CPUID_LEAVES
#endif

#define CPUID_1_ECX_OSXSAVE (1u << 27)

/* Names as in /proc/cpuinfo. Not listed: what only a kernel sees (vmx, pge, smep ...) and what
 * differs between CPUs of one machine or says nothing about instructions (ht, hypervisor). */
static const struct {
	uint8_t word, bit;
	char name[20];
} features[] = {
	{ THUMP_CPU_1_ECX, 0, "pni" },
	{ THUMP_CPU_1_ECX, 1, "pclmulqdq" },
	{ THUMP_CPU_1_ECX, 9, "ssse3" },
	{ THUMP_CPU_1_ECX, 12, "fma" },
	{ THUMP_CPU_1_ECX, 13, "cx16" },
	{ THUMP_CPU_1_ECX, 19, "sse4_1" },
	{ THUMP_CPU_1_ECX, 20, "sse4_2" },
	{ THUMP_CPU_1_ECX, 22, "movbe" },
	{ THUMP_CPU_1_ECX, 23, "popcnt" },
	{ THUMP_CPU_1_ECX, 25, "aes" },
	{ THUMP_CPU_1_ECX, 26, "xsave" },
	{ THUMP_CPU_1_ECX, 27, "osxsave" },
	{ THUMP_CPU_1_ECX, 28, "avx" },
	{ THUMP_CPU_1_ECX, 29, "f16c" },
	{ THUMP_CPU_1_ECX, 30, "rdrand" },
	{ THUMP_CPU_1_EDX, 0, "fpu" },
	{ THUMP_CPU_1_EDX, 4, "tsc" },
	{ THUMP_CPU_1_EDX, 8, "cx8" },
	{ THUMP_CPU_1_EDX, 15, "cmov" },
	{ THUMP_CPU_1_EDX, 19, "clflush" },
	{ THUMP_CPU_1_EDX, 23, "mmx" },
	{ THUMP_CPU_1_EDX, 24, "fxsr" },
	{ THUMP_CPU_1_EDX, 25, "sse" },
	{ THUMP_CPU_1_EDX, 26, "sse2" },
	{ THUMP_CPU_7_0_EBX, 0, "fsgsbase" },
	{ THUMP_CPU_7_0_EBX, 3, "bmi1" },
	{ THUMP_CPU_7_0_EBX, 4, "hle" },
	{ THUMP_CPU_7_0_EBX, 5, "avx2" },
	{ THUMP_CPU_7_0_EBX, 8, "bmi2" },
	{ THUMP_CPU_7_0_EBX, 9, "erms" },
	{ THUMP_CPU_7_0_EBX, 11, "rtm" },
	{ THUMP_CPU_7_0_EBX, 16, "avx512f" },
	{ THUMP_CPU_7_0_EBX, 17, "avx512dq" },
	{ THUMP_CPU_7_0_EBX, 18, "rdseed" },
	{ THUMP_CPU_7_0_EBX, 19, "adx" },
	{ THUMP_CPU_7_0_EBX, 21, "avx512ifma" },
	{ THUMP_CPU_7_0_EBX, 23, "clflushopt" },
	{ THUMP_CPU_7_0_EBX, 24, "clwb" },
	{ THUMP_CPU_7_0_EBX, 26, "avx512pf" },
	{ THUMP_CPU_7_0_EBX, 27, "avx512er" },
	{ THUMP_CPU_7_0_EBX, 28, "avx512cd" },
	{ THUMP_CPU_7_0_EBX, 29, "sha_ni" },
	{ THUMP_CPU_7_0_EBX, 30, "avx512bw" },
	{ THUMP_CPU_7_0_EBX, 31, "avx512vl" },
	{ THUMP_CPU_7_0_ECX, 0, "prefetchwt1" },
	{ THUMP_CPU_7_0_ECX, 1, "avx512vbmi" },
	{ THUMP_CPU_7_0_ECX, 4, "ospke" },
	{ THUMP_CPU_7_0_ECX, 5, "waitpkg" },
	{ THUMP_CPU_7_0_ECX, 6, "avx512_vbmi2" },
	{ THUMP_CPU_7_0_ECX, 8, "gfni" },
	{ THUMP_CPU_7_0_ECX, 9, "vaes" },
	{ THUMP_CPU_7_0_ECX, 10, "vpclmulqdq" },
	{ THUMP_CPU_7_0_ECX, 11, "avx512_vnni" },
	{ THUMP_CPU_7_0_ECX, 12, "avx512_bitalg" },
	{ THUMP_CPU_7_0_ECX, 14, "avx512_vpopcntdq" },
	{ THUMP_CPU_7_0_ECX, 22, "rdpid" },
	{ THUMP_CPU_7_0_ECX, 25, "cldemote" },
	{ THUMP_CPU_7_0_ECX, 27, "movdiri" },
	{ THUMP_CPU_7_0_ECX, 28, "movdir64b" },
	{ THUMP_CPU_7_0_EDX, 2, "avx512_4vnniw" },
	{ THUMP_CPU_7_0_EDX, 3, "avx512_4fmaps" },
	{ THUMP_CPU_7_0_EDX, 4, "fsrm" },
	{ THUMP_CPU_7_0_EDX, 8, "avx512_vp2intersect" },
	{ THUMP_CPU_7_0_EDX, 14, "serialize" },
	{ THUMP_CPU_7_0_EDX, 16, "tsxldtrk" },
	{ THUMP_CPU_7_0_EDX, 22, "amx_bf16" },
	{ THUMP_CPU_7_0_EDX, 23, "avx512_fp16" },
	{ THUMP_CPU_7_0_EDX, 24, "amx_tile" },
	{ THUMP_CPU_7_0_EDX, 25, "amx_int8" },
	{ THUMP_CPU_7_1_EAX, 0, "sha512" },
	{ THUMP_CPU_7_1_EAX, 1, "sm3" },
	{ THUMP_CPU_7_1_EAX, 2, "sm4" },
	{ THUMP_CPU_7_1_EAX, 4, "avx_vnni" },
	{ THUMP_CPU_7_1_EAX, 5, "avx512_bf16" },
	{ THUMP_CPU_7_1_EAX, 7, "cmpccxadd" },
	{ THUMP_CPU_7_1_EAX, 21, "amx_fp16" },
	{ THUMP_CPU_7_1_EAX, 23, "avx_ifma" },
	{ THUMP_CPU_7_1_EDX, 4, "avx_vnni_int8" },
	{ THUMP_CPU_7_1_EDX, 5, "avx_ne_convert" },
	{ THUMP_CPU_7_1_EDX, 8, "amx_complex" },
	{ THUMP_CPU_7_1_EDX, 10, "avx_vnni_int16" },
	{ THUMP_CPU_7_1_EDX, 14, "prefetchi" },
	{ THUMP_CPU_7_1_EDX, 19, "avx10" },
	{ THUMP_CPU_7_1_EDX, 21, "apx" },
	{ THUMP_CPU_D_1_EAX, 0, "xsaveopt" },
	{ THUMP_CPU_D_1_EAX, 1, "xsavec" },
	{ THUMP_CPU_D_1_EAX, 2, "xgetbv1" },
	{ THUMP_CPU_80000001_ECX, 0, "lahf_lm" },
	{ THUMP_CPU_80000001_ECX, 5, "abm" },
	{ THUMP_CPU_80000001_ECX, 6, "sse4a" },
	{ THUMP_CPU_80000001_ECX, 7, "misalignsse" },
	{ THUMP_CPU_80000001_ECX, 8, "3dnowprefetch" },
	{ THUMP_CPU_80000001_ECX, 11, "xop" },
	{ THUMP_CPU_80000001_ECX, 16, "fma4" },
	{ THUMP_CPU_80000001_ECX, 21, "tbm" },
	{ THUMP_CPU_80000001_EDX, 11, "syscall" },
	{ THUMP_CPU_80000001_EDX, 22, "mmxext" },
	{ THUMP_CPU_80000001_EDX, 27, "rdtscp" },
	{ THUMP_CPU_80000008_EBX, 0, "clzero" },
	{ THUMP_CPU_80000008_EBX, 9, "wbnoinvd" },
};

static void read_leaf(unsigned leaf, unsigned subleaf, uint32_t regs[4])
{
	memset(regs, 0, 4 * sizeof(regs[0]));
	(void)__get_cpuid_count(leaf, subleaf, &regs[0], &regs[1], &regs[2], &regs[3]);
}

/*
 * The instruction traps in a virtual machine, which takes longer than a system call. glibc has
 * executed it at its start, and keeps what it said.
 */
static void known_leaf(unsigned leaf, unsigned subleaf, uint32_t regs[4])
{
#ifdef HAVE_CPUID_LEAVES
	static const struct {
		uint32_t leaf, subleaf, index;
	} known[] = {
		{ 1, 0, CPUID_INDEX_1 },
		{ 7, 0, CPUID_INDEX_7 },
		{ 7, 1, CPUID_INDEX_7_ECX_1 },
		{ 0xd, 1, CPUID_INDEX_D_ECX_1 },
		{ 0x80000001, 0, CPUID_INDEX_80000001 },
		{ 0x80000008, 0, CPUID_INDEX_80000008 },
	};

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(known); i++) {
		if (known[i].leaf != leaf || known[i].subleaf != subleaf)
			continue;
		memcpy(regs, __x86_get_cpuid_feature_leaf(known[i].index)->cpuid_array,
		       4 * sizeof(regs[0]));
		return;
	}
#endif
	read_leaf(leaf, subleaf, regs);
}

void thump_cpu_words(uint32_t words_ret[THUMP_NR_CPU_WORDS])
{
	uint32_t masks[THUMP_NR_CPU_WORDS] = { 0 };
	uint32_t regs[4];

	known_leaf(1, 0, regs);
	words_ret[THUMP_CPU_1_ECX] = regs[2];
	words_ret[THUMP_CPU_1_EDX] = regs[3];
	known_leaf(7, 0, regs);
	words_ret[THUMP_CPU_7_0_EBX] = regs[1];
	words_ret[THUMP_CPU_7_0_ECX] = regs[2];
	words_ret[THUMP_CPU_7_0_EDX] = regs[3];
	known_leaf(7, 1, regs);
	words_ret[THUMP_CPU_7_1_EAX] = regs[0];
	words_ret[THUMP_CPU_7_1_EDX] = regs[3];
	known_leaf(0xd, 1, regs);
	words_ret[THUMP_CPU_D_1_EAX] = regs[0];
	known_leaf(0x80000001, 0, regs);
	words_ret[THUMP_CPU_80000001_ECX] = regs[2];
	words_ret[THUMP_CPU_80000001_EDX] = regs[3];
	known_leaf(0x80000008, 0, regs);
	words_ret[THUMP_CPU_80000008_EBX] = regs[1];
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(features); i++)
		masks[features[i].word] |= 1u << features[i].bit;
	for (size_t i = 0; i < THUMP_NR_CPU_WORDS; i++)
		words_ret[i] &= masks[i];
}

uint64_t thump_cpu_xcr0(void)
{
	uint32_t regs[4], low, high;

	known_leaf(1, 0, regs);
	if (!(regs[2] & CPUID_1_ECX_OSXSAVE))
		return 0;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

void thump_cpu_name(char name_ret[49])
{
	uint32_t regs[4];

	memset(name_ret, 0, 49);
	for (unsigned i = 0; i < 3; i++) {
		read_leaf(0x80000002 + i, 0, regs);
		memcpy(name_ret + (size_t)i * sizeof(regs), regs, sizeof(regs));
	}
}

static const char *feature_name(size_t word, unsigned bit)
{
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(features); i++) {
		if (features[i].word == word && features[i].bit == bit)
			return features[i].name;
	}
	return NULL;
}

static void append_feature(size_t word, unsigned bit, char *text, size_t size_bytes)
{
	const char *name = feature_name(word, bit);
	size_t used = strlen(text);

	if (name)
		(void)snprintf(text + used, size_bytes - used, "%s%s", used ? " " : "", name);
	else
		(void)snprintf(text + used, size_bytes - used, "%s%zu:%u", used ? " " : "", word,
			       bit);
}

unsigned thump_cpu_missing(const uint32_t *wanted, size_t nr_wanted,
			   const uint32_t here[THUMP_NR_CPU_WORDS], char *text_ret,
			   size_t size_bytes)
{
	unsigned count = 0;

	text_ret[0] = '\0';
	for (size_t word = 0; word < nr_wanted; word++) {
		uint32_t missing = wanted[word] & ~(word < THUMP_NR_CPU_WORDS ? here[word] : 0);

		for (unsigned bit = 0; bit < 32; bit++) {
			if (!(missing & 1u << bit))
				continue;
			append_feature(word, bit, text_ret, size_bytes);
			count++;
		}
	}
	return count;
}
