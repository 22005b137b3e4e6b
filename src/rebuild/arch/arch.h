/* SPDX-License-Identifier: Apache-2.0 */
/* What rebuild needs to know of the architecture. */
#ifndef THUMP_REBUILD_ARCH_ARCH_H
#define THUMP_REBUILD_ARCH_ARCH_H

#include "model/model.h"

/* The counter of the blob's marks (see resume/abi.h). */
uint64_t thump_ticks(void);

/* Where a machine has the parts of its extended registers; offsets by number of the feature. */
#define THUMP_NR_XFEATURES 63
struct thump_xstate_layout {
	uint64_t xcr0;
	uint32_t size_bytes;
	uint32_t offsets[THUMP_NR_XFEATURES];
};

/* Waits until the futex *word is set, without a look at the stack or behind the thread pointer:
 * somebody else uses them meanwhile. */
void thump_arch_park(const uint32_t *word);

/* Of this machine; without the offsets where they are the same as those of `machine`: each is asked
 * of the processor, which in a virtual machine takes longer than a system call. */
void thump_xstate_layout_here(const struct thump_machine *machine,
			      struct thump_xstate_layout *layout_ret);

/* The extended registers can be loaded here: all features in use are there, and at the place where
 * `machine` had them. Features that are not in use need not be in the image. */
bool thump_xstate_fits(const struct thump_task *task, const struct thump_machine *machine,
		       const struct thump_xstate_layout *here);

/*
 * Code that has asked the processor of `machine` once how much room its registers take would write
 * more than that here: XSAVE stores all that is enabled, where XSAVEC leaves out what is not in use
 * (Intel SDM volume 1, 13.7 and 13.10). Not of an image that keeps within a level.
 */
bool thump_xsave_outgrows(const struct thump_machine *machine,
			  const struct thump_xstate_layout *here);

uint64_t thump_stack_pointer(const struct thump_task *task);
uint64_t thump_instruction_pointer(const struct thump_task *task);

/* Code that goes on at another address, or makes a system call with its caller's arguments; both
 * leave everything else to the caller as it is. */
#define THUMP_JUMP_SIZE 14
void thump_write_jump(unsigned char code[THUMP_JUMP_SIZE], uint64_t to);
void thump_write_syscall(unsigned char code[THUMP_JUMP_SIZE], long nr);

/* The system call that a function of the vdso stands for; -1: none. */
long thump_vdso_syscall(const char *name);
/* A function of the vdso whose code needs nothing of the kernel that it came from. */
bool thump_vdso_function_stays(const char *name);

/* The bytes are the instruction of a system call. */
bool thump_is_syscall_insn(const unsigned char bytes[2]);

/* Where a thread that is about to wait (again) has the absolute time to wait for, when that is one
 * of CLOCK_MONOTONIC or CLOCK_BOOTTIME; false: it does not. */
struct thump_deadline {
	uint64_t addr;
	bool boottime;
};
bool thump_deadline_of(const struct thump_task *task, struct thump_deadline *deadline_ret);

#endif
