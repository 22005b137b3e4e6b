/* SPDX-License-Identifier: Apache-2.0 */
/* Whose extended registers can be loaded where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proc/arch/cpu.h"
#include "rebuild/arch/arch.h"

#define X87_SSE	 UINT64_C(0x3)
#define AVX	 UINT64_C(0x7)
#define AVX512	 UINT64_C(0xe7)
#define PKRU	 (UINT64_C(1) << 9)
#define TILECFG	 (UINT64_C(1) << 17)
#define TILEDATA (UINT64_C(1) << 18)

static const struct thump_xstate_layout without_amx = {
	.xcr0 = AVX512 | PKRU,
	.size_bytes = 2696,
	.offsets = { [2] = 576, [5] = 1088, [6] = 1152, [7] = 1664, [9] = 2688 },
};
static const struct thump_xstate_layout with_amx = {
	.xcr0 = AVX512 | PKRU | TILECFG | TILEDATA,
	.size_bytes = 11008,
	.offsets = { [2] = 576,
		     [5] = 1088,
		     [6] = 1152,
		     [7] = 1664,
		     [9] = 2688,
		     [17] = 2752,
		     [18] = 2816 },
};
/* As AMD's: no gap where MPX would be. */
static const struct thump_xstate_layout packed_layout = {
	.xcr0 = AVX512 | PKRU,
	.size_bytes = 2440,
	.offsets = { [2] = 576, [5] = 832, [6] = 896, [7] = 1408, [9] = 2432 },
};

static bool fits(const struct thump_xstate_layout *from, uint32_t size_bytes, uint64_t in_use,
		 const struct thump_xstate_layout *here)
{
	unsigned char xstate[11008] = { 0 };
	const struct thump_machine machine = { .xcr0 = from->xcr0,
					       .xsave_size_bytes = from->size_bytes };
	const struct thump_task task = { .xstate = xstate, .xstate_size = size_bytes };

	memcpy(xstate + 512, &in_use, sizeof(in_use));
	return thump_xstate_fits(&task, &machine, here);
}

static void the_same_machine(void **state)
{
	(void)state;
	assert_true(fits(&with_amx, 2696, AVX512 | PKRU, &with_amx));
	assert_true(fits(&packed_layout, 2440, AVX512 | PKRU, &packed_layout));
}

/* What is in use decides, not what the machine has. */
static void features_that_are_not_in_use_do_not_matter(void **state)
{
	(void)state;
	assert_true(fits(&with_amx, 2696, AVX512 | PKRU, &without_amx));
	assert_true(fits(&without_amx, 2696, AVX512 | PKRU, &with_amx));
	assert_false(fits(&with_amx, 11008, AVX | PKRU | TILECFG | TILEDATA, &without_amx));
}

static void other_places_are_not_taken_for_the_same(void **state)
{
	(void)state;
	assert_false(fits(&with_amx, 2696, AVX | PKRU, &packed_layout));
	assert_false(fits(&packed_layout, 2440, AVX | PKRU, &with_amx));
	assert_false(fits(&packed_layout, 2440, AVX | PKRU, &without_amx));
	/* x87, SSE and AVX are where they are everywhere. */
	assert_true(fits(&with_amx, 2696, AVX, &packed_layout));
}

static void an_area_that_is_too_short_for_what_is_in_use(void **state)
{
	(void)state;
	assert_false(fits(&with_amx, 832, AVX | PKRU, &without_amx));
}

static void a_machine_without_avx(void **state)
{
	const struct thump_xstate_layout old = { .xcr0 = X87_SSE, .size_bytes = 576 };

	(void)state;
	assert_false(fits(&with_amx, 2696, AVX, &old));
	assert_true(fits(&with_amx, 2696, X87_SSE, &old));
}

static void code_that_saves_more_than_it_has_measured(void **state)
{
	uint32_t words[THUMP_NR_CPU_WORDS] = { [THUMP_CPU_1_ECX] = 1u << 26 | 1u << 27 };
	struct thump_machine machine = { .xcr0 = AVX,
					 .cpuid_words = words,
					 .nr_cpuid_words = THUMP_NR_CPU_WORDS };

	(void)state;
	assert_true(thump_xsave_outgrows(&machine, &without_amx));
	machine.xcr0 = AVX512 | PKRU;
	assert_false(thump_xsave_outgrows(&machine, &without_amx));
	assert_true(thump_xsave_outgrows(&machine, &with_amx));
	words[THUMP_CPU_D_1_EAX] = 1u << 1;
	assert_false(thump_xsave_outgrows(&machine, &with_amx));
	/* Started with thump run --cpu, without a lazy binder. */
	thump_cpu_level_words(3, words);
	assert_false(thump_xsave_outgrows(&machine, &with_amx));
	/* Without XSAVE there is only FXSAVE, which stores the same everywhere. */
	words[THUMP_CPU_1_ECX] = 0;
	machine.xcr0 = 0;
	assert_false(thump_xsave_outgrows(&machine, &with_amx));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_machine),
		cmocka_unit_test(features_that_are_not_in_use_do_not_matter),
		cmocka_unit_test(other_places_are_not_taken_for_the_same),
		cmocka_unit_test(an_area_that_is_too_short_for_what_is_in_use),
		cmocka_unit_test(a_machine_without_avx),
		cmocka_unit_test(code_that_saves_more_than_it_has_measured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
