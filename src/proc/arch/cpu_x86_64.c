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

/* Intel SDM volume 1, 13.1: components of xsave. */
#define XCR0_X87_SSE  UINT64_C(0x3)
#define XCR0_AVX      UINT64_C(0x4)
#define XCR0_AVX512   UINT64_C(0xe0)
#define XFEATURE_PKRU 9
/* 13.4.2: the header of an area begins with those in use. */
#define XSTATE_BV_OFFSET 512
/* init_pkru of Linux (arch/x86/mm/pkeys.c): all keys but 0 give no access. */
#define DEFAULT_PKRU UINT32_C(0x55555554)

/* Names as in /proc/cpuinfo. Not listed: what only a kernel sees (vmx, pge, smep ...) and what
 * differs between CPUs of one machine or says nothing about instructions (ht, hypervisor). */
static const struct {
	uint8_t word, bit;
	uint8_t level; /* of the x86-64 psABI to which it belongs, or 0 */
	char name[20];
} features[] = {
	{ THUMP_CPU_1_ECX, 0, 2, "pni" },
	{ THUMP_CPU_1_ECX, 1, 0, "pclmulqdq" },
	{ THUMP_CPU_1_ECX, 9, 2, "ssse3" },
	{ THUMP_CPU_1_ECX, 12, 3, "fma" },
	{ THUMP_CPU_1_ECX, 13, 2, "cx16" },
	{ THUMP_CPU_1_ECX, 19, 2, "sse4_1" },
	{ THUMP_CPU_1_ECX, 20, 2, "sse4_2" },
	{ THUMP_CPU_1_ECX, 22, 3, "movbe" },
	{ THUMP_CPU_1_ECX, 23, 2, "popcnt" },
	{ THUMP_CPU_1_ECX, 25, 0, "aes" },
	{ THUMP_CPU_1_ECX, 26, 3, "xsave" },
	{ THUMP_CPU_1_ECX, 27, 3, "osxsave" },
	{ THUMP_CPU_1_ECX, 28, 3, "avx" },
	{ THUMP_CPU_1_ECX, 29, 3, "f16c" },
	{ THUMP_CPU_1_ECX, 30, 0, "rdrand" },
	{ THUMP_CPU_1_EDX, 0, 1, "fpu" },
	{ THUMP_CPU_1_EDX, 4, 1, "tsc" },
	{ THUMP_CPU_1_EDX, 8, 1, "cx8" },
	{ THUMP_CPU_1_EDX, 15, 1, "cmov" },
	{ THUMP_CPU_1_EDX, 19, 1, "clflush" },
	{ THUMP_CPU_1_EDX, 23, 1, "mmx" },
	{ THUMP_CPU_1_EDX, 24, 1, "fxsr" },
	{ THUMP_CPU_1_EDX, 25, 1, "sse" },
	{ THUMP_CPU_1_EDX, 26, 1, "sse2" },
	{ THUMP_CPU_7_0_EBX, 0, 0, "fsgsbase" },
	{ THUMP_CPU_7_0_EBX, 3, 3, "bmi1" },
	{ THUMP_CPU_7_0_EBX, 4, 0, "hle" },
	{ THUMP_CPU_7_0_EBX, 5, 3, "avx2" },
	{ THUMP_CPU_7_0_EBX, 8, 3, "bmi2" },
	{ THUMP_CPU_7_0_EBX, 9, 0, "erms" },
	{ THUMP_CPU_7_0_EBX, 11, 0, "rtm" },
	{ THUMP_CPU_7_0_EBX, 16, 4, "avx512f" },
	{ THUMP_CPU_7_0_EBX, 17, 4, "avx512dq" },
	{ THUMP_CPU_7_0_EBX, 18, 0, "rdseed" },
	{ THUMP_CPU_7_0_EBX, 19, 0, "adx" },
	{ THUMP_CPU_7_0_EBX, 21, 0, "avx512ifma" },
	{ THUMP_CPU_7_0_EBX, 23, 0, "clflushopt" },
	{ THUMP_CPU_7_0_EBX, 24, 0, "clwb" },
	{ THUMP_CPU_7_0_EBX, 26, 0, "avx512pf" },
	{ THUMP_CPU_7_0_EBX, 27, 0, "avx512er" },
	{ THUMP_CPU_7_0_EBX, 28, 4, "avx512cd" },
	{ THUMP_CPU_7_0_EBX, 29, 0, "sha_ni" },
	{ THUMP_CPU_7_0_EBX, 30, 4, "avx512bw" },
	{ THUMP_CPU_7_0_EBX, 31, 4, "avx512vl" },
	{ THUMP_CPU_7_0_ECX, 0, 0, "prefetchwt1" },
	{ THUMP_CPU_7_0_ECX, 1, 0, "avx512vbmi" },
	{ THUMP_CPU_7_0_ECX, 4, 0, "ospke" },
	{ THUMP_CPU_7_0_ECX, 5, 0, "waitpkg" },
	{ THUMP_CPU_7_0_ECX, 6, 0, "avx512_vbmi2" },
	{ THUMP_CPU_7_0_ECX, 8, 0, "gfni" },
	{ THUMP_CPU_7_0_ECX, 9, 0, "vaes" },
	{ THUMP_CPU_7_0_ECX, 10, 0, "vpclmulqdq" },
	{ THUMP_CPU_7_0_ECX, 11, 0, "avx512_vnni" },
	{ THUMP_CPU_7_0_ECX, 12, 0, "avx512_bitalg" },
	{ THUMP_CPU_7_0_ECX, 14, 0, "avx512_vpopcntdq" },
	{ THUMP_CPU_7_0_ECX, 22, 0, "rdpid" },
	{ THUMP_CPU_7_0_ECX, 25, 0, "cldemote" },
	{ THUMP_CPU_7_0_ECX, 27, 0, "movdiri" },
	{ THUMP_CPU_7_0_ECX, 28, 0, "movdir64b" },
	{ THUMP_CPU_7_0_EDX, 2, 0, "avx512_4vnniw" },
	{ THUMP_CPU_7_0_EDX, 3, 0, "avx512_4fmaps" },
	{ THUMP_CPU_7_0_EDX, 4, 0, "fsrm" },
	{ THUMP_CPU_7_0_EDX, 8, 0, "avx512_vp2intersect" },
	{ THUMP_CPU_7_0_EDX, 14, 0, "serialize" },
	{ THUMP_CPU_7_0_EDX, 16, 0, "tsxldtrk" },
	{ THUMP_CPU_7_0_EDX, 22, 0, "amx_bf16" },
	{ THUMP_CPU_7_0_EDX, 23, 0, "avx512_fp16" },
	{ THUMP_CPU_7_0_EDX, 24, 0, "amx_tile" },
	{ THUMP_CPU_7_0_EDX, 25, 0, "amx_int8" },
	{ THUMP_CPU_7_1_EAX, 0, 0, "sha512" },
	{ THUMP_CPU_7_1_EAX, 1, 0, "sm3" },
	{ THUMP_CPU_7_1_EAX, 2, 0, "sm4" },
	{ THUMP_CPU_7_1_EAX, 4, 0, "avx_vnni" },
	{ THUMP_CPU_7_1_EAX, 5, 0, "avx512_bf16" },
	{ THUMP_CPU_7_1_EAX, 7, 0, "cmpccxadd" },
	{ THUMP_CPU_7_1_EAX, 21, 0, "amx_fp16" },
	{ THUMP_CPU_7_1_EAX, 23, 0, "avx_ifma" },
	{ THUMP_CPU_7_1_EDX, 4, 0, "avx_vnni_int8" },
	{ THUMP_CPU_7_1_EDX, 5, 0, "avx_ne_convert" },
	{ THUMP_CPU_7_1_EDX, 8, 0, "amx_complex" },
	{ THUMP_CPU_7_1_EDX, 10, 0, "avx_vnni_int16" },
	{ THUMP_CPU_7_1_EDX, 14, 0, "prefetchi" },
	{ THUMP_CPU_7_1_EDX, 19, 0, "avx10" },
	{ THUMP_CPU_7_1_EDX, 21, 0, "apx" },
	{ THUMP_CPU_D_1_EAX, 0, 0, "xsaveopt" },
	{ THUMP_CPU_D_1_EAX, 1, 0, "xsavec" },
	{ THUMP_CPU_D_1_EAX, 2, 0, "xgetbv1" },
	{ THUMP_CPU_80000001_ECX, 0, 2, "lahf_lm" },
	{ THUMP_CPU_80000001_ECX, 5, 3, "abm" },
	{ THUMP_CPU_80000001_ECX, 6, 0, "sse4a" },
	{ THUMP_CPU_80000001_ECX, 7, 0, "misalignsse" },
	{ THUMP_CPU_80000001_ECX, 8, 0, "3dnowprefetch" },
	{ THUMP_CPU_80000001_ECX, 11, 0, "xop" },
	{ THUMP_CPU_80000001_ECX, 16, 0, "fma4" },
	{ THUMP_CPU_80000001_ECX, 21, 0, "tbm" },
	{ THUMP_CPU_80000001_EDX, 11, 1, "syscall" },
	{ THUMP_CPU_80000001_EDX, 22, 0, "mmxext" },
	{ THUMP_CPU_80000001_EDX, 27, 0, "rdtscp" },
	{ THUMP_CPU_80000008_EBX, 0, 0, "clzero" },
	{ THUMP_CPU_80000008_EBX, 9, 0, "wbnoinvd" },
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

/* ---- levels -------------------------------------------------------------------------------- */

void thump_cpu_level_words(int level, uint32_t words_ret[THUMP_NR_CPU_WORDS])
{
	memset(words_ret, 0, THUMP_NR_CPU_WORDS * sizeof(words_ret[0]));
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(features); i++)
		if (features[i].level && features[i].level <= level)
			words_ret[features[i].word] |= 1u << features[i].bit;
}

uint64_t thump_cpu_level_xcr0(int level)
{
	static const uint64_t components[THUMP_CPU_LEVELS + 1] = {
		[1] = XCR0_X87_SSE,
		[2] = XCR0_X87_SSE,
		[3] = XCR0_X87_SSE | XCR0_AVX,
		[4] = XCR0_X87_SSE | XCR0_AVX | XCR0_AVX512,
	};

	return components[level];
}

static bool has_all(const uint32_t *words, size_t nr_words, const uint32_t *wanted,
		    size_t nr_wanted)
{
	for (size_t i = 0; i < nr_wanted; i++)
		if (wanted[i] & ~(i < nr_words ? words[i] : 0))
			return false;
	return true;
}

int thump_cpu_level(void)
{
	uint32_t here[THUMP_NR_CPU_WORDS], wanted[THUMP_NR_CPU_WORDS];
	uint64_t xcr0 = thump_cpu_xcr0() | XCR0_X87_SSE; /* without xsave there are these, too */
	int level = THUMP_CPU_LEVELS;

	thump_cpu_words(here);
	for (; level > 1; level--) {
		thump_cpu_level_words(level, wanted);
		if (has_all(here, THUMP_NR_CPU_WORDS, wanted, THUMP_NR_CPU_WORDS) &&
		    !(thump_cpu_level_xcr0(level) & ~xcr0))
			break;
	}
	return level;
}

int thump_cpu_level_for(const uint32_t *wanted, size_t nr_wanted)
{
	uint32_t words[THUMP_NR_CPU_WORDS];

	for (int level = 1; level <= THUMP_CPU_LEVELS; level++) {
		thump_cpu_level_words(level, words);
		if (has_all(words, THUMP_NR_CPU_WORDS, wanted, nr_wanted))
			return level;
	}
	return 0;
}

/* ---- xsave areas --------------------------------------------------------------------------- */

uint64_t thump_xstate_in_use(const unsigned char *xstate, size_t size_bytes)
{
	uint64_t bits = 0;

	if (size_bytes >= XSTATE_BV_OFFSET + sizeof(bits))
		memcpy(&bits, xstate + XSTATE_BV_OFFSET, sizeof(bits));
	return bits;
}

void thump_xstate_drop_default_pkru(unsigned char *xstate, size_t size_bytes)
{
	uint64_t bits = thump_xstate_in_use(xstate, size_bytes);
	uint32_t regs[4], pkru;

	read_leaf(0xd, XFEATURE_PKRU, regs); /* ebx: its offset */
	if (!(bits >> XFEATURE_PKRU & 1) || regs[1] + sizeof(pkru) > size_bytes)
		return;
	memcpy(&pkru, xstate + regs[1], sizeof(pkru));
	if (pkru != DEFAULT_PKRU && pkru != 0) /* 0: without the component, as after this */
		return;
	bits &= ~(UINT64_C(1) << XFEATURE_PKRU);
	memcpy(xstate + XSTATE_BV_OFFSET, &bits, sizeof(bits));
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
