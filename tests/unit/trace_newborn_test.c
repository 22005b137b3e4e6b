/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child execs this test program again; code made here is put into it. The code is a few hand
 * written instructions, so that the test needs no blob.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "trace/newborn.h"
#include "trace/ptrace.h"

#define CODE_ADDR ((uint64_t)0x20000000)
#define CODE_SIZE ((uint64_t)0x10000)
#define STACK_TOP (CODE_ADDR + CODE_SIZE)
#define THREAD_SP (STACK_TOP - 0x4000)
#define EXIT_AT	  (CODE_ADDR + 0x800)
#define THREAD_AT (CODE_ADDR + 0xc00)
#define PATIENCE  5000u

/* Forks a child that execs argv[0] = `program`, adopted before it may. */
static struct thump_newborn *newborn_of(const char *program)
{
	struct thump_newborn *newborn = NULL;
	struct thump_err err = THUMP_ERR_INIT;
	int go[2];
	char word = 0;
	pid_t pid;

	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		(void)close(go[1]);
		if (read(go[0], &word, 1) == 1)
			(void)execl(program, program, (char *)NULL);
		_exit(42);
	}
	(void)close(go[0]);
	if (thump_newborn_adopt(pid, &newborn, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(write(go[1], "g", 1), 1);
	(void)close(go[1]);
	return newborn;
}

static long remote(struct thump_newborn *newborn, struct remote_addr insn, long nr, uint64_t a,
		   uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	const uint64_t args[6] = { a, b, c, d, e, 0 };
	struct thump_err err = THUMP_ERR_INIT;
	long result = -1;

	if (thump_newborn_syscall(newborn, insn, nr, args, &result, &err) != 0)
		fail_msg("%s", err.text);
	return result;
}

/* A process stopped after its exec, with room for code at CODE_ADDR; *insn_ret survives there. */
static struct thump_newborn *with_code(const void *code, size_t size, struct remote_addr *insn_ret)
{
	/* mov %ebx, %edi; mov $SYS_exit_group, %eax; syscall */
	static const unsigned char exit_code[] = { 0x89, 0xdf, 0xb8, 231, 0, 0, 0, 0x0f, 0x05 };
	struct thump_newborn *newborn = newborn_of("/bin/true");
	struct thump_err err = THUMP_ERR_INIT;
	struct remote_addr insn = { 0 };

	if (thump_newborn_wait_exec(newborn, PATIENCE, &err) != 0 ||
	    thump_newborn_syscall_insn(newborn, &insn, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(remote(newborn, insn, SYS_mmap, CODE_ADDR, CODE_SIZE,
				PROT_READ | PROT_WRITE | PROT_EXEC,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1),
			 CODE_ADDR);
	assert_int_equal(thump_newborn_write(newborn, REMOTE(CODE_ADDR), code, size, &err), 0);
	assert_int_equal(
		thump_newborn_write(newborn, REMOTE(EXIT_AT), exit_code, sizeof(exit_code), &err),
		0);
	insn_ret->addr = EXIT_AT + sizeof(exit_code) - 2;
	return newborn;
}

/* Leader: clone(CLONE_VM|...) a thread that spins at THREAD_AT, then int3. */
static const unsigned char clone_and_trap[] = {
	0xbf, 0x00, 0x0f, 0x05, 0x00, /* mov $0x50f00, %edi: VM FS FILES SIGHAND THREAD SYSVSEM */
	0xbe, 0x00, 0xc0, 0x00, 0x20, /* mov $THREAD_SP, %esi */
	0x31, 0xd2,		      /* xor %edx, %edx */
	0x4d, 0x31, 0xd2,	      /* xor %r10, %r10 */
	0x4d, 0x31, 0xc0,	      /* xor %r8, %r8 */
	0xb8, 56,   0,	  0,	0,    /* mov $SYS_clone, %eax */
	0x0f, 0x05,		      /* syscall */
	0x85, 0xc0,		      /* test %eax, %eax */
	0x74, 0x01,		      /* je +1 */
	0xcc,			      /* int3 */
	0xf3, 0x90,		      /* pause */
	0xeb, 0xfc,		      /* jmp -4 */
};

static int exit_code_of(pid_t pid)
{
	int status = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void code_runs_threads_are_gathered_and_released(void **state)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct user_regs_struct regs;
	struct remote_addr insn;
	struct thump_newborn *newborn = with_code(clone_and_trap, sizeof(clone_and_trap), &insn);
	const pid_t pid = newborn->pid;
	uint64_t mask = 0;

	(void)state;
	assert_int_equal(THREAD_SP, 0x2000c000);
	if (thump_newborn_run(newborn, REMOTE(CODE_ADDR), REMOTE(STACK_TOP), 0, PATIENCE, &err) !=
		    0 ||
	    thump_newborn_gather(newborn, PATIENCE, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(newborn->nr_tids, 2);
	assert_int_equal(newborn->tids[0], pid);
	assert_int_equal(remote(newborn, insn, SYS_getpid, 0, 0, 0, 0, 0), pid);
	/* Both go on where the process ends; the one that is first ends it. */
	assert_int_equal(thump_ptrace_get_regs(newborn->tids[1], &regs), 0);
	regs.rip = EXIT_AT;
	regs.rbx = 7;
	regs.orig_rax = (unsigned long long)-1;
	assert_int_equal(thump_newborn_set_thread(newborn, newborn->tids[1], &regs, NULL, 0,
						  1u << (SIGUSR1 - 1), &err),
			 0);
	assert_int_equal(thump_newborn_set_thread(newborn, pid, &regs, NULL, 0, 0, &err), 0);
	assert_int_equal(thump_ptrace_get_sigmask(newborn->tids[1], &mask), 0);
	assert_int_equal(mask, 1u << (SIGUSR1 - 1));
	assert_int_equal(thump_newborn_release(newborn, false, &err), 0);
	thump_newborn_destroy(newborn);
	assert_int_equal(exit_code_of(pid), 7);
}

static void released_stopped_it_runs_only_after_sigcont(void **state)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct user_regs_struct regs;
	struct remote_addr insn;
	struct thump_newborn *newborn = with_code(clone_and_trap, sizeof(clone_and_trap), &insn);
	const pid_t pid = newborn->pid;
	int status;

	(void)state;
	assert_int_equal(
		thump_newborn_run(newborn, REMOTE(CODE_ADDR), REMOTE(STACK_TOP), 0, PATIENCE, &err),
		0);
	assert_int_equal(thump_newborn_gather(newborn, PATIENCE, &err), 0);
	assert_int_equal(thump_ptrace_get_regs(newborn->tids[1], &regs), 0);
	regs.rip = EXIT_AT;
	regs.rbx = 9;
	assert_int_equal(
		thump_newborn_set_thread(newborn, newborn->tids[1], &regs, NULL, 0, 0, &err), 0);
	assert_int_equal(thump_newborn_release(newborn, true, &err), 0);
	thump_newborn_destroy(newborn);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(kill(pid, SIGCONT), 0);
	assert_int_equal(exit_code_of(pid), 9);
}

static void a_crash_names_signal_and_instruction(void **state)
{
	static const unsigned char load_null[] = { 0x31, 0xc0, 0x48, 0x8b, 0x00 };
	struct thump_err err = THUMP_ERR_INIT;
	struct remote_addr insn;
	struct thump_newborn *newborn = with_code(load_null, sizeof(load_null), &insn);
	const pid_t pid = newborn->pid;

	(void)state;
	assert_int_equal(
		thump_newborn_run(newborn, REMOTE(CODE_ADDR), REMOTE(STACK_TOP), 0, PATIENCE, &err),
		-1);
	assert_non_null(strstr(err.text, "(SEGV) at instruction 0x20000002"));
	thump_newborn_destroy(newborn);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
}

static void an_exec_that_fails_tells_the_exit_status(void **state)
{
	struct thump_newborn *newborn = newborn_of("/nowhere/nothing");
	struct thump_err err = THUMP_ERR_INIT;

	(void)state;
	assert_int_equal(thump_newborn_wait_exec(newborn, PATIENCE, &err), -1);
	assert_true(newborn->gone);
	assert_int_equal(WEXITSTATUS(newborn->exit_status), 42);
	thump_newborn_destroy(newborn);
}

static void signals_wait_for_the_release(void **state)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct remote_addr insn;
	struct thump_newborn *newborn = with_code("\xcc", 1, &insn);
	const pid_t pid = newborn->pid;
	struct user_regs_struct regs;
	int status = 0;

	(void)state;
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(
		thump_newborn_run(newborn, REMOTE(CODE_ADDR), REMOTE(STACK_TOP), 0, PATIENCE, &err),
		0);
	assert_int_equal(thump_newborn_gather(newborn, PATIENCE, &err), 0);
	assert_int_equal(thump_ptrace_get_regs(pid, &regs), 0);
	assert_int_equal(thump_newborn_set_thread(newborn, pid, &regs, NULL, 0, 0, &err), 0);
	assert_int_equal(thump_newborn_release(newborn, false, &err), 0);
	thump_newborn_destroy(newborn);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_runs_threads_are_gathered_and_released),
		cmocka_unit_test(released_stopped_it_runs_only_after_sigcont),
		cmocka_unit_test(a_crash_names_signal_and_instruction),
		cmocka_unit_test(an_exec_that_fails_tells_the_exit_status),
		cmocka_unit_test(signals_wait_for_the_release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
