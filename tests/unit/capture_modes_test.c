/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the answers to each question about a mode mean, also those that only other processors or
 * configurations of the kernel give: no, or a refusal by name.
 */
#include <asm/prctl.h>
#include <errno.h>
#include <linux/mempolicy.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <cmocka.h>

#include "capture/modes.h"

#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif
#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68
#endif
#define ARCH_GET_XCOMP_PERM 0x1022
#define ARCH_GET_UNTAG_MASK 0x4001

static const struct answer {
	long nr;
	uint64_t first; /* argument */
	struct thump_mode_answer answer;
	const char *word; /* NULL: nothing is said */
} answers[] = {
	{ SYS_prctl, PR_GET_IO_FLUSHER, { 0, 0 }, NULL },
	{ SYS_prctl, PR_GET_IO_FLUSHER, { -EPERM, 0 }, NULL },
	{ SYS_prctl, PR_GET_IO_FLUSHER, { 1, 0 }, "io-flusher" },
	{ SYS_prctl, PR_MCE_KILL_GET, { PR_MCE_KILL_DEFAULT, 0 }, NULL },
	{ SYS_prctl, PR_MCE_KILL_GET, { PR_MCE_KILL_LATE, 0 }, "mce-kill" },
	{ SYS_prctl, PR_GET_MDWE, { -EINVAL, 0 }, NULL },
	{ SYS_prctl, PR_GET_MDWE, { 1, 0 }, "mdwe" },
	{ SYS_prctl, PR_GET_MEMORY_MERGE, { -EINVAL, 0 }, NULL },
	{ SYS_prctl, PR_GET_MEMORY_MERGE, { 1, 0 }, "memory-merge" },
	{ SYS_prctl, PR_GET_THP_DISABLE, { 1, 0 }, NULL },
	{ SYS_prctl, PR_GET_THP_DISABLE, { 3, 0 }, "thp" },
	{ SYS_get_mempolicy, THUMP_AREA, { 0, MPOL_DEFAULT }, NULL },
	{ SYS_get_mempolicy, THUMP_AREA, { -ENOSYS, MPOL_BIND }, NULL },
	{ SYS_get_mempolicy, THUMP_AREA, { 0, MPOL_BIND }, "mempolicy" },
	{ SYS_prctl, PR_GET_TSC, { 0, PR_TSC_ENABLE }, NULL },
	{ SYS_prctl, PR_GET_TSC, { 0, PR_TSC_SIGSEGV }, "tsc" },
	{ SYS_arch_prctl, ARCH_GET_CPUID, { 1, 0 }, NULL },
	{ SYS_arch_prctl, ARCH_GET_CPUID, { -ENODEV, 0 }, NULL },
	{ SYS_arch_prctl, ARCH_GET_CPUID, { 0, 0 }, "cpuid" },
	{ SYS_modify_ldt, 0, { 0, 0 }, NULL },
	{ SYS_modify_ldt, 0, { -ENOSYS, 0 }, NULL },
	{ SYS_modify_ldt, 0, { 8, 0 }, "ldt" },
	{ SYS_arch_prctl, ARCH_GET_XCOMP_PERM, { 0, 0x602e7 & ~(1ULL << 18) }, NULL },
	{ SYS_arch_prctl, ARCH_GET_XCOMP_PERM, { -EINVAL, UINT64_MAX }, NULL },
	{ SYS_arch_prctl, ARCH_GET_XCOMP_PERM, { 0, 0x602e7 }, "amx" },
	{ SYS_arch_prctl, ARCH_GET_UNTAG_MASK, { 0, UINT64_MAX }, NULL },
	{ SYS_arch_prctl, ARCH_GET_UNTAG_MASK, { -EINVAL, 0 }, NULL },
	{ SYS_arch_prctl, ARCH_GET_UNTAG_MASK, { 0, ~(0x3fULL << 57) }, "lam" },
	{ SYS_pkey_mprotect, UINT64_C(0xffff) << 48, { -EINVAL, 0 }, NULL },
	{ SYS_pkey_mprotect, UINT64_C(0xffff) << 48, { -ENOSYS, 0 }, NULL },
	{ SYS_pkey_mprotect, UINT64_C(0xffff) << 48, { -ENOMEM, 0 }, NULL },
};

static const struct thump_mode *find(const struct thump_mode *list, size_t count,
				     const struct answer *wanted)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].nr == wanted->nr && list[i].args[0] == wanted->first)
			return &list[i];
	return NULL;
}

static void answers_are_understood(void **state)
{
	(void)state;
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(answers); i++) {
		const struct answer *given = &answers[i];
		const struct thump_mode *mode = find(thump_modes, thump_nr_modes, given);
		struct thump_problems problems;
		struct thump_capture cap = { .problems = &problems };

		if (!mode)
			mode = find(thump_arch_modes, thump_nr_arch_modes, given);
		if (!mode)
			fail_msg("row %zu: nobody asks that", i);
		thump_problems_init(&problems);
		mode->take(&cap, &given->answer);
		assert_int_equal(problems.count, given->word ? 1 : 0);
		if (given->word)
			assert_string_equal(problems.list[0].kind, given->word);
		assert_int_equal(problems.nr_fatal, problems.count);
		thump_problems_deinit(&problems);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
