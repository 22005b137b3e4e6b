/* SPDX-License-Identifier: Apache-2.0 */
/* Modes of the process that only the process itself can tell. */
#include "capture/modes.h"

#include <linux/membarrier.h>
#include <linux/mempolicy.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif
#ifndef MEMBARRIER_CMD_GET_REGISTRATIONS /* Linux 6.3 */
#define MEMBARRIER_CMD_GET_REGISTRATIONS (1 << 9)
#endif

static void take_brk(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	cap->model.mm.brk = (uint64_t)answer->result;
}

static void take_dumpable(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	cap->model.mm.dumpable_known = answer->result >= 0;
	cap->model.mm.dumpable = answer->result >= 0 ? (uint32_t)answer->result : 0;
}

static void take_subreaper(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	cap->model.process.child_subreaper = answer->result == 0 && (uint32_t)answer->value != 0;
}

static void take_securebits(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	if (answer->result >= 0)
		cap->model.process.creds.securebits = (uint32_t)answer->result;
}

static void take_thp(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	cap->model.mm.thp_disable = answer->result > 0;
	if (answer->result > 1) /* Linux 6.18: PR_THP_DISABLE_EXCEPT_ADVISED is 1 | 2 */
		thump_capture_refuse(cap, "thp", "PR_SET_THP_DISABLE: flags 0x%lx cannot be saved",
				     answer->result);
}

static void take_membarrier(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	cap->model.mm.membarrier_known = answer->result >= 0; /* EINVAL before Linux 6.3 */
	cap->model.mm.membarrier_registrations = answer->result > 0 ? (uint32_t)answer->result : 0;
}

static void take_mdwe(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	if (answer->result > 0)
		thump_capture_refuse(cap, "mdwe",
				     "memory-deny-write-execute (PR_SET_MDWE): cannot be saved");
}

static void take_mempolicy(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	if (answer->result == 0 && (uint32_t)answer->value != MPOL_DEFAULT)
		thump_capture_refuse(cap, "mempolicy",
				     "NUMA memory policy %u (set_mempolicy): cannot be saved",
				     (uint32_t)answer->value);
}

static void take_io_flusher(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	if (answer->result > 0)
		thump_capture_refuse(cap, "io-flusher", "PR_SET_IO_FLUSHER: cannot be saved");
}

static const struct thump_mode modes[] = {
	{ SYS_brk, { 0 }, take_brk },
	{ SYS_prctl, { PR_GET_DUMPABLE }, take_dumpable },
	{ SYS_prctl, { PR_GET_CHILD_SUBREAPER, THUMP_AREA }, take_subreaper },
	{ SYS_prctl, { PR_GET_SECUREBITS }, take_securebits },
	{ SYS_prctl, { PR_GET_THP_DISABLE }, take_thp },
	{ SYS_membarrier, { MEMBARRIER_CMD_GET_REGISTRATIONS }, take_membarrier },
	{ SYS_prctl, { PR_GET_MDWE }, take_mdwe },
	{ SYS_prctl, { PR_GET_IO_FLUSHER }, take_io_flusher },
	{ SYS_get_mempolicy, { THUMP_AREA, 0, 0, 0, 0 }, take_mempolicy },
};

static int ask(struct thump_capture *cap, const struct thump_mode *list, size_t count,
	       struct thump_err *err)
{
	for (size_t i = 0; i < count; i++) {
		struct thump_mode_answer answer;

		if (thump_capture_call(cap, THUMP_ANY_THREAD, list[i].nr, list[i].args,
				       &answer.result, err) < 0 ||
		    thump_capture_area(cap, &answer.value, sizeof(answer.value), err) < 0)
			return -1;
		list[i].take(cap, &answer);
	}
	return 0;
}

int thump_capture_remote_process(struct thump_capture *cap, struct thump_err *err)
{
	if (ask(cap, modes, THUMP_ARRAY_SIZE(modes), err) < 0)
		return -1;
	return ask(cap, thump_arch_modes, thump_nr_arch_modes, err);
}
