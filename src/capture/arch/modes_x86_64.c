/* SPDX-License-Identifier: Apache-2.0 */
#include <asm/prctl.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture/modes.h"

#ifndef ARCH_GET_XCOMP_PERM
#define ARCH_GET_XCOMP_PERM 0x1022
#endif
#ifndef ARCH_GET_UNTAG_MASK
#define ARCH_GET_UNTAG_MASK 0x4001
#endif
#define XFEATURE_XTILEDATA (UINT64_C(1) << 18)

static void take_tsc(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	if (answer->result == 0 && (uint32_t)answer->value == PR_TSC_SIGSEGV)
		thump_capture_refuse(cap, "tsc",
				     "PR_SET_TSC: a forbidden time-stamp counter cannot be saved");
}

static void take_cpuid(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	if (answer->result == 0)
		thump_capture_refuse(cap, "cpuid",
				     "ARCH_SET_CPUID: a forbidden CPUID instruction cannot be "
				     "saved");
}

static void take_ldt(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	if (answer->result > 0)
		thump_capture_refuse(cap, "ldt",
				     "local descriptor table (modify_ldt(2)): cannot be saved");
}

static void take_xcomp(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	if (answer->result == 0 && (answer->value & XFEATURE_XTILEDATA))
		thump_capture_refuse(cap, "amx",
				     "AMX tile registers (ARCH_REQ_XCOMP_PERM): cannot be saved");
}

static void take_untag_mask(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	if (answer->result == 0 && answer->value != UINT64_MAX)
		thump_capture_refuse(cap, "lam",
				     "tagged pointers (ARCH_ENABLE_TAGGED_ADDR): cannot be saved");
}

/*
 * pkeys(7): a key may be allocated that no mapping has yet. do_mprotect_pkey() of the kernel looks
 * at the key (EINVAL), and then for a mapping (ENOMEM): up there, there is none.
 */
#define BEYOND_USER_SPACE (UINT64_C(0xffff) << 48)
#define FIRST_KEY	  1
#define NR_KEYS		  16

static void take_first_key(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	if (answer->result == -ENOMEM)
		cap->model.mm.pkeys |= 1u << FIRST_KEY;
}

static bool uses_keys(const struct thump_capture *cap)
{
	for (size_t i = 0; i < cap->maps.count; i++)
		if (cap->maps.list[i].pkey)
			return true;
	return cap->model.mm.pkeys != 0;
}

/* The kernel gives out the lowest first: where it has not, and no mapping has one, nobody is asked
 * for the others. */
int thump_capture_arch_process(struct thump_capture *cap, struct thump_err *err)
{
	uint64_t args[6] = { BEYOND_USER_SPACE, 1, PROT_NONE };
	long result;

	if (!uses_keys(cap))
		return 0;
	for (unsigned key = FIRST_KEY + 1; key < NR_KEYS; key++) {
		args[3] = key;
		if (thump_capture_call(cap, THUMP_ANY_THREAD, SYS_pkey_mprotect, args, &result,
				       err) < 0)
			return -1;
		if (result == -ENOMEM)
			cap->model.mm.pkeys |= (uint16_t)(1u << key);
	}
	return 0;
}

static bool always(const struct thump_capture *cap)
{
	(void)cap;
	return true;
}

/* arch_prctl(2): ENODEV where the processor cannot forbid it. For thump it is allowed already. */
static bool cpuid_can_be_forbidden(const struct thump_capture *cap)
{
	(void)cap;
	return syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1UL) == 0;
}

const struct thump_mode thump_arch_modes[] = {
	{ SYS_prctl, { PR_GET_TSC, THUMP_AREA }, take_tsc, "PR_SET_TSC", always },
	{ SYS_arch_prctl,
	  { ARCH_GET_CPUID },
	  take_cpuid,
	  "ARCH_SET_CPUID",
	  cpuid_can_be_forbidden },
	{ SYS_modify_ldt, { 0, THUMP_AREA, sizeof(uint64_t) }, take_ldt, NULL, NULL },
	{ SYS_arch_prctl, { ARCH_GET_XCOMP_PERM, THUMP_AREA }, take_xcomp, NULL, NULL },
	{ SYS_arch_prctl, { ARCH_GET_UNTAG_MASK, THUMP_AREA }, take_untag_mask, NULL, NULL },
	{ SYS_pkey_mprotect,
	  { BEYOND_USER_SPACE, 1, PROT_NONE, FIRST_KEY },
	  take_first_key,
	  NULL,
	  NULL },
};
const size_t thump_nr_arch_modes = THUMP_ARRAY_SIZE(thump_arch_modes);
