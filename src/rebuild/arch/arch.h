/* SPDX-License-Identifier: Apache-2.0 */
/* What rebuild needs to know of the architecture. */
#ifndef THUMP_REBUILD_ARCH_ARCH_H
#define THUMP_REBUILD_ARCH_ARCH_H

#include "model/model.h"

/* The counter of the blob's marks (see resume/abi.h). */
uint64_t thump_ticks(void);

/* Size of NT_X86_XSTATE here. */
uint32_t thump_xstate_size(void);

/* The extended registers can be loaded here: all features in use are there, and where the area has
 * another size, none is in use whose place differs between processors. */
bool thump_xstate_fits(const struct thump_task *task, uint64_t xcr0, uint32_t size_here);

uint64_t thump_stack_pointer(const struct thump_task *task);

/* The bytes are the instruction of a system call. */
bool thump_is_syscall_insn(const unsigned char bytes[2]);

#endif
