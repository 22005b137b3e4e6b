/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: filtered NAME COMMAND [ARG...]: executes COMMAND under a seccomp filter that ends whoever
 * makes system call NAME, as SystemCallFilter= of systemd.exec(5) does by default.
 */
#include "workload.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static const struct {
	const char *name;
	uint32_t nr;
} calls[] = {
	{ "acct", SYS_acct },
	{ "kcmp", SYS_kcmp },
	{ "process_vm_readv", SYS_process_vm_readv },
	{ "ptrace", SYS_ptrace },
	{ "sched_getattr", SYS_sched_getattr },
	{ "get_mempolicy", SYS_get_mempolicy },
	{ "modify_ldt", SYS_modify_ldt },
	{ "sigaltstack", SYS_sigaltstack },
};

static uint32_t number_of(const char *name)
{
	for (size_t i = 0; i < NR_OF(calls); i++)
		if (strcmp(calls[i].name, name) == 0)
			return calls[i].nr;
	FAIL("no call is named %s here", name);
}

int main(int argc, char **argv)
{
	CHECK(argc > 2);
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number_of(argv[1]), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = NR_OF(filter), .filter = filter };

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	(void)execvp(argv[2], argv + 2);
	FAIL("%s: %s", argv[2], strerror(errno));
}
