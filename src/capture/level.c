/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that keep within a level of CPUs: their image needs no more than that. */
#include "capture/context.h"
#include "proc/arch/cpu.h"

static bool any_beyond(const struct thump_capture *cap, uint64_t components, int *tid_ret)
{
	for (uint32_t i = 0; i < cap->model.nr_tasks; i++) {
		const struct thump_task *task = &cap->model.tasks[i];

		*tid_ret = task->tid;
		if (thump_xstate_in_use(task->xstate, task->xstate_size) & ~components)
			return true;
	}
	return false;
}

/*
 * Registers of a thread that are in use are not forgotten, whatever was promised: then the image
 * needs all that this CPU has. Rights of protection keys are in use in every thread, and are as the
 * kernel set them unless the program has keys.
 */
int thump_capture_level(struct thump_capture *cap, struct thump_err *err)
{
	struct thump_machine *machine = &cap->model.machine;
	const int level = cap->options.cpu_level;
	uint32_t allowed[THUMP_NR_CPU_WORDS];
	int tid = 0;

	(void)err;
	if (!level)
		return 0;
	for (uint32_t i = 0; i < cap->model.nr_tasks; i++)
		thump_xstate_drop_default_pkru(cap->model.tasks[i].xstate,
					       cap->model.tasks[i].xstate_size);
	if (any_beyond(cap, thump_cpu_level_xcr0(level), &tid)) {
		thump_problem_add(cap->problems, true, -1, "cpu-level",
				  "thread %d uses registers beyond x86-64-v%d, within which the "
				  "program was started: the image needs all features of this CPU",
				  tid, level);
		return 0;
	}
	thump_cpu_level_words(level, allowed);
	for (uint32_t i = 0; i < machine->nr_cpuid_words; i++)
		machine->cpuid_words[i] &= allowed[i];
	return 0;
}
