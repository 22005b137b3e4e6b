/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/levels.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

/* Intel SDM volume 2, CPUID; the levels are those of the x86-64 psABI. */
enum {
	LEAF1_ECX_V2 = bit_SSE3 | bit_SSSE3 | bit_CMPXCHG16B | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT,
	LEAF1_ECX_V3 = bit_FMA | bit_MOVBE | bit_OSXSAVE | bit_AVX | bit_F16C,
	LEAF7_EBX_V3 = bit_AVX2 | bit_BMI | bit_BMI2,
	EXTENDED_ECX_V2 = bit_LAHF_LM,
	EXTENDED_ECX_V3 = bit_LZCNT,
	XCR0_AVX = 0x6,
	XCR0_AVX512 = 0xe6,
};
static const unsigned leaf7_ebx_v4 = (unsigned)bit_AVX512F | (unsigned)bit_AVX512BW |
				     (unsigned)bit_AVX512CD | (unsigned)bit_AVX512DQ |
				     (unsigned)bit_AVX512VL;

struct words {
	unsigned leaf1_ecx, leaf7_ebx, extended_ecx, xcr0;
};

static struct words read_words(void)
{
	unsigned eax, ebx, ecx, edx;
	struct words words = { 0 };

	if (__get_cpuid(1, &eax, &ebx, &ecx, &edx))
		words.leaf1_ecx = ecx;
	if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
		words.leaf7_ebx = ebx;
	if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx))
		words.extended_ecx = ecx;
	/* The kernel must save the registers, too: xgetbv, which is there with OSXSAVE. */
	if (words.leaf1_ecx & bit_OSXSAVE) {
		__asm__("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
		words.xcr0 = eax;
	}
	return words;
}

static bool all(unsigned value, unsigned wanted)
{
	return (value & wanted) == wanted;
}

int thump_cpu_level(void)
{
	const struct words words = read_words();

	if (!all(words.leaf1_ecx, LEAF1_ECX_V2) || !all(words.extended_ecx, EXTENDED_ECX_V2))
		return 1;
	if (!all(words.leaf1_ecx, LEAF1_ECX_V3) || !all(words.leaf7_ebx, LEAF7_EBX_V3) ||
	    !all(words.extended_ecx, EXTENDED_ECX_V3) || !all(words.xcr0, XCR0_AVX))
		return 2;
	return all(words.leaf7_ebx, leaf7_ebx_v4) && all(words.xcr0, XCR0_AVX512) ? 4 : 3;
}
#else
int thump_cpu_level(void)
{
	return 1;
}
#endif

bool thump_has_level(const char *pattern)
{
	return strstr(pattern, "%f") != NULL;
}

const char *thump_level_path(struct thump_arena *arena, const char *pattern, int level)
{
	const char *at = strstr(pattern, "%f");

	if (!at)
		return pattern;
	return thump_arena_printf(arena, "%.*sx86-64-v%d%s", (int)(at - pattern), pattern, level,
				  at + strlen("%f"));
}
