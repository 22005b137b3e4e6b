/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/ptrace.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { TRIES = 3 };

/* What a thread that stands still waits for, or what is needed to put it back: were it left out,
 * the program would find a register or a mask that is not its own, or stand still until we end. */
static bool is_owed(int request)
{
	switch (request) {
	case PTRACE_GETREGSET:
	case PTRACE_SETREGSET:
	case PTRACE_GETSIGMASK:
	case PTRACE_SETSIGMASK:
	case PTRACE_CONT:
	case PTRACE_SYSCALL:
	case PTRACE_LISTEN:
	case PTRACE_INTERRUPT:
	case PTRACE_DETACH:
		return true;
	default:
		return false;
	}
}

/* The kernel refuses these to a thread that is gone (ESRCH), and, of extended registers, for a
 * moment without memory; nothing else is known, and trying again costs nothing. */
long thump_ptrace(int request, pid_t tid, uintptr_t addr, uintptr_t data)
{
	const int tries = is_owed(request) ? TRIES : 1;
	long rc = -1;

	for (int i = 0; i < tries; i++) {
		rc = syscall(SYS_ptrace, (long)request, (long)tid, addr, data);
		if (rc != -1 || errno == ESRCH)
			break;
	}
	return rc;
}

static int regset(int request, pid_t tid, uintptr_t type, void *buf, size_t size_bytes,
		  size_t *size_ret)
{
	struct iovec iov = { .iov_base = buf, .iov_len = size_bytes };

	if (thump_ptrace(request, tid, type, (uintptr_t)&iov) != 0)
		return -1;
	*size_ret = iov.iov_len;
	return 0;
}

int thump_ptrace_get_regs(pid_t tid, struct user_regs_struct *regs_ret)
{
	size_t size_bytes;

	return regset(PTRACE_GETREGSET, tid, NT_PRSTATUS, regs_ret, sizeof(*regs_ret), &size_bytes);
}

int thump_ptrace_set_regs(pid_t tid, const struct user_regs_struct *regs)
{
	struct user_regs_struct copy = *regs;
	size_t size_bytes;

	return regset(PTRACE_SETREGSET, tid, NT_PRSTATUS, &copy, sizeof(copy), &size_bytes);
}

int thump_ptrace_get_xstate(pid_t tid, void *xstate, size_t room_bytes, size_t *size_ret)
{
	return regset(PTRACE_GETREGSET, tid, NT_X86_XSTATE, xstate, room_bytes, size_ret);
}

int thump_ptrace_set_xstate(pid_t tid, const void *xstate, size_t size_bytes)
{
	size_t size_set;

	return regset(PTRACE_SETREGSET, tid, NT_X86_XSTATE, (void *)(uintptr_t)xstate, size_bytes,
		      &size_set);
}

int thump_ptrace_get_sigmask(pid_t tid, uint64_t *mask_ret)
{
	return (int)thump_ptrace(PTRACE_GETSIGMASK, tid, sizeof(*mask_ret), (uintptr_t)mask_ret);
}

int thump_ptrace_set_sigmask(pid_t tid, uint64_t mask)
{
	return (int)thump_ptrace(PTRACE_SETSIGMASK, tid, sizeof(mask), (uintptr_t)&mask);
}

int thump_is_stop_signal(int signo)
{
	return signo == SIGSTOP || signo == SIGTSTP || signo == SIGTTIN || signo == SIGTTOU;
}
