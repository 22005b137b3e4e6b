/* SPDX-License-Identifier: Apache-2.0 */
#include <cpuid.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proc/arch/cpu.h"

#define BITS_7_0_EBX	  (1u << 3 | 1u << 5 | 1u << 8 | 1u << 16) /* bmi1 avx2 bmi2 avx512f */
#define BITS_D_1_EAX	  7u					   /* xsaveopt xsavec xgetbv1 */
#define BITS_80000001_ECX (1u << 0 | 1u << 5)			   /* lahf_lm abm */

static void nothing_is_missing_on_the_same_machine(void **state)
{
	uint32_t words[THUMP_NR_CPU_WORDS];
	char text[100], name[49];

	(void)state;
	thump_cpu_words(words);
	thump_cpu_name(name);
	assert_true(words[THUMP_CPU_1_EDX] & 1u << 26); /* sse2: part of x86-64 */
	assert_int_equal(thump_cpu_missing(words, THUMP_NR_CPU_WORDS, words, text, sizeof(text)),
			 0);
	assert_string_equal(text, "");
	assert_true(strlen(name) < sizeof(name));
}

/* They may be known without asking the processor; it would say the same. */
static void words_are_what_the_processor_says(void **state)
{
	uint32_t words[THUMP_NR_CPU_WORDS], eax = 0, ebx = 0, ecx = 0, edx = 0;

	(void)state;
	thump_cpu_words(words);
	assert_true(__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx));
	assert_int_equal(words[THUMP_CPU_7_0_EBX] & ~ebx, 0);
	assert_int_equal(words[THUMP_CPU_7_0_EBX] & BITS_7_0_EBX, ebx & BITS_7_0_EBX);
	assert_true(__get_cpuid_count(0xd, 1, &eax, &ebx, &ecx, &edx));
	assert_int_equal(words[THUMP_CPU_D_1_EAX] & BITS_D_1_EAX, eax & BITS_D_1_EAX);
	assert_true(__get_cpuid_count(0x80000001, 0, &eax, &ebx, &ecx, &edx));
	assert_int_equal(words[THUMP_CPU_80000001_ECX] & BITS_80000001_ECX,
			 ecx & BITS_80000001_ECX);
}

static void missing_features_are_named(void **state)
{
	uint32_t wanted[THUMP_NR_CPU_WORDS + 1] = { 0 }, here[THUMP_NR_CPU_WORDS] = { 0 };
	char text[100], tiny[8];

	(void)state;
	wanted[THUMP_CPU_7_0_EBX] = 1u << 5 | 1u << 16;
	here[THUMP_CPU_7_0_EBX] = 1u << 5;
	wanted[THUMP_NR_CPU_WORDS] = 2; /* of a newer format */
	assert_int_equal(
		thump_cpu_missing(wanted, THUMP_NR_CPU_WORDS + 1, here, text, sizeof(text)), 2);
	assert_string_equal(text, "avx512f 11:1");
	assert_int_equal(thump_cpu_missing(wanted, THUMP_NR_CPU_WORDS, here, tiny, sizeof(tiny)),
			 1);
	assert_string_equal(tiny, "avx512f");
}

static void levels_hold_the_lower_ones(void **state)
{
	uint32_t here[THUMP_NR_CPU_WORDS], lower[THUMP_NR_CPU_WORDS], words[THUMP_NR_CPU_WORDS];

	(void)state;
	thump_cpu_words(here);
	thump_cpu_level_words(1, lower);
	assert_true(lower[THUMP_CPU_1_EDX] & 1u << 26); /* sse2 */
	assert_false(lower[THUMP_CPU_1_ECX]);
	for (int level = 2; level <= THUMP_CPU_LEVELS; level++) {
		thump_cpu_level_words(level, words);
		for (size_t i = 0; i < THUMP_NR_CPU_WORDS; i++) {
			assert_int_equal(lower[i] & ~words[i], 0);
			if (level <= thump_cpu_level())
				assert_int_equal(words[i] & ~here[i], 0);
		}
		assert_int_equal(thump_cpu_level_for(words, THUMP_NR_CPU_WORDS), level);
		memcpy(lower, words, sizeof(lower));
	}
	words[THUMP_CPU_1_ECX] |= 1u << 25; /* aes: of no level */
	assert_int_equal(thump_cpu_level_for(words, THUMP_NR_CPU_WORDS), 0);
}

/* Components are at offsets that only the machine knows, so this one looks at its own. */
static void default_rights_of_protection_keys_are_dropped(void **state)
{
	unsigned char xstate[16384] = { 0 };
	uint64_t bits = 1u << 9 | 7;
	const uint32_t ours = 0x55555550;

	(void)state;
	if (!(thump_cpu_xcr0() >> 9 & 1))
		skip();
	memcpy(xstate + 512, &bits, sizeof(bits));
	for (size_t at = 576; at + sizeof(ours) <= sizeof(xstate); at += sizeof(ours))
		memcpy(xstate + at, &ours, sizeof(ours));
	thump_xstate_drop_default_pkru(xstate, sizeof(xstate));
	assert_int_equal(thump_xstate_in_use(xstate, sizeof(xstate)), bits);
	for (size_t at = 576; at + sizeof(ours) <= sizeof(xstate); at += sizeof(ours))
		memcpy(xstate + at, &(uint32_t){ ours | 4 }, sizeof(ours));
	thump_xstate_drop_default_pkru(xstate, sizeof(xstate));
	assert_int_equal(thump_xstate_in_use(xstate, sizeof(xstate)), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_missing_on_the_same_machine),
		cmocka_unit_test(words_are_what_the_processor_says),
		cmocka_unit_test(missing_features_are_named),
		cmocka_unit_test(levels_hold_the_lower_ones),
		cmocka_unit_test(default_rights_of_protection_keys_are_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
