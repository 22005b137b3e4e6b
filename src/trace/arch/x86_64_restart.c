/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls that a stop interrupts. In a PTRACE_EVENT_STOP the thread is inside get_signal();
 * what follows when it goes on is arch_do_signal_or_restart() in arch/x86/kernel/signal.c: with
 * orig_rax != -1 and a restart code in rax the kernel moves rip back over the `syscall`
 * instruction (2 bytes) and puts the number back into rax.
 */
#include "trace/arch/arch.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

/* include/linux/errno.h of the kernel. */
#define ERESTARTSYS	      512
#define ERESTARTNOINTR	      513
#define ERESTARTNOHAND	      514
#define ERESTART_RESTARTBLOCK 516

#define SYSCALL_INSN_SIZE 2
#define NS_PER_MS	  ((uint64_t)1000000)

static bool in_syscall(const struct user_regs_struct *regs)
{
	return (long)regs->orig_rax >= 0;
}

bool thump_arch_is_restart_code(long result)
{
	return result == -ERESTARTSYS || result == -ERESTARTNOINTR || result == -ERESTARTNOHAND ||
	       result == -ERESTART_RESTARTBLOCK;
}

/*
 * signal(7): sockets with SO_RCVTIMEO or SO_SNDTIMEO (by any call that reads or writes), inotify
 * reads, epoll, semaphores, sigtimedwait, and completions of both AIO interfaces. None of them has
 * done anything when it returns EINTR. close(2) is not here and never may be.
 */
static bool stop_ends_with_eintr(uint64_t nr)
{
	switch (nr) {
	case SYS_read:
	case SYS_readv:
	case SYS_write:
	case SYS_writev:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
	case SYS_accept:
	case SYS_accept4:
	case SYS_connect:
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_rt_sigtimedwait:
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_io_getevents:
	case SYS_io_pgetevents:
	case SYS_io_uring_enter:
		return true;
	default:
		return false;
	}
}

bool thump_arch_undo_eintr(struct user_regs_struct *regs)
{
	if (!in_syscall(regs) || (long)regs->rax != -EINTR || !stop_ends_with_eintr(regs->orig_rax))
		return false;
	regs->rax = (unsigned long long)-ERESTARTNOHAND;
	return true;
}

enum thump_interruption thump_arch_interruption(const struct user_regs_struct *regs)
{
	if (!in_syscall(regs))
		return THUMP_NOT_INTERRUPTED;
	switch ((long)regs->rax) {
	case -ERESTARTSYS: /* with a handler: depends on its SA_RESTART */
	case -ERESTARTNOINTR:
		return THUMP_WILL_RESTART;
	case -ERESTARTNOHAND:
		return THUMP_RESTART_UNLESS_HANDLER;
	case -ERESTART_RESTARTBLOCK:
		return THUMP_RESTART_BLOCK;
	default:
		return THUMP_NOT_INTERRUPTED;
	}
}

uint32_t thump_arch_blocked_syscall(const struct user_regs_struct *regs)
{
	return thump_arch_interruption(regs) == THUMP_NOT_INTERRUPTED ? THUMP_NO_SYSCALL
								      : (uint32_t)regs->orig_rax;
}

bool thump_arch_is_restart_syscall(uint32_t nr)
{
	return nr == SYS_restart_syscall;
}

static bool has_restart_block(uint32_t nr)
{
	return nr == SYS_poll || nr == SYS_futex || nr == SYS_nanosleep ||
	       nr == SYS_clock_nanosleep;
}

/* mov $nr, %eax or mov $nr, %rax right before the instruction, as in most C library functions. */
static uint32_t nr_from_code(const unsigned char *code_before)
{
	const unsigned char *imm = code_before + THUMP_CODE_BEFORE - SYSCALL_INSN_SIZE - 4;
	uint32_t nr;

	memcpy(&nr, imm, sizeof(nr));
	if ((imm[-1] == 0xb8 || (imm[-1] == 0xc0 && imm[-2] == 0xc7)) && has_restart_block(nr))
		return nr;
	return THUMP_NO_SYSCALL;
}

/*
 * Sleeps are what is left over: the restart of one is a chain of tail calls, so that wchan names
 * whatever is below them on the stack (do_syscall_64).
 */
static uint32_t nr_from_wchan(const struct user_regs_struct *regs, const char *wchan)
{
	if (wchan[0] == '\0' || wchan[0] == '0')
		return THUMP_NO_SYSCALL;
	if (strstr(wchan, "poll"))
		return SYS_poll;
	if (strstr(wchan, "futex"))
		return SYS_futex;
	/* The first argument is an address of nanosleep(2), a small number of clock_nanosleep(2).
	 */
	return regs->rdi < 4096 || (int64_t)regs->rdi < 0 ? SYS_clock_nanosleep : SYS_nanosleep;
}

uint32_t thump_arch_restarted_syscall(const struct user_regs_struct *regs,
				      const unsigned char code_before[THUMP_CODE_BEFORE],
				      const char *wchan)
{
	const uint32_t nr = nr_from_code(code_before);

	return nr != THUMP_NO_SYSCALL ? nr : nr_from_wchan(regs, wchan);
}

/* The register with a timeout in milliseconds, int, -1 for ever; or NULL. */
static unsigned long long *timeout_register(struct user_regs_struct *regs, uint64_t nr)
{
	switch (nr) {
	case SYS_poll:
		return &regs->rdx;
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
		return &regs->r10;
	default:
		return NULL;
	}
}

bool thump_arch_timeout_in_register(uint32_t nr)
{
	struct user_regs_struct regs;

	return timeout_register(&regs, nr) != NULL;
}

void thump_arch_shorten_timeout(struct user_regs_struct *regs, uint32_t nr, uint64_t slept_ns)
{
	unsigned long long *reg;
	uint64_t slept_ms = slept_ns / NS_PER_MS;
	int timeout_ms;

	if (thump_arch_interruption(regs) == THUMP_NOT_INTERRUPTED)
		return;
	reg = timeout_register(regs, nr);
	if (!reg)
		return;
	timeout_ms = (int)*reg;
	if (timeout_ms > 0)
		*reg = slept_ms < (uint64_t)timeout_ms ? (uint64_t)timeout_ms - slept_ms : 0;
}

/*
 * hrtimer_nanosleep() has stored what is left through rmtp before it returned
 * -ERESTART_RESTARTBLOCK; an absolute clock_nanosleep() returns -ERESTARTNOHAND instead.
 */
static void sleep_remainder(struct user_regs_struct *regs, uint64_t nr)
{
	if (nr == SYS_nanosleep && regs->rsi != 0)
		regs->rdi = regs->rsi;
	if (nr == SYS_clock_nanosleep && regs->r10 != 0 && !(regs->rsi & TIMER_ABSTIME))
		regs->rdx = regs->r10;
}

struct user_regs_struct thump_arch_image_regs(const struct user_regs_struct *regs, uint32_t nr,
					      bool handler_due)
{
	struct user_regs_struct image = *regs;
	const enum thump_interruption how = thump_arch_interruption(regs);

	image.orig_rax = (unsigned long long)-1;
	if (how == THUMP_NOT_INTERRUPTED)
		return image;
	if ((handler_due && how != THUMP_WILL_RESTART) || thump_arch_is_restart_syscall(nr)) {
		image.rax = (unsigned long long)-EINTR;
		return image;
	}
	image.rax = nr;
	image.rip -= SYSCALL_INSN_SIZE;
	if (how == THUMP_RESTART_BLOCK)
		sleep_remainder(&image, nr);
	return image;
}
