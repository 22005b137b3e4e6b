/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THUMP_PROC_ARCH_SYSCALLS_H
#define THUMP_PROC_ARCH_SYSCALLS_H

#include <stdint.h>

/* Name of a system call in which threads wait, for people; NULL: none of those. */
const char *thump_syscall_name(uint32_t nr);

#endif
