/* SPDX-License-Identifier: Apache-2.0 */
/* ptrace(2) requests with one calling convention each: 0 or a value, -1 with errno. */
#ifndef THUMP_TRACE_PTRACE_H
#define THUMP_TRACE_PTRACE_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

/* The raw call: glibc's is variadic over an enum, and its PEEK convention is not wanted. */
long thump_ptrace(int request, pid_t tid, uintptr_t addr, uintptr_t data);

int thump_ptrace_get_regs(pid_t tid, struct user_regs_struct *regs_ret);
int thump_ptrace_set_regs(pid_t tid, const struct user_regs_struct *regs);
/* NT_X86_XSTATE into at most room_bytes; *size_ret is what the kernel gave. */
int thump_ptrace_get_xstate(pid_t tid, void *xstate, size_t room_bytes, size_t *size_ret);
int thump_ptrace_set_xstate(pid_t tid, const void *xstate, size_t size_bytes);
int thump_ptrace_get_sigmask(pid_t tid, uint64_t *mask_ret);
int thump_ptrace_set_sigmask(pid_t tid, uint64_t mask);

/* What a wait status of a stopped tracee says: PTRACE_EVENT_*, or 0. */
static inline int thump_stop_event(int status)
{
	return (int)((unsigned)status >> 16);
}

/* Stop signals of a group-stop, see ptrace(2), "Group-stop". */
int thump_is_stop_signal(int signo);

#endif
